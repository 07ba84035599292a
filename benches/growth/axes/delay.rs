//! The round-trip time, through a proxy that delays everything. One connection, one file.

use std::fs;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;

use super::{Axis, moved, random, start_all};
use crate::common::fixture::{Fixture, same_file};
use crate::common::servers::Server;
use crate::proxy::Proxy;
use crate::rounds::{Place, Run, Values};
use crate::session::Session;

const GET: &str = "get: MiB/s";
const GET_TRIP: &str = "get: MiB in a round trip";
const GET_CPU: &str = "get: server CPU s/GiB";
const PUT: &str = "put: MiB/s";
const PUT_TRIP: &str = "put: MiB in a round trip";
const PUT_CPU: &str = "put: server CPU s/GiB";

pub(super) const AXIS: Axis = Axis {
    name: "delay",
    title: "round trip",
    label: |milliseconds| format!("{milliseconds} ms"),
    measures: &[GET, GET_TRIP, GET_CPU, PUT, PUT_TRIP, PUT_CPU],
    places,
};

/// The file to move.
const NAME: &str = "file";

fn places(run: &Run) -> Result<Vec<Place>> {
    let fixture = Rc::new(run.fixture(AXIS.name)?);
    let size = run.scale.delayed;
    fixture.make_file(NAME, size, &mut random())?;
    let servers = start_all(&fixture)?;
    let mut places = Vec::new();
    for &delay in &run.scale.delays {
        for server in &servers {
            let round_trip = Duration::from_millis(delay);
            let proxy = Proxy::start(server.port, round_trip)?;
            server.make_known(&fixture, proxy.port)?;
            let (fixture, server) = (fixture.clone(), server.clone());
            places.push(Place {
                at: delay,
                peer: server.peer,
                measure: Box::new(move || measure(&fixture, &server, &proxy, round_trip, size)),
            });
        }
    }
    Ok(places)
}

fn measure(
    fixture: &Fixture,
    server: &Server,
    proxy: &Proxy,
    round_trip: Duration,
    size: u64,
) -> Result<Values> {
    let mut session = Session::open(fixture, server, proxy.port)?;
    let mut moved = |line: &str| moved(server, &mut session, line, size);
    let get = moved(&format!("get {NAME} /dev/null"))?;
    let new = fixture.new_name();
    let put = moved(&format!("put {NAME} {new}"))?;
    session.end()?;

    let new = fixture.home().join(new);
    same_file(&fixture.source().join(NAME), &new)?;
    fs::remove_file(new)?;
    let mut values = vec![
        (GET, get.speed),
        (GET_CPU, get.cpu),
        (PUT, put.speed),
        (PUT_CPU, put.cpu),
    ];
    if !round_trip.is_zero() {
        let trip = round_trip.as_secs_f64();
        values.extend([(GET_TRIP, get.speed * trip), (PUT_TRIP, put.speed * trip)]);
    }
    Ok(values)
}
