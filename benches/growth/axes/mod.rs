//! The axes. Each one prepares its points and says what is measured.

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

/// An axis: something that grows.
pub(crate) struct Axis {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// Its name in tables and plots.
    pub(crate) title: &'static str,
    /// Formats a point.
    pub(crate) label: fn(u64) -> String,
    /// The measures, in the order of the table.
    pub(crate) measures: &'static [&'static str],
    /// Creates and starts what is needed, and verifies the work.
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

/// The servers, where they have the same: OpenSSH's first.
pub(crate) const PEERS: [Peer; 2] = [Peer::Openssh, Peer::Landfall];

/// Starts each server once for all points.
fn start_all(fixture: &Fixture) -> Result<Vec<Rc<Server>>> {
    PEERS
        .iter()
        .map(|peer| peer.start(fixture).map(Rc::new))
        .collect()
}

/// Waits until a server is idle, and returns its CPU time until then. After its start, Landfall scans all
/// homes for what a crash has left of uploads.
fn until_quiet(server: &Server) -> Result<Duration> {
    /// The CPU time that an idle server may use in a [`MOMENT`]: one tick, for its work of each second.
    const LITTLE: Duration = Duration::from_millis(10);
    const MOMENT: Duration = Duration::from_millis(400);
    /// In a row: on a busy machine, a working server may pause for a moment.
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

/// Runs `work` for each number on all processors, each with a range of the numbers.
fn on_all_processors(numbers: u64, work: impl Fn(u64) -> std::io::Result<()> + Sync) -> Result<()> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let stretch = numbers.div_ceil(threads as u64).max(1);
    at_once(threads, |thread| {
        let begin = thread as u64 * stretch;
        Ok((begin..numbers.min(begin + stretch)).try_for_each(&work)?)
    })?;
    Ok(())
}

/// The cost of moving a file, or several.
struct Moved {
    elapsed: Duration,
    /// MiB/s.
    speed: f64,
    /// The server's CPU seconds per GiB.
    cpu: f64,
}

/// Sends lines that move this many bytes.
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

/// Formats 1000000 as "1,000,000".
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
