//! What the command line says.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Parser;

use crate::common::inner::Inner;
use crate::common::servers::{Builds, Peer, Programs};
use crate::common::sizes::bytes;
use crate::workloads::{ALL, Workload};

/// Measures Landfall beside OpenSSH's sshd: the same sftp program, the same files, in turns.
#[derive(Debug, Parser)]
#[command(name = "compare")]
pub(crate) struct Arguments {
    /// Rounds; in each one every server does every work once
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,

    /// Size of the big file, for example 256MiB
    #[arg(long, default_value = "1GiB", value_parser = bytes)]
    size: u64,

    /// Idle sessions that are held open to weigh their memory
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    sessions: u32,

    /// Only this work (again for more)
    #[arg(long, value_name = "WORK", value_parser = clap::builder::PossibleValuesParser::new(ALL.iter().map(|w| w.name)))]
    only: Vec<String>,

    /// Only this server (again for more), for example beneath a profiler
    #[arg(long, value_enum, value_name = "SERVER")]
    server: Vec<Peer>,

    /// All further servers that are on this machine, too: rclone, ProFTPD, SFTPGo (`bash
    /// benches/peers` installs them)
    #[arg(long, conflicts_with = "server")]
    peers: bool,

    /// A smoke run: everything once, with little
    #[arg(long, conflicts_with_all = ["rounds", "size", "sessions"])]
    quick: bool,

    /// Writes every sample to this file too
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Writes a plot of the big file's transfers to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,

    /// Measures nothing, but draws what an earlier run wrote with --json
    #[arg(long, value_name = "FILE", requires = "svg")]
    pub(crate) from: Option<PathBuf>,

    /// Where files and homes are made; its file system is part of what is measured
    #[arg(long, value_name = "DIR", default_value = env!("CARGO_TARGET_TMPDIR"))]
    pub(crate) dir: PathBuf,

    /// The landfall program to measure
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_landfall"))]
    pub(crate) landfall: PathBuf,

    /// Another landfall program, to see what a change has brought: `--server before --server
    /// landfall` leaves OpenSSH out
    #[arg(long, value_name = "FILE")]
    pub(crate) before: Option<PathBuf>,

    /// Settings for that other server only, to see what they cost: lines of config.toml, such as
    /// `audit.enabled = false`. Without --before it is the same program
    #[arg(long, value_name = "LINE")]
    pub(crate) before_with: Vec<String>,

    /// Given by `cargo bench`. Without it this is `cargo test`, which wants a smoke run
    #[arg(long, hide = true)]
    bench: bool,

    #[command(subcommand)]
    pub(crate) inner: Option<Inner>,
}

/// How much of everything.
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
    /// Logins one after the other.
    pub(crate) logins: u32,
    /// Logins of each of the clients that log in at once.
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

    /// The builds of Landfall that take part.
    pub(crate) fn builds(&self) -> Builds {
        Builds {
            landfall: self.landfall.clone(),
            before: self.before.clone(),
            before_with: self.before_with.clone(),
        }
    }

    /// Who takes part; the first is what the others are held against. Says who is left out because
    /// it is not on this machine.
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
