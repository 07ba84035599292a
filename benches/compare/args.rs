//! Command line arguments.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Parser;

use crate::common::inner::Inner;
use crate::common::servers::{Builds, Peer, Programs};
use crate::common::sizes::bytes;
use crate::workloads::{ALL, Workload};

/// Measures Landfall and OpenSSH's sshd with the same sftp program and the same files, in turns.
#[derive(Debug, Parser)]
#[command(name = "compare")]
pub(crate) struct Arguments {
    /// Rounds; in each one every server runs every workload once
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,

    /// Size of the big file, for example 256MiB
    #[arg(long, default_value = "1GiB", value_parser = bytes)]
    size: u64,

    /// Idle sessions that are held open to measure their memory
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    sessions: u32,

    /// Only this workload (repeatable)
    #[arg(long, value_name = "WORK", value_parser = clap::builder::PossibleValuesParser::new(ALL.iter().map(|w| w.name)))]
    only: Vec<String>,

    /// Only this server (repeatable), for example under a profiler
    #[arg(long, value_enum, value_name = "SERVER")]
    server: Vec<Peer>,

    /// Also all further servers that are installed: rclone, ProFTPD, SFTPGo (`bash benches/peers` installs
    /// them)
    #[arg(long, conflicts_with = "server")]
    peers: bool,

    /// A smoke run: everything once, with little data
    #[arg(long, conflicts_with_all = ["rounds", "size", "sessions"])]
    quick: bool,

    /// Also writes every sample to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Writes a plot of the big file's transfers to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,

    /// Does not measure, but draws the results that an earlier run wrote with --json
    #[arg(long, value_name = "FILE", requires = "svg")]
    pub(crate) from: Option<PathBuf>,

    /// Folder for files and homes; its file system is part of the measurement
    #[arg(long, value_name = "DIR", default_value = env!("CARGO_TARGET_TMPDIR"))]
    pub(crate) dir: PathBuf,

    /// The landfall program to measure
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_landfall"))]
    pub(crate) landfall: PathBuf,

    /// Another landfall program, to see the effect of a change: `--server before --server landfall` leaves
    /// OpenSSH out
    #[arg(long, value_name = "FILE")]
    pub(crate) before: Option<PathBuf>,

    /// Settings for the other program only, to see their cost: lines of config.toml, such as `audit.enabled
    /// = false`. Without --before it is the same program
    #[arg(long, value_name = "LINE")]
    pub(crate) before_with: Vec<String>,

    /// Set by `cargo bench`. Without it, `cargo test` has started this, which wants a smoke run
    #[arg(long, hide = true)]
    bench: bool,

    #[command(subcommand)]
    pub(crate) inner: Option<Inner>,
}

/// The size of the workloads.
#[derive(Debug, Clone)]
pub(crate) struct Scale {
    /// Rounds.
    pub(crate) rounds: u32,
    /// Size of the big file in bytes.
    pub(crate) size: u64,
    /// Small files.
    pub(crate) small_files: u32,
    /// Names in the big directory.
    pub(crate) names: u32,
    /// Sequential logins.
    pub(crate) logins: u32,
    /// Logins of each of the clients that log in concurrently.
    pub(crate) logins_each: u32,
    /// Idle sessions.
    pub(crate) sessions: u32,
}

impl Arguments {
    pub(crate) fn scale(&self) -> Scale {
        if self.quick || !self.bench {
            return Scale {
                rounds: 1,
                size: 32 << 20,
                small_files: 100,
                names: 500,
                logins: 2,
                logins_each: 1,
                sessions: 16,
            };
        }
        Scale {
            rounds: self.rounds,
            size: self.size,
            small_files: 2000,
            names: 20_000,
            logins: 10,
            logins_each: 10,
            sessions: self.sessions,
        }
    }

    /// The builds of Landfall to measure.
    pub(crate) fn builds(&self) -> Builds {
        Builds {
            landfall: self.landfall.clone(),
            before: self.before.clone(),
            before_with: self.before_with.clone(),
        }
    }

    /// The servers to measure; the first is the reference. Prints the servers that are left out because
    /// they are not installed.
    pub(crate) fn peers(&self, programs: &Programs) -> Result<Vec<Peer>> {
        let changed = self.before.is_some() || !self.before_with.is_empty();
        let wanted = |peer: &Peer| match peer {
            Peer::Before if !changed => false,
            _ if !self.server.is_empty() => self.server.contains(peer),
            _ => self.peers || !peer.is_further(),
        };
        let mut peers = Vec::new();
        for peer in Peer::ALL.into_iter().filter(wanted) {
            if programs.server(peer).is_some() {
                peers.push(peer);
                continue;
            }
            let missing = format!(
                "{} is not on this machine: bash benches/peers installs it",
                peer.name()
            );
            if !self.peers {
                bail!(missing);
            }
            eprintln!("LEFT OUT: {missing}");
        }
        Ok(peers)
    }

    pub(crate) fn workloads(&self) -> Vec<&'static Workload> {
        let wanted =
            |work: &&Workload| self.only.is_empty() || self.only.iter().any(|w| w == work.name);
        ALL.iter().filter(wanted).collect()
    }
}
