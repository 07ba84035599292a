//! The size of a file. Small ones are moved many times in one session, so that the time can be measured.

use std::fs::{self, File};
use std::rc::Rc;

use anyhow::{Result, ensure};
use rustix::fs::statvfs;

use super::{Axis, Moved, milliseconds, moved, random, start_all};
use crate::common::fixture::{Fixture, same_file};
use crate::common::servers::Server;
use crate::common::sizes::size as written;
use crate::rounds::{Place, Run, Values};
use crate::session::{Session, patience};

const GET: &str = "get: MiB/s";
const GET_CPU: &str = "get: server CPU s/GiB";
const GET_EACH: &str = "get: ms a file";
const PUT: &str = "put: MiB/s";
const PUT_CPU: &str = "put: server CPU s/GiB";
const PUT_EACH: &str = "put: ms a file";

pub(super) const AXIS: Axis = Axis {
    name: "sizes",
    title: "size of a file",
    label: written,
    measures: &[GET, GET_CPU, GET_EACH, PUT, PUT_CPU, PUT_EACH],
    places,
};

/// The minimum of data to move, unless that needs more files than [`MOST`].
const AT_LEAST: u64 = 64 << 20;
/// Files in one session.
const MOST: u64 = 1000;
/// Larger files are sparse when they are downloaded, and only the length of uploads is checked.
const WITH_BYTES: u64 = 1 << 30;

fn places(run: &Run) -> Result<Vec<Place>> {
    let fixture = Rc::new(run.fixture(AXIS.name)?);
    let servers = start_all(&fixture)?;
    let mut places = Vec::new();
    for &size in &run.scale.sizes {
        let space = statvfs(run.folder())?;
        let free = space.f_bavail * space.f_frsize;
        if free < 3 * size {
            run.leave_out(format!(
                "files of {}: only {} GiB are free in {}, and three times the size is wanted",
                written(size),
                free >> 30,
                run.folder().display()
            ));
            continue;
        }
        make(&fixture, size)?;
        for server in &servers {
            verify(&fixture, server, size)?;
            let (fixture, server) = (fixture.clone(), server.clone());
            places.push(Place {
                at: size,
                peer: server.peer,
                measure: Box::new(move || measure(&fixture, &server, size)),
            });
        }
    }
    Ok(places)
}

fn name(size: u64) -> String {
    format!("file-{size}")
}

fn make(fixture: &Fixture, size: u64) -> Result<()> {
    let name = name(size);
    if size <= WITH_BYTES {
        return Ok(fixture.make_file(&name, size, &mut random())?);
    }
    File::create(fixture.source().join(&name))?.set_len(size)?;
    Ok(fs::hard_link(
        fixture.source().join(&name),
        fixture.home().join(&name),
    )?)
}

/// Checks that a download equals the file.
fn verify(fixture: &Fixture, server: &Server, size: u64) -> Result<()> {
    if size > WITH_BYTES {
        return Ok(());
    }
    let mut session = Session::open(fixture, server, server.port)?;
    let target = fixture.fetched().join("file");
    let line = format!("get {} {}", name(size), target.display());
    session.carry_out(&line, patience(size))?;
    session.end()?;
    same_file(&fixture.source().join(name(size)), &target)?;
    Ok(fs::remove_file(target)?)
}

fn measure(fixture: &Fixture, server: &Server, size: u64) -> Result<Values> {
    let times = AT_LEAST.div_ceil(size).min(MOST);
    let bytes = size * times;
    let name = name(size);
    let mut session = Session::open(fixture, server, server.port)?;
    let gets = vec![format!("get {name} /dev/null"); times as usize];
    let get = moved(server, &mut session, &gets.join("\n"), bytes)?;

    let new: Vec<_> = (0..times).map(|_| fixture.new_name()).collect();
    let puts: Vec<_> = new.iter().map(|new| format!("put {name} {new}")).collect();
    let put = moved(server, &mut session, &puts.join("\n"), bytes)?;
    session.end()?;

    for new in new {
        let new = fixture.home().join(new);
        if size <= WITH_BYTES {
            same_file(&fixture.source().join(&name), &new)?;
        } else {
            ensure!(fs::metadata(&new)?.len() == size, "a file is cut");
        }
        fs::remove_file(new)?;
    }
    let each = |moved: &Moved| milliseconds(moved.elapsed) / times as f64;
    Ok(vec![
        (GET, get.speed),
        (GET_CPU, get.cpu),
        (GET_EACH, each(&get)),
        (PUT, put.speed),
        (PUT_CPU, put.cpu),
        (PUT_EACH, each(&put)),
    ])
}
