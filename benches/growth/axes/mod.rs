//! What grows. Each axis makes its points ready, and says what is measured at each.

use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::common::fixture::Fixture;
use crate::common::servers::{Peer, Server};
use crate::rounds::{Place, Run};

mod accounts;
mod connections;
mod delay;
mod files;
mod sizes;

/// Something that grows.
pub(crate) struct Axis {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// Its name in tables and plots.
    pub(crate) title: &'static str,
    /// How a point is written.
    pub(crate) label: fn(u64) -> String,
    /// What is measured, in the order of the table.
    pub(crate) measures: &'static [&'static str],
    /// Makes and starts what is needed, and looks whether it does what it should.
    pub(crate) places: fn(&Run) -> Result<Vec<Place>>,
}

/// All axes, in the order of the report.
pub(crate) const ALL: &[Axis] = &[
    connections::AXIS,
    files::AXIS,
    accounts::AXIS,
    sizes::AXIS,
    delay::AXIS,
];

/// Who takes part, where it has the same: OpenSSH's server first.
pub(crate) const PEERS: [Peer; 2] = [Peer::Openssh, Peer::Landfall];

/// The servers, each started once for all points.
fn start_all(fixture: &Fixture) -> Result<Vec<Rc<Server>>> {
    PEERS
        .iter()
        .map(|peer| peer.start(fixture).map(Rc::new))
        .collect()
}

/// Waits until a server does nothing any more by itself, and returns the CPU time that it has taken until
/// then. Landfall looks into all homes after its start, for what a crash left of uploads.
fn until_quiet(server: &Server) -> Result<Duration> {
    /// What it may take in a [`MOMENT`]: a tick, for what it does every second.
    const LITTLE: Duration = Duration::from_millis(10);
    const MOMENT: Duration = Duration::from_millis(400);
    /// In a row: where others keep the machine busy, it may stand still for a moment.
    const MOMENTS: u32 = 3;
    const LIMIT: Duration = Duration::from_secs(900);
    let began = Instant::now();
    let (mut before, mut quiet) = (server.cpu_so_far()?, 0);
    while began.elapsed() < LIMIT {
        thread::sleep(MOMENT);
        let now = server.cpu_so_far()?;
        quiet = if now - before <= LITTLE { quiet + 1 } else { 0 };
        if quiet == MOMENTS {
            return Ok(now);
        }
        before = now;
    }
    bail!("{} does not come to rest", server.peer.name())
}

/// Runs a work for each of so many numbers on all processors, each with a stretch of them.
fn on_all_processors(numbers: u64, work: impl Fn(u64) -> std::io::Result<()> + Sync) -> Result<()> {
    let threads = thread::available_parallelism().map_or(1, usize::from) as u64;
    let stretch = numbers.div_ceil(threads).max(1);
    let work = &work;
    thread::scope(|scope| {
        let working: Vec<_> = (0..threads)
            .map(|thread| {
                let end = numbers.min((thread + 1) * stretch);
                scope.spawn(move || (thread * stretch..end).try_for_each(work))
            })
            .collect();
        working
            .into_iter()
            .try_for_each(|thread| match thread.join() {
                Ok(outcome) => Ok(outcome?),
                Err(_) => bail!("a thread panicked"),
            })
    })
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The same bytes in each run.
fn random() -> StdRng {
    StdRng::seed_from_u64(1)
}

/// 1000000 as "1,000,000".
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn mebibytes(bytes: u64) -> f64 {
    const MEBIBYTE: f64 = (1 << 20) as f64;
    bytes as f64 / MEBIBYTE
}
