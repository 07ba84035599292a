//! Stopping: signals, and the time for transfers to finish.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::io::phase::{Phase, STOPPING, reached};
use crate::session::registry::{RegisteredSession, Sessions};
use crate::session::transfers::Totals;

/// How often the sessions are checked.
const TICK: Duration = Duration::from_millis(100);
/// A session with no data transferred for this long and no open file is between two transfers or idle: the
/// reply to the last CLOSE has been sent.
const SETTLED: Duration = Duration::from_millis(200);
/// A session with an open file and no data transferred for this long has a stalled transfer.
const STALLED: Duration = Duration::from_secs(10);

/// Handles SIGTERM and SIGINT: the first starts to stop the server, the second cuts the wait short.
pub(super) fn obey_signals() -> anyhow::Result<Arc<watch::Sender<Phase>>> {
    let phases = Arc::new(watch::Sender::new(Phase::Serving));
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let told = phases.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            told.send_modify(|phase| {
                if *phase == Phase::Serving {
                    info!("stopping; a second signal closes all sessions immediately");
                    *phase = Phase::Draining;
                } else {
                    warn!("closing all sessions");
                    *phase = Phase::Ending;
                }
            });
        }
    });
    Ok(phases)
}

/// Lets transfers finish: closes sessions without one immediately, others when theirs are done, and all
/// when the time is over or the phase is [`Phase::Ending`], which it is afterwards.
pub(super) async fn drain(sessions: &Sessions, grace: Duration, phases: &watch::Sender<Phase>) {
    let begin = Instant::now();
    let mut seen = HashMap::new();
    let mut ending = phases.subscribe();
    loop {
        let open = sessions.all();
        let left = open
            .iter()
            .filter(|open| still_moves(open, &mut seen))
            .count();
        if left == 0 || begin.elapsed() >= grace {
            if left > 0 {
                warn!(
                    sessions = left,
                    "closing the remaining transfers: server.stop_grace is over"
                );
            }
            break;
        }
        tokio::select! {
            () = sleep(TICK) => {}
            () = reached(&mut ending, Phase::Ending) => break,
        }
    }
    phases.send_replace(Phase::Ending);
}

/// The progress of a session when it last transferred data.
struct Seen {
    moved: Totals,
    at: Instant,
}

/// Closes a session that transfers nothing any more; returns whether it still transfers.
fn still_moves(open: &RegisteredSession, seen: &mut HashMap<u64, Seen>) -> bool {
    let moved = open.session.transfers().totals();
    let now = Instant::now();
    let last = seen.entry(open.id).or_insert(Seen { moved, at: now });
    if last.moved != moved {
        *last = Seen { moved, at: now };
    }
    let patience = if open.session.transfers().under_way().is_empty() {
        SETTLED
    } else {
        STALLED
    };
    let moves = now.duration_since(last.at) < patience;
    if !moves {
        open.close(STOPPING);
    }
    moves
}
