//! Command line arguments.

use std::path::PathBuf;

use clap::Parser;

use crate::axes::{ALL, Axis};
use crate::common::inner::Inner;
use crate::common::servers::Builds;
use crate::common::sizes::bytes;

/// Measures how throughput, CPU and memory change as things grow, with OpenSSH's sshd beside Landfall where
/// it has the same.
#[derive(Debug, Parser)]
#[command(name = "growth")]
pub(crate) struct Arguments {
    /// Rounds; in each one every server runs the work of every point once
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,

    /// Only this axis (repeatable)
    #[arg(long, value_name = "AXIS", value_parser = clap::builder::PossibleValuesParser::new(ALL.iter().map(|axis| axis.name)))]
    only: Vec<String>,

    /// The data that all connections together download, for example 256MiB
    #[arg(long, default_value = "1GiB", value_parser = bytes)]
    total: u64,

    /// The largest file
    #[arg(long, default_value = "20GiB", value_parser = bytes)]
    largest: u64,

    /// Leaves out more connections, files in a home and accounts than this
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000_000)]
    most: u64,

    /// A smoke run: everything once, with little data
    #[arg(long, conflicts_with_all = ["rounds", "total", "largest", "most"])]
    quick: bool,

    /// Also writes every sample to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Writes a plot of each axis into this folder
    #[arg(long, value_name = "FOLDER")]
    pub(crate) svg: Option<PathBuf>,

    /// Folder for files and homes; its file system is part of the measurement
    #[arg(long, value_name = "DIR", default_value = env!("CARGO_TARGET_TMPDIR"))]
    pub(crate) dir: PathBuf,

    /// The landfall program to measure
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_landfall"))]
    landfall: PathBuf,

    /// Set by `cargo bench`. Without it, `cargo test` has started this, which wants a smoke run
    #[arg(long, hide = true)]
    bench: bool,

    #[command(subcommand)]
    pub(crate) inner: Option<Inner>,
}

/// The points of each axis, and the size of the work at each.
#[derive(Debug)]
pub(crate) struct Scale {
    pub(crate) rounds: u32,
    /// Concurrent clients.
    pub(crate) connections: Vec<u64>,
    /// The data that they download together, in bytes.
    pub(crate) total: u64,
    /// Files in a home.
    pub(crate) files: Vec<u64>,
    /// Names in the directory that is listed.
    pub(crate) names: u32,
    pub(crate) accounts: Vec<u64>,
    /// Logins at each number of accounts.
    pub(crate) logins: u32,
    /// Sizes of files in bytes.
    pub(crate) sizes: Vec<u64>,
    /// Round trips in milliseconds.
    pub(crate) delays: Vec<u64>,
    /// The data that crosses such a path, in bytes.
    pub(crate) delayed: u64,
}

impl Arguments {
    pub(crate) fn builds(&self) -> Builds {
        Builds {
            landfall: self.landfall.clone(),
            before: None,
            before_with: Vec::new(),
        }
    }

    pub(crate) fn scale(&self) -> Scale {
        const KIB: u64 = 1 << 10;
        const MIB: u64 = 1 << 20;
        const GIB: u64 = 1 << 30;
        if self.quick || !self.bench {
            return Scale {
                rounds: 1,
                connections: vec![1, 4],
                total: 8 * MIB,
                files: vec![1, 2000],
                names: 100,
                accounts: vec![10, 1000],
                logins: 2,
                sizes: vec![4 * KIB, MIB],
                delays: vec![0, 20],
                delayed: 4 * MIB,
            };
        }
        let up_to = |most: u64, points: &[u64]| {
            let points = points.iter().copied();
            points.filter(|point| *point <= most).collect()
        };
        Scale {
            rounds: self.rounds,
            connections: up_to(self.most, &[1, 4, 16, 64, 256]),
            total: self.total,
            files: up_to(self.most, &[1, 10_000, 1_000_000]),
            names: 1000,
            accounts: up_to(self.most, &[10, 10_000, 1_000_000]),
            logins: 20,
            sizes: up_to(self.largest, &[4 * KIB, 256 * KIB, 16 * MIB, GIB, 20 * GIB]),
            delays: vec![0, 20, 100],
            delayed: 64 * MIB,
        }
    }

    pub(crate) fn axes(&self) -> Vec<&'static Axis> {
        let wanted =
            |axis: &&Axis| self.only.is_empty() || self.only.iter().any(|it| it == axis.name);
        ALL.iter().filter(wanted).collect()
    }
}
