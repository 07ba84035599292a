//! The number of files in a home: empty ones, in directories of 1,000 names. The work is the same at each
//! point: listing another directory, and uploading small files. Landfall's account has both quota limits,
//! far above the usage.

use std::fs::{self, File};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::fs::statvfs;

use super::{Axis, milliseconds, on_all_processors, random, thousands, until_quiet};
use crate::common::client::LIMIT;
use crate::common::fixture::Fixture;
use crate::common::servers::{Installed, Peer, Server};
use crate::common::sizes::mebibytes;
use crate::rounds::{Place, Run, Values};
use crate::session::Session;

const START: &str = "start of the server: ms";
const LOGIN: &str = "first log in: ms";
const SWEEP: &str = "until it rests: server CPU ms";
const LIST: &str = "ls -l of a directory: ms";
const PUT: &str = "put of 4 KiB: ms";
const CPU: &str = "10 ls and 100 puts: server CPU ms";
const PSS: &str = "PSS of the server after these: MiB";
const COUNT: &str = "count by `quota recount`: ms";

pub(super) const AXIS: Axis = Axis {
    name: "files",
    title: "files in a home",
    label: thousands,
    measures: &[START, LOGIN, SWEEP, LIST, PUT, CPU, PSS, COUNT],
    places,
};

/// Names in each of the directories that make the home large.
const IN_A_DIRECTORY: u64 = 1000;
/// The listed directory.
const LISTED: &str = "names";
/// Repetitions, since one listing is fast.
const LISTS: u32 = 10;
const PUTS: u32 = 100;
/// The uploaded files.
const SMALL: &str = "small";

fn places(run: &Run) -> Result<Vec<Place>> {
    let mut places = Vec::new();
    for &files in &run.scale.files {
        let free = statvfs(run.folder())?.f_favail;
        if free < 3 * files {
            run.leave_out(format!(
                "{} files in a home: the file system has room for {free} more",
                thousands(files)
            ));
            continue;
        }
        let fixture = Rc::new(run.fixture(&format!("files-{files}"))?);
        fixture.make_file(SMALL, 4096, &mut random())?;
        fixture.make_names(LISTED, run.scale.names)?;
        fill(&fixture.home(), files)?;
        let names = run.scale.names;

        let (openssh, its) = (Peer::Openssh.start(&fixture)?, fixture.clone());
        places.push(Place {
            at: files,
            peer: Peer::Openssh,
            measure: Box::new(move || work(&its, &openssh, names).map(|(values, _)| values)),
        });

        let program = fixture.programs.server(Peer::Landfall);
        let program = program.context("no landfall")?;
        let folder = fixture.server_folder("Landfall")?;
        let landfall = Installed::new(Peer::Landfall, program, &fixture, folder)?;
        landfall.command(&[
            "user",
            "set",
            Installed::USER,
            "--quota",
            "1TiB",
            "--max-files",
            "1000000000",
        ])?;
        places.push(Place {
            at: files,
            peer: Peer::Landfall,
            measure: Box::new(move || measure(&fixture, &landfall, names)),
        });
    }
    Ok(places)
}

/// Landfall is restarted each time, after a count: then its start and its first login know the usage, as
/// they do except after a crash.
fn measure(fixture: &Fixture, landfall: &Installed, names: u32) -> Result<Values> {
    let began = Instant::now();
    landfall.command(&["quota", "recount", Installed::USER])?;
    let count = began.elapsed();
    let began = Instant::now();
    let server = landfall.start(fixture)?;
    let start = began.elapsed();
    let (mut values, rests) = work(fixture, &server, names)?;
    values.extend([
        (START, milliseconds(start)),
        (COUNT, milliseconds(count)),
        (SWEEP, milliseconds(rests)),
    ]);
    Ok(values)
}

/// The work of both servers. Also returns the CPU time of the server until it was idle after the login.
fn work(fixture: &Fixture, server: &Server, names: u32) -> Result<(Values, Duration)> {
    let began = Instant::now();
    let mut session = Session::open(fixture, server, server.port)?;
    let login = began.elapsed();
    let before = until_quiet(server)?;

    let lines = vec![format!("ls -l {LISTED}"); LISTS as usize].join("\n");
    let (list, listed) = session.carry_out(&lines, LIMIT)?;
    ensure!(
        listed == names * LISTS,
        "{} lists {listed} names of {names} {LISTS} times",
        server.peer.name()
    );

    let new: Vec<_> = (0..PUTS).map(|_| fixture.new_name()).collect();
    let lines = |verb: &str| {
        let lines = new.iter().map(|name| format!("{verb} {name}"));
        lines.collect::<Vec<_>>().join("\n")
    };
    let (put, _) = session.carry_out(&lines(&format!("put {SMALL}")), LIMIT)?;
    for name in &new {
        ensure!(fs::metadata(fixture.home().join(name))?.len() == 4096);
    }
    let cpu = server.cpu_so_far()? - before;
    let pss = mebibytes(server.memory()?.proportional);
    // The client removes them, so that a server that keeps accounts knows.
    session.carry_out(&lines("rm"), LIMIT)?;
    session.end()?;
    let values = vec![
        (LOGIN, milliseconds(login)),
        (LIST, milliseconds(list / LISTS)),
        (PUT, milliseconds(put / PUTS)),
        (CPU, milliseconds(cpu)),
        (PSS, pss),
    ];
    Ok((values, before))
}

/// Creates empty files.
fn fill(home: &Path, files: u64) -> Result<()> {
    on_all_processors(files.div_ceil(IN_A_DIRECTORY), |number| {
        let directory = home.join(format!("d-{number:04}"));
        fs::create_dir(&directory)?;
        let left = files - number * IN_A_DIRECTORY;
        (0..left.min(IN_A_DIRECTORY))
            .try_for_each(|number| File::create(directory.join(format!("f-{number:03}"))).map(drop))
    })
    .context("cannot make the files of a home")
}
