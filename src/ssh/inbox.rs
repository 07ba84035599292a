//! What has come on a channel and was not taken up yet. The peer may send so much as its window says,
//! and gets more only for what was taken up: so this is bounded, and nobody has to be kept from sending
//! by not reading the connection, which would hold up its other channels.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::io::chunks::Pieces;
use crate::observe::metrics::Metrics;

/// See the module's description.
pub(super) struct Inbox {
    state: Mutex<InboxState>,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct InboxState {
    pieces: Pieces,
    /// Nothing more will come.
    ended: bool,
    /// Nobody takes anything any more.
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

    /// A piece has come.
    pub(super) fn put(&self, piece: Bytes) {
        let mut state = self.state();
        if state.closed {
            return;
        }
        self.metrics.backlog(piece.len() as i64);
        state.pieces.push(piece);
        state.wake();
    }

    /// Nothing more will come.
    pub(super) fn end(&self) {
        let mut state = self.state();
        state.ended = true;
        state.wake();
    }

    /// What still comes is of no interest.
    pub(super) fn close(&self) {
        let mut state = self.state();
        self.metrics.backlog(-(state.pieces.len() as i64));
        state.pieces = Pieces::default();
        state.closed = true;
    }

    /// The next piece, if one is here already.
    pub(super) fn try_take(&self) -> Option<Bytes> {
        self.take_from(&mut self.state())
    }

    /// The next piece; `None` when no more will come.
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
        let piece = state.pieces.take_first()?;
        self.metrics.backlog(-(piece.len() as i64));
        Some(piece)
    }
}

impl InboxState {
    fn wake(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
    }
}
