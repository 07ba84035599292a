//! The workloads: a [table] with a row for each, with its goals and functions.

use std::fs::{self, File};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};

use crate::args::Scale;
use crate::common::client::{self, AES, Cipher, IdleSession, Stdout, at_once};
use crate::common::fixture::{Fixture, same_file, same_files};
use crate::common::processes::for_a_gibibyte;
use crate::common::servers::{Ability, Peer, Server};
use crate::common::sizes::mebibytes;
use crate::floor::Floor;

pub(crate) use table::ALL;

mod table;

/// Clients that transfer concurrently.
const TRANSFERS_AT_ONCE: usize = 4;
/// Clients that log in concurrently.
const LOGINS_AT_ONCE: usize = 16;

/// A workload for every server, and its measures.
pub(crate) struct Workload {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// Its name in the table.
    pub(crate) title: fn(&Scale) -> String,
    /// The figures that `run` returns, in this order.
    pub(crate) measures: &'static [Measure],
    /// What a server needs for it besides SFTP.
    pub(crate) needs: Option<Ability>,
    /// The minimum CPU time for it, as a second reference.
    pub(crate) floor: Option<Floor>,
    /// Whether one round is enough: it is slow, and memory has no noise.
    pub(crate) once: bool,
    /// Runs once without measuring and checks every byte of the result.
    pub(crate) verify: fn(&Bench) -> Result<()>,
    /// Runs and measures.
    pub(crate) run: fn(&Bench) -> Result<Vec<f64>>,
}

/// A plotted measure of transfers.
pub(crate) const THROUGHPUT: &str = "MiB/s";
/// Another.
pub(crate) const CPU: &str = "server CPU s/GiB";

/// A figure of a workload.
pub(crate) struct Measure {
    /// Its name with the unit.
    pub(crate) title: &'static str,
    /// The limit of its ratio to OpenSSH.
    pub(crate) goal: Option<Goal>,
}

/// A limit for the ratio to the reference.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

/// What a workload can use.
pub(crate) struct Bench<'a> {
    pub(crate) fixture: &'a Fixture,
    pub(crate) scale: &'a Scale,
    pub(crate) server: &'a Server,
}

impl Bench<'_> {
    fn sftp(&self, cipher: Cipher, batch: &str) -> Result<Duration> {
        let (elapsed, _) = client::sftp(self.fixture, self.server, cipher, batch, Stdout::Discard)?;
        Ok(elapsed)
    }

    fn get(&self, cipher: Cipher) -> Result<Vec<f64>> {
        self.transfer(self.scale.size, || self.sftp(cipher, "get big /dev/null"))
    }

    fn put(&self, cipher: Cipher) -> Result<Vec<f64>> {
        let name = self.fixture.new_name();
        let batch = format!("put big {name}");
        let figures = self.transfer(self.scale.size, || self.sftp(cipher, &batch))?;
        fs::remove_file(self.fixture.home().join(name))?;
        Ok(figures)
    }

    /// The path of something in the home, for a command.
    fn path(&self, name: &str) -> String {
        match self.server.peer {
            // Only its sftp-server can start in the served folder.
            Peer::Openssh => self.fixture.home().join(name).display().to_string(),
            _ => name.to_owned(),
        }
    }

    /// The same, as scp accepts it.
    fn there(&self, name: &str) -> String {
        format!("{}@127.0.0.1:{}", self.server.user, self.path(name))
    }

    fn scp(&self, from: &str, to: &str) -> Result<Duration> {
        client::scp(self.fixture, self.server, AES, (from, to))
    }

    fn scp_get(&self) -> Result<Vec<f64>> {
        let from = self.there("big");
        self.transfer(self.scale.size, || self.scp(&from, "/dev/null"))
    }

    fn scp_put(&self) -> Result<Vec<f64>> {
        let name = self.fixture.new_name();
        let to = self.there(&name);
        let figures = self.transfer(self.scale.size, || self.scp("big", &to))?;
        fs::remove_file(self.fixture.home().join(name))?;
        Ok(figures)
    }

    fn verify_scp_get(&self) -> Result<()> {
        let target = self.fixture.fetched().join("big");
        self.scp(&self.there("big"), &target.display().to_string())?;
        same_file(&self.fixture.source().join("big"), &target)?;
        Ok(fs::remove_file(target)?)
    }

    fn verify_scp_put(&self) -> Result<()> {
        let name = self.fixture.new_name();
        self.scp("big", &self.there(&name))?;
        let target = self.fixture.home().join(name);
        same_file(&self.fixture.source().join("big"), &target)?;
        Ok(fs::remove_file(target)?)
    }

    fn get_at_once(&self) -> Result<Vec<f64>> {
        self.transfer(self.scale.size / 2 * TRANSFERS_AT_ONCE as u64, || {
            at_once(TRANSFERS_AT_ONCE, |_| self.sftp(AES, "get half /dev/null"))
        })
    }

    fn put_at_once(&self) -> Result<Vec<f64>> {
        let name = self.fixture.new_name();
        let figures = self.transfer(self.scale.size / 2 * TRANSFERS_AT_ONCE as u64, || {
            at_once(TRANSFERS_AT_ONCE, |number| {
                self.sftp(AES, &format!("put half {name}-{number}"))
            })
        })?;
        for number in 0..TRANSFERS_AT_ONCE {
            fs::remove_file(self.fixture.home().join(format!("{name}-{number}")))?;
        }
        Ok(figures)
    }

    fn get_small(&self) -> Result<Vec<f64>> {
        let target = self.fixture.fetched().join("small");
        let elapsed = self.sftp(AES, &format!("get -r small {}", target.display()))?;
        same_files(&self.fixture.source().join("small"), &target)?;
        fs::remove_dir_all(target)?;
        Ok(vec![elapsed.as_secs_f64()])
    }

    fn put_small(&self) -> Result<Vec<f64>> {
        let name = self.fixture.new_name();
        // `put -r` asks for the real path of the folder before it creates it, and ProFTPD returns none for
        // a missing path: so the folder is created first, for all servers.
        let batch = format!("mkdir {name}\nmkdir {name}/small\nput -r small {name}");
        let elapsed = self.sftp(AES, &batch)?;
        let target = self.fixture.home().join(name);
        same_files(&self.fixture.source().join("small"), &target.join("small"))?;
        fs::remove_dir_all(target)?;
        Ok(vec![elapsed.as_secs_f64()])
    }

    fn hash(&self) -> Result<(Duration, String)> {
        let file = self.fixture.home().join("big");
        // So that it is not the file whose hash is known from the last time.
        File::options()
            .write(true)
            .open(&file)?
            .set_modified(SystemTime::now())?;
        let line = format!("sha256sum {}", self.path("big"));
        client::run_command(self.fixture, self.server, &line)
    }

    fn log_in(&self) -> Result<Vec<f64>> {
        let mut total = Duration::ZERO;
        for _ in 0..self.scale.logins {
            total += self.sftp(AES, "quit")?;
        }
        Ok(vec![
            total.as_secs_f64() * 1e3 / f64::from(self.scale.logins),
        ])
    }

    fn log_in_at_once(&self) -> Result<Vec<f64>> {
        let logins = f64::from(self.scale.logins_each) * LOGINS_AT_ONCE as f64;
        let before = self.server.cpu()?;
        let elapsed = at_once(LOGINS_AT_ONCE, |_| {
            (0..self.scale.logins_each).try_for_each(|_| self.sftp(AES, "quit").map(drop))
        })?;
        let cpu = self.server.cpu()? - before;
        Ok(vec![
            logins / elapsed.as_secs_f64(),
            cpu.as_secs_f64() * 1e3 / logins,
        ])
    }

    fn weigh_idle_sessions(&self) -> Result<Vec<f64>> {
        // A fresh server: the memory that earlier work has left does not belong to a session.
        let server = self.server.peer.start(self.fixture)?;
        let before = server.memory()?;
        let mut sessions = Vec::new();
        let mut left = self.scale.sessions;
        while left > 0 {
            let group = left.min(LOGINS_AT_ONCE as u32);
            let mut started = (0..group)
                .map(|_| IdleSession::begin(self.fixture, &server))
                .collect::<Result<Vec<_>>>()?;
            started
                .iter_mut()
                .try_for_each(IdleSession::wait_until_up)
                .with_context(|| {
                    format!(
                        "{} of {} are up\n{}",
                        sessions.len(),
                        self.scale.sessions,
                        server.last_words()
                    )
                })?;
            sessions.append(&mut started);
            left -= group;
        }
        let with = server.memory()?;
        let each = |with: u64, before: u64| {
            with.saturating_sub(before) as f64 / 1024.0 / f64::from(self.scale.sessions)
        };
        Ok(vec![
            each(with.proportional, before.proportional),
            each(with.resident, before.resident),
        ])
    }

    fn verify_get(&self, cipher: Cipher) -> Result<()> {
        let target = self.fixture.fetched().join("big");
        self.sftp(cipher, &format!("get big {}", target.display()))?;
        same_file(&self.fixture.source().join("big"), &target)?;
        Ok(fs::remove_file(target)?)
    }

    fn verify_put(&self, cipher: Cipher) -> Result<()> {
        let name = self.fixture.new_name();
        self.sftp(cipher, &format!("put big {name}"))?;
        let target = self.fixture.home().join(name);
        same_file(&self.fixture.source().join("big"), &target)?;
        Ok(fs::remove_file(target)?)
    }

    fn verify_hash(&self) -> Result<()> {
        let (_, told) = self.hash()?;
        let here = Command::new("sha256sum")
            .arg(self.fixture.source().join("big"))
            .output()
            .context("cannot run sha256sum")?;
        if told.split(' ').next() != String::from_utf8_lossy(&here.stdout).split(' ').next() {
            bail!("{} has another hash: {told}", self.server.peer.name());
        }
        Ok(())
    }

    fn verify_list(&self) -> Result<()> {
        let (_, listing) =
            client::sftp(self.fixture, self.server, AES, "ls -l names", Stdout::Keep)?;
        let names = listing
            .lines()
            .filter(|line| line.contains("a-file-"))
            .count();
        if names != self.scale.names as usize {
            bail!(
                "{} lists {names} names of {}",
                self.server.peer.name(),
                self.scale.names
            );
        }
        Ok(())
    }

    /// Throughput in MiB/s and the server's CPU seconds per GiB.
    fn transfer(&self, bytes: u64, work: impl FnOnce() -> Result<Duration>) -> Result<Vec<f64>> {
        let before = self.server.cpu()?;
        let elapsed = work()?;
        let cpu = self.server.cpu()? - before;
        Ok(vec![
            mebibytes(bytes) / elapsed.as_secs_f64(),
            for_a_gibibyte(cpu, bytes),
        ])
    }
}
