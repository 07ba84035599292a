//! The TCP stream as russh sees it: the place for what SSH itself does not bound. It ends at the
//! login deadline, and can be cut from outside.

use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::before_login::Visit;
use super::busy_poll::Near;
use super::quickack::HeldBack;
use crate::io::portions::Taken;

/// Bytes that may be read beyond what russh asks for, which is first the length of a packet and then
/// the rest of it: so the length of the next one comes along, and small packets come several at a
/// time. What is read ahead is copied once more, so it is little beside a packet of data.
const READ_AHEAD: usize = 4096;

/// What the connection's parts share about its stream.
#[derive(Default)]
pub(super) struct ConnectionLink(Mutex<StreamState>);

#[derive(Default)]
struct StreamState {
    logged_in: bool,
    /// The connection's place in the portion of its account. It is given back with the last handle of
    /// this, and so when the server has done with the connection.
    _place: Option<Taken>,
    cut: bool,
    reader: Option<Waker>,
    /// Waits for the peer to take what is sent.
    writer: Option<Waker>,
}

impl ConnectionLink {
    fn state(&self) -> MutexGuard<'_, StreamState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the connection's place in the portion of its account.
    pub(super) fn keep(&self, place: Taken) {
        self.state()._place = Some(place);
    }

    /// The login deadline no longer holds.
    pub(super) fn logged_in(&self) {
        self.state().logged_in = true;
    }

    /// A write waits for the peer: an error if that has no end.
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

    /// Ends the connection.
    pub(super) fn cut(&self) {
        let mut state = self.state();
        state.cut = true;
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
        // A connection whose peer takes nothing waits here, and reads nothing.
        if let Some(writer) = state.writer.take() {
            writer.wake();
        }
    }
}

/// See the module's description.
pub(super) struct Stream {
    tcp: TcpStream,
    ahead: Box<[u8]>,
    /// The part of `ahead` that is still to be handed out.
    unread: Range<usize>,
    link: Arc<ConnectionLink>,
    visit: Arc<Visit>,
    /// Until somebody is logged in.
    deadline: Option<Pin<Box<Sleep>>>,
    held_back: HeldBack,
    /// Nobody is waited for awake without it.
    near: Option<Near>,
}

impl Stream {
    pub(super) fn new(
        tcp: TcpStream,
        link: Arc<ConnectionLink>,
        visit: Arc<Visit>,
        grace_time: Duration,
        near: Option<Near>,
    ) -> Self {
        Self {
            tcp,
            ahead: vec![0; READ_AHEAD].into_boxed_slice(),
            unread: 0..0,
            link,
            visit,
            deadline: Some(Box::pin(sleep(grace_time))),
            held_back: HeldBack::default(),
            near,
        }
    }

    /// May bytes be read? An error ends the connection.
    fn permission(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let mut state = self.link.state();
        if state.cut {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        if state.logged_in {
            self.deadline = None;
        }
        if let Poll::Ready(late) = poll_deadline(&mut self.deadline, &self.visit, context) {
            return Err(late);
        }
        // Kept in any case: `cut` must wake a read that waits for the peer.
        state.reader = Some(context.waker().clone());
        Ok(())
    }

    /// Bytes have come.
    fn have_come(&mut self, count: usize) {
        let now = Instant::now();
        if self.held_back.came(now) || self.deadline.is_some() {
            // Before a login it need not be seen first: OpenSSH's client would be held back just once. The
            // system leaves this mode by itself, so it is entered each time.
            let _ = self.tcp.set_quickack(true);
        }
        if let Some(near) = self.near() {
            near.came(count, now);
        }
    }

    /// Bytes went.
    fn have_gone(&mut self, count: usize) {
        self.held_back.went();
        if let Some(near) = self.near() {
            near.went(count, Instant::now());
        }
    }

    /// Nobody is waited for awake before a login.
    fn near(&mut self) -> Option<&mut Near> {
        self.near.as_mut().filter(|_| self.deadline.is_none())
    }

    /// Bytes are handed out: an error if that is too much for somebody who is not logged in.
    fn handed_out(&self, count: usize) -> io::Result<()> {
        if self.deadline.is_none() || count == 0 || self.visit.has_come(count) {
            Ok(())
        } else {
            Err(io::Error::other(
                "too much for somebody who is not logged in",
            ))
        }
    }
}

/// Is the time to log in over?
fn poll_deadline(
    deadline: &mut Option<Pin<Box<Sleep>>>,
    visit: &Visit,
    context: &mut Context<'_>,
) -> Poll<io::Error> {
    let Some(deadline) = deadline else {
        return Poll::Pending;
    };
    ready!(deadline.as_mut().poll(context));
    visit.late();
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
                    self.have_come(count);
                    return Poll::Ready(self.handed_out(count.min(room)));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

/// Tells tokio that less has come than there was room for, so that the next read waits for more instead
/// of asking in vain: what comes from now on makes epoll tell (`EPOLLET`). As tokio's own `poll_read`,
/// which takes but one buffer, does it. To be called right after the read, by the thread of the runtime:
/// nobody else can have seen more come meanwhile.
fn mark_drained(tcp: &TcpStream) {
    let nothing = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
    // It is the error that does it.
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
                    deadline, visit, ..
                } = &mut *self;
                // Who takes nothing is late, too.
                match poll_deadline(deadline, visit, context) {
                    Poll::Ready(late) => Poll::Ready(Err(late)),
                    Poll::Pending => self.link.wait_to_write(context).map(Err),
                }
            }
            Poll::Ready(Ok(count)) => {
                self.have_gone(count);
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
