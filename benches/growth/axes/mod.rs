//! What grows. Each axis makes its points ready, and says what is measured at each.

use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::common::client::at_once;
use crate::common::fixture::Fixture;
use crate::common::processes::for_a_gibibyte;
use crate::common::servers::{Peer, Server};
use crate::common::sizes::mebibytes;
use crate::rounds::{Place, Run};
use crate::session::{Session, patience};

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
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let stretch = numbers.div_ceil(threads as u64).max(1);
    at_once(threads, |thread| {
        let begin = thread as u64 * stretch;
        Ok((begin..numbers.min(begin + stretch)).try_for_each(&work)?)
    })?;
    Ok(())
}

/// What it took to move a file, or several.
struct Moved {
    elapsed: Duration,
    /// MiB/s.
    speed: f64,
    /// The server's CPU seconds for each GiB.
    cpu: f64,
}

/// Has a session carry out lines that move so many bytes.
fn moved(server: &Server, session: &mut Session, lines: &str, bytes: u64) -> Result<Moved> {
    let before = server.cpu_so_far()?;
    let (elapsed, _) = session.carry_out(lines, patience(bytes))?;
    let cpu = server.cpu_so_far()? - before;
    Ok(Moved {
        elapsed,
        speed: mebibytes(bytes) / elapsed.as_secs_f64(),
        cpu: for_a_gibibyte(cpu, bytes),
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
