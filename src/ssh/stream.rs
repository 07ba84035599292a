//! The TCP stream below russh. It applies the limits that SSH does not have, ends at the login deadline,
//! and can be closed from outside.

use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::before_login::BeforeLogin;
use super::busy_poll::BusyPoll;
use super::quickack::QuickAck;
use crate::io::portions::Taken;

/// Bytes to read beyond what russh requests: it reads the length of a packet first, then the rest. With
/// them the next length and several small packets arrive in one read. They are copied once more, so the
/// number is small against a data packet.
const READ_AHEAD: usize = 4096;

/// The state of a stream that its connection shares.
#[derive(Default)]
pub(super) struct ConnectionLink(Mutex<StreamState>);

#[derive(Default)]
struct StreamState {
    logged_in: bool,
    /// The connection's slot in the share of its account, returned with the last reference to this, when
    /// the server has finished the connection.
    _place: Option<Taken>,
    cut: bool,
    reader: Option<Waker>,
    /// A write that waits for the peer.
    writer: Option<Waker>,
}

impl ConnectionLink {
    fn state(&self) -> MutexGuard<'_, StreamState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores the connection's slot in the share of its account.
    pub(super) fn keep(&self, place: Taken) {
        self.state()._place = Some(place);
    }

    /// Ends the login deadline.
    pub(super) fn logged_in(&self) {
        self.state().logged_in = true;
    }

    /// Waits to write to the peer; an error if that takes too long.
    fn wait_to_write(&self, context: &Context<'_>) -> Poll<io::Error> {
        let mut state = self.state();
        state.writer = Some(context.waker().clone());
        if state.cut {
            Poll::Ready(io::ErrorKind::ConnectionAborted.into())
        } else {
            Poll::Pending
        }
    }

    pub(super) fn is_logged_in(&self) -> bool {
        self.state().logged_in
    }

    /// Closes the connection.
    pub(super) fn cut(&self) {
        let mut state = self.state();
        state.cut = true;
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
        // A connection whose peer receives nothing waits here and does not read.
        if let Some(writer) = state.writer.take() {
            writer.wake();
        }
    }
}

/// The TCP stream below russh; see the module documentation.
pub(super) struct Stream {
    tcp: TcpStream,
    ahead: Box<[u8]>,
    /// The part of `ahead` that russh has not read.
    unread: Range<usize>,
    link: Arc<ConnectionLink>,
    before_login: Arc<BeforeLogin>,
    /// Until the login.
    deadline: Option<Pin<Box<Sleep>>>,
    quickack: QuickAck,
    /// `None` turns busy-polling off.
    busy_poll: Option<BusyPoll>,
}

impl Stream {
    pub(super) fn new(
        tcp: TcpStream,
        link: Arc<ConnectionLink>,
        before_login: Arc<BeforeLogin>,
        grace_time: Duration,
        busy_poll: Option<BusyPoll>,
    ) -> Self {
        Self {
            tcp,
            ahead: vec![0; READ_AHEAD].into_boxed_slice(),
            unread: 0..0,
            link,
            before_login,
            deadline: Some(Box::pin(sleep(grace_time))),
            quickack: QuickAck::default(),
            busy_poll,
        }
    }

    /// Returns whether to read; an error closes the connection.
    fn permission(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let mut state = self.link.state();
        if state.cut {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        if state.logged_in {
            self.deadline = None;
        }
        if let Poll::Ready(late) = poll_deadline(&mut self.deadline, &self.before_login, context) {
            return Err(late);
        }
        // Always stored: `cut` must wake a read that waits for the peer.
        state.reader = Some(context.waker().clone());
        Ok(())
    }

    /// Records received bytes.
    fn record_received(&mut self, count: usize) {
        let now = Instant::now();
        if self.quickack.received(now) || self.deadline.is_some() {
            // Not needed before the first delay is seen: OpenSSH's client would be delayed just once. The
            // kernel leaves this mode on its own, so the server sets it each time.
            let _ = self.tcp.set_quickack(true);
        }
        if let Some(poll) = self.busy_poll() {
            poll.received(count, now);
        }
    }

    /// Records sent bytes.
    fn record_sent(&mut self, count: usize) {
        self.quickack.sent();
        if let Some(poll) = self.busy_poll() {
            poll.sent(count, Instant::now());
        }
    }

    /// The server does not busy-poll before the login.
    fn busy_poll(&mut self) -> Option<&mut BusyPoll> {
        self.busy_poll.as_mut().filter(|_| self.deadline.is_none())
    }

    /// Counts bytes that russh reads; an error if an unauthenticated client sends too many.
    fn handed_out(&self, count: usize) -> io::Result<()> {
        if self.deadline.is_none() || count == 0 || self.before_login.count_read(count) {
            Ok(())
        } else {
            Err(io::Error::other("too much data before the login"))
        }
    }
}

/// Returns whether the login deadline has passed.
fn poll_deadline(
    deadline: &mut Option<Pin<Box<Sleep>>>,
    before_login: &BeforeLogin,
    context: &mut Context<'_>,
) -> Poll<io::Error> {
    let Some(deadline) = deadline else {
        return Poll::Pending;
    };
    ready!(deadline.as_mut().poll(context));
    before_login.late();
    let words = "no login within the grace time";
    Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, words))
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.permission(context)?;
        let Self {
            tcp, ahead, unread, ..
        } = &mut *self;
        if let Some(waiting) = ahead.get(unread.clone())
            && let Some(taken) = waiting.get(..waiting.len().min(buffer.remaining()))
            && !taken.is_empty()
        {
            buffer.put_slice(taken);
            let count = taken.len();
            unread.start += count;
            return Poll::Ready(self.handed_out(count));
        }
        loop {
            ready!(tcp.poll_read_ready(context))?;
            let wanted = buffer.initialize_unfilled();
            let room = wanted.len();
            let most = room + ahead.len();
            match tcp.try_read_vectored(&mut [IoSliceMut::new(wanted), IoSliceMut::new(ahead)]) {
                Ok(count) => {
                    if (1..most).contains(&count) {
                        mark_drained(tcp);
                    }
                    buffer.advance(count.min(room));
                    *unread = 0..count.saturating_sub(room);
                    self.record_received(count);
                    return Poll::Ready(self.handed_out(count.min(room)));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

/// Marks the socket as drained after a short read, so that the next read waits for epoll (`EPOLLET`)
/// instead of calling the kernel again. tokio's own `poll_read` does this, but takes only one buffer. Call
/// it right after the read, on the runtime's thread: no later readiness can be lost then.
fn mark_drained(tcp: &TcpStream) {
    let nothing = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
    // The error marks it.
    let _ = tcp.try_io(Interest::READABLE, nothing);
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.tcp).poll_write(context, bytes) {
            Poll::Pending => {
                let Self {
                    deadline,
                    before_login,
                    ..
                } = &mut *self;
                // A client that receives nothing is late, too.
                match poll_deadline(deadline, before_login, context) {
                    Poll::Ready(late) => Poll::Ready(Err(late)),
                    Poll::Pending => self.link.wait_to_write(context).map(Err),
                }
            }
            Poll::Ready(Ok(count)) => {
                self.record_sent(count);
                Poll::Ready(Ok(count))
            }
            failed => failed,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}
