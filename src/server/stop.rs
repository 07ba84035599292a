//! The way to the end: signals, and the time that transfers are given.

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

/// How often the sessions are looked at.
const TICK: Duration = Duration::from_millis(100);
/// A session that has moved nothing for this long, and holds no file open, is between two transfers or
/// idle: the reply to the last CLOSE is out.
const SETTLED: Duration = Duration::from_millis(200);
/// One that holds a file open and moves nothing for this long has no transfer that comes to an end.
const STALLED: Duration = Duration::from_secs(10);

/// SIGTERM and SIGINT: the first begins the way to the end, the second shortens it.
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
                    info!("stopping; a second signal ends all transfers at once");
                    *phase = Phase::Draining;
                } else {
                    warn!("ending now");
                    *phase = Phase::Ending;
                }
            });
        }
    });
    Ok(phases)
}

/// Lets transfers come to their end: sessions without one are ended at once, the others when theirs
/// are done, and all when the time is over or the phase is [`Phase::Ending`]; that it is afterwards.
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
                warn!(sessions = left, "the time for transfers is over");
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

/// What a session had moved when it was seen last to move something.
struct Seen {
    moved: Totals,
    at: Instant,
}

/// Ends a session that moves nothing any more; is it one that does?
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
        open.end(STOPPING);
    }
    moves
}
