//! Data received on a channel and not yet consumed. The peer may send as much as its window allows and is
//! granted more only for consumed data. So the inbox is bounded without stopping reads of the connection,
//! which would block its other channels.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::io::chunks::Chunks;
use crate::observe::metrics::Metrics;

/// The received chunks of one channel; see the module documentation.
pub(super) struct Inbox {
    state: Mutex<InboxState>,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct InboxState {
    chunks: Chunks,
    /// No more data will arrive.
    ended: bool,
    /// Nothing consumes data any more.
    closed: bool,
    waiting: Option<Waker>,
}

impl Inbox {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            state: Mutex::default(),
            metrics,
        }
    }

    fn state(&self) -> MutexGuard<'_, InboxState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a received chunk.
    pub(super) fn put(&self, chunk: Bytes) {
        let mut state = self.state();
        if state.closed {
            return;
        }
        self.metrics.backlog(chunk.len() as i64);
        state.chunks.push(chunk);
        state.wake();
    }

    /// Records that no more data will arrive.
    pub(super) fn end(&self) {
        let mut state = self.state();
        state.ended = true;
        state.wake();
    }

    /// Discards data from now on.
    pub(super) fn close(&self) {
        let mut state = self.state();
        self.metrics.backlog(-(state.chunks.len() as i64));
        state.chunks = Chunks::default();
        state.closed = true;
    }

    /// Returns the next chunk if there is one.
    pub(super) fn try_take(&self) -> Option<Bytes> {
        self.take_from(&mut self.state())
    }

    /// Returns the next chunk; `None` after the last one.
    pub(super) fn poll_take(&self, context: &Context<'_>) -> Poll<Option<Bytes>> {
        let mut state = self.state();
        match self.take_from(&mut state) {
            None if !state.ended => {
                state.waiting = Some(context.waker().clone());
                Poll::Pending
            }
            taken => Poll::Ready(taken),
        }
    }

    fn take_from(&self, state: &mut InboxState) -> Option<Bytes> {
        let chunk = state.chunks.take_first()?;
        self.metrics.backlog(-(chunk.len() as i64));
        Some(chunk)
    }
}

impl InboxState {
    fn wake(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
    }
}
