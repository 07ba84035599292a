//! The number of concurrent clients. Together they always download the same data, so each point is the same
//! work, in more pieces.

use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::{Axis, PEERS, random, thousands};
use crate::common::fixture::Fixture;
use crate::common::processes::for_a_gibibyte;
use crate::common::servers::Peer;
use crate::common::sizes::mebibytes;
use crate::rounds::{Place, Run, Values};
use crate::session::{Session, patience};

const SPEED: &str = "get: MiB/s in all";
const CPU: &str = "get: server CPU s/GiB";
const IDLE: &str = "PSS of a connection, idle: KiB";
const BUSY: &str = "PSS of a connection, amid its get: KiB";

pub(super) const AXIS: Axis = Axis {
    name: "connections",
    title: "connections",
    label: thousands,
    measures: &[SPEED, CPU, IDLE, BUSY],
    places,
};

fn places(run: &Run) -> Result<Vec<Place>> {
    let fixture = Rc::new(run.fixture(AXIS.name)?);
    let mut places = Vec::new();
    let mut random = random();
    for &connections in &run.scale.connections {
        let size = run.scale.total / connections;
        fixture.make_file(&name(connections), size, &mut random)?;
        for peer in PEERS {
            let fixture = fixture.clone();
            places.push(Place {
                at: connections,
                peer,
                measure: Box::new(move || measure(&fixture, peer, connections, size)),
            });
        }
    }
    Ok(places)
}

fn name(connections: u64) -> String {
    format!("one-of-{connections}")
}

fn measure(fixture: &Fixture, peer: Peer, connections: u64, size: u64) -> Result<Values> {
    // A fresh server: the memory that earlier work has left does not belong to a connection.
    let server = peer.start(fixture)?;
    let total = connections * size;
    let rest = server.memory()?.proportional;
    let each = |memory: u64| memory.saturating_sub(rest) as f64 / 1024.0 / connections as f64;

    let mut sessions = Session::open_many(fixture, &server, connections)?;
    let idle = server.memory()?.proportional;
    let get = format!("get {} /dev/null", name(connections));

    let before = server.cpu_so_far()?;
    let elapsed = all(&mut sessions, &get, total, |_| Ok(()))?;
    let cpu = server.cpu_so_far()? - before;

    // Once more, to measure the memory half-way, which takes time of its own.
    let mut busy = 0;
    all(&mut sessions, &get, total, |begun| {
        thread::sleep((elapsed / 2).saturating_sub(begun.elapsed()));
        busy = server.memory()?.proportional;
        Ok(())
    })?;
    Session::end_all(sessions)?;
    Ok(vec![
        (SPEED, mebibytes(total) / elapsed.as_secs_f64()),
        (CPU, for_a_gibibyte(cpu, total)),
        (IDLE, each(idle)),
        (BUSY, each(busy)),
    ])
}

/// Makes all of them do the same, and runs `meanwhile`. Returns the time from the first start to the last
/// end.
fn all(
    sessions: &mut [Session],
    lines: &str,
    bytes: u64,
    meanwhile: impl FnOnce(Instant) -> Result<()>,
) -> Result<Duration> {
    let started = Instant::now();
    for session in &mut *sessions {
        session.ask(lines)?;
    }
    meanwhile(started)?;
    for session in sessions {
        session.wait(patience(bytes))?;
    }
    Ok(started.elapsed())
}
