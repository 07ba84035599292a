//! What is measured: one table, a row for each work, with its goals.

use std::fs::{self, File};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};

use crate::args::Scale;
use crate::client::{self, AES, CHACHA, Cipher, IdleSession, Stdout};
use crate::fixture::{Fixture, same_file, same_files};
use crate::servers::{Peer, Server};

/// Clients that transfer at once.
const TRANSFERS_AT_ONCE: usize = 4;
/// Clients that log in at once.
const LOGINS_AT_ONCE: usize = 16;

/// A work that every server does, and what is measured while it does.
pub(crate) struct Workload {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// Its name in the table.
    pub(crate) title: fn(&Scale) -> String,
    /// What `run` returns, in this order.
    pub(crate) measures: &'static [Measure],
    /// Whether a single round says it all: it is slow, and memory has no noise.
    pub(crate) once: bool,
    /// Does it once without measuring and looks at every byte of the result.
    pub(crate) verify: fn(&Bench) -> Result<()>,
    /// Does it and measures.
    pub(crate) run: fn(&Bench) -> Result<Vec<f64>>,
}

/// A figure of a work.
pub(crate) struct Measure {
    /// What it is, with its unit.
    pub(crate) title: &'static str,
    /// What it has to be against OpenSSH (design.md, "Goals in figures").
    pub(crate) goal: Option<Goal>,
}

/// A bound for the ratio to the reference.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

/// What a work has to do with.
pub(crate) struct Bench<'a> {
    pub(crate) fixture: &'a Fixture,
    pub(crate) scale: &'a Scale,
    pub(crate) server: &'a Server,
}

/// All works, in the order of the table.
pub(crate) const ALL: &[Workload] = &[
    Workload {
        name: "get-aes",
        title: |scale| format!("get {}, aes256-gcm", size(scale.size)),
        measures: &transfer_measures(Goal::AtLeast(1.2), Goal::AtMost(0.25)),
        once: false,
        verify: |bench| bench.verify_get(AES),
        run: |bench| bench.get(AES),
    },
    Workload {
        name: "put-aes",
        title: |scale| format!("put {}, aes256-gcm", size(scale.size)),
        measures: &transfer_measures(Goal::AtLeast(1.4), Goal::AtMost(0.33)),
        once: false,
        verify: |bench| bench.verify_put(AES),
        run: |bench| bench.put(AES),
    },
    Workload {
        name: "get-chacha",
        title: |scale| format!("get {}, chacha20-poly1305", size(scale.size)),
        measures: &transfer_measures(Goal::AtLeast(1.0), Goal::AtMost(0.6)),
        once: false,
        verify: |bench| bench.verify_get(CHACHA),
        run: |bench| bench.get(CHACHA),
    },
    Workload {
        name: "put-chacha",
        title: |scale| format!("put {}, chacha20-poly1305", size(scale.size)),
        measures: &transfer_measures(Goal::AtLeast(1.0), Goal::AtMost(0.6)),
        once: false,
        verify: |bench| bench.verify_put(CHACHA),
        run: |bench| bench.put(CHACHA),
    },
    Workload {
        name: "scp-get",
        title: |scale| format!("scp -O from there, {}, aes256-gcm", size(scale.size)),
        measures: &transfer_measures(Goal::AtLeast(1.0), Goal::AtMost(0.5)),
        once: false,
        verify: |bench| bench.verify_scp_get(),
        run: |bench| bench.scp_get(),
    },
    Workload {
        name: "scp-put",
        title: |scale| format!("scp -O to there, {}, aes256-gcm", size(scale.size)),
        measures: &transfer_measures(Goal::AtLeast(1.0), Goal::AtMost(0.5)),
        once: false,
        verify: |bench| bench.verify_scp_put(),
        run: |bench| bench.scp_put(),
    },
    Workload {
        name: "get-4",
        title: |scale| {
            format!(
                "{TRANSFERS_AT_ONCE} gets of {} at once",
                size(scale.size / 2)
            )
        },
        measures: &transfer_measures_of_many(Goal::AtLeast(1.4)),
        once: false,
        verify: |bench| bench.verify_get(AES),
        run: |bench| bench.get_at_once(),
    },
    Workload {
        name: "put-4",
        title: |scale| {
            format!(
                "{TRANSFERS_AT_ONCE} puts of {} at once",
                size(scale.size / 2)
            )
        },
        measures: &transfer_measures_of_many(Goal::AtLeast(1.4)),
        once: false,
        verify: |bench| bench.verify_put(AES),
        run: |bench| bench.put_at_once(),
    },
    Workload {
        name: "get-small",
        title: |scale| format!("get -r {} files of 4 KiB", scale.small_files),
        measures: &[Measure {
            title: "s",
            goal: Some(Goal::AtMost(0.7)),
        }],
        once: false,
        verify: |bench| bench.get_small().map(drop),
        run: |bench| bench.get_small(),
    },
    Workload {
        name: "put-small",
        title: |scale| format!("put -r {} files of 4 KiB", scale.small_files),
        measures: &[Measure {
            title: "s",
            goal: Some(Goal::AtMost(0.7)),
        }],
        once: false,
        verify: |bench| bench.put_small().map(drop),
        run: |bench| bench.put_small(),
    },
    Workload {
        name: "list",
        title: |scale| format!("ls -l of {} names", scale.names),
        measures: &[Measure {
            title: "s",
            goal: Some(Goal::AtMost(0.5)),
        }],
        once: false,
        verify: |bench| bench.verify_list(),
        run: |bench| Ok(vec![bench.sftp(AES, "ls -l names")?.as_secs_f64()]),
    },
    Workload {
        name: "hash",
        title: |scale| format!("sha256sum of {} by ssh", size(scale.size)),
        measures: &transfer_measures(Goal::AtLeast(1.0), Goal::AtMost(1.0)),
        once: false,
        verify: |bench| bench.verify_hash(),
        run: |bench| bench.transfer(bench.scale.size, || bench.hash().map(|(time, _)| time)),
    },
    Workload {
        name: "login",
        title: |_| "log in, open sftp, quit".to_owned(),
        measures: &[Measure {
            title: "ms",
            goal: Some(Goal::AtMost(0.3)),
        }],
        once: false,
        verify: |bench| bench.sftp(AES, "quit").map(drop),
        run: |bench| bench.log_in(),
    },
    Workload {
        name: "logins",
        title: |_| format!("logins, {LOGINS_AT_ONCE} at once"),
        measures: &[
            Measure {
                title: "a second",
                goal: Some(Goal::AtLeast(4.0)),
            },
            Measure {
                title: "server CPU ms each",
                goal: None,
            },
        ],
        once: false,
        verify: |bench| bench.sftp(AES, "quit").map(drop),
        run: |bench| bench.log_in_at_once(),
    },
    Workload {
        name: "memory",
        title: |scale| format!("idle session, of {}", scale.sessions),
        measures: &[
            Measure {
                title: "PSS KiB",
                goal: Some(Goal::AtMost(0.05)),
            },
            Measure {
                title: "RSS KiB",
                goal: None,
            },
        ],
        once: true,
        verify: |_| Ok(()),
        run: |bench| bench.weigh_idle_sessions(),
    },
];

const fn transfer_measures(throughput: Goal, cpu: Goal) -> [Measure; 2] {
    [
        Measure {
            title: "MiB/s",
            goal: Some(throughput),
        },
        Measure {
            title: "server CPU s/GiB",
            goal: Some(cpu),
        },
    ]
}

const fn transfer_measures_of_many(throughput: Goal) -> [Measure; 2] {
    [
        Measure {
            title: "MiB/s in all",
            goal: Some(throughput),
        },
        Measure {
            title: "server CPU s/GiB",
            goal: None,
        },
    ]
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
        let figures = self.transfer(self.scale.size, || self.sftp(cipher, "put big put"))?;
        fs::remove_file(self.fixture.home().join("put"))?;
        Ok(figures)
    }

    /// The path of something in the home, for a command.
    fn path(&self, name: &str) -> String {
        match self.server.peer {
            // Only its sftp-server can be told to begin in the folder that is served.
            Peer::Openssh => self.fixture.home().join(name).display().to_string(),
            Peer::Before | Peer::Landfall => name.to_owned(),
        }
    }

    /// The same as scp takes it.
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
        let to = self.there("put");
        let figures = self.transfer(self.scale.size, || self.scp("big", &to))?;
        fs::remove_file(self.fixture.home().join("put"))?;
        Ok(figures)
    }

    fn verify_scp_get(&self) -> Result<()> {
        let target = self.fixture.fetched().join("big");
        self.scp(&self.there("big"), &target.display().to_string())?;
        same_file(&self.fixture.source().join("big"), &target)?;
        Ok(fs::remove_file(target)?)
    }

    fn verify_scp_put(&self) -> Result<()> {
        self.scp("big", &self.there("put"))?;
        let target = self.fixture.home().join("put");
        same_file(&self.fixture.source().join("big"), &target)?;
        Ok(fs::remove_file(target)?)
    }

    fn get_at_once(&self) -> Result<Vec<f64>> {
        self.transfer(self.scale.size / 2 * TRANSFERS_AT_ONCE as u64, || {
            at_once(TRANSFERS_AT_ONCE, |_| self.sftp(AES, "get half /dev/null"))
        })
    }

    fn put_at_once(&self) -> Result<Vec<f64>> {
        let figures = self.transfer(self.scale.size / 2 * TRANSFERS_AT_ONCE as u64, || {
            at_once(TRANSFERS_AT_ONCE, |number| {
                self.sftp(AES, &format!("put half put-{number}"))
            })
        })?;
        for number in 0..TRANSFERS_AT_ONCE {
            fs::remove_file(self.fixture.home().join(format!("put-{number}")))?;
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
        let elapsed = self.sftp(AES, "put -r small put-small")?;
        let target = self.fixture.home().join("put-small");
        same_files(&self.fixture.source().join("small"), &target)?;
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
        // A server of its own: what earlier work has left in its memory is no session's.
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
        self.sftp(cipher, "put big put")?;
        let target = self.fixture.home().join("put");
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
        const MEBIBYTE: f64 = (1 << 20) as f64;
        let before = self.server.cpu()?;
        let elapsed = work()?;
        let cpu = self.server.cpu()? - before;
        let mebibytes = bytes as f64 / MEBIBYTE;
        Ok(vec![
            mebibytes / elapsed.as_secs_f64(),
            cpu.as_secs_f64() * 1024.0 / mebibytes,
        ])
    }
}

/// Does the same from several threads; the time from the first start to the last end.
fn at_once<T>(threads: usize, work: impl Fn(usize) -> Result<T> + Sync) -> Result<Duration> {
    let started = std::time::Instant::now();
    std::thread::scope(|scope| {
        let work = &work;
        let running: Vec<_> = (0..threads)
            .map(|number| scope.spawn(move || work(number).map(drop)))
            .collect();
        running
            .into_iter()
            .try_for_each(|thread| match thread.join() {
                Ok(outcome) => outcome,
                Err(_) => bail!("a client's thread panicked"),
            })
    })?;
    Ok(started.elapsed())
}

/// A size for people.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        bytes if bytes % (1 << 30) == 0 => format!("{} GiB", bytes >> 30),
        bytes if bytes % (1 << 20) == 0 => format!("{} MiB", bytes >> 20),
        bytes => format!("{bytes} bytes"),
    }
}
