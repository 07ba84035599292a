//! A client that is logged in and waits for commands. Its batch comes through a pipe that stays open, so
//! commands are timed apart from the login.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::common::client::{self, AES, LIMIT, succeeded};
use crate::common::fixture::Fixture;
use crate::common::servers::Server;

/// The answer to `pwd`. The client gives it without asking the server, so it shows that all earlier
/// commands are done.
const ANSWER: &str = "Remote working directory: ";

/// Clients that log in concurrently: servers refuse clients when there are too many before login.
const LOGINS_AT_ONCE: u64 = 16;

/// An `sftp` that is logged in, or logging in.
pub(crate) struct Session {
    /// `None` once it is closed, which ends the client.
    stdin: Option<ChildStdin>,
    /// `None` once it has ended.
    client: Option<Child>,
    /// For each answer, the number of lines before it that describe a plain file, as `ls -l` prints them.
    answers: Receiver<u32>,
    program: PathBuf,
}

impl Session {
    /// Starts the client; returns before it is logged in. `port` is the server's or a proxy's.
    fn begin(fixture: &Fixture, server: &Server, port: u16) -> Result<Self> {
        let program = fixture.programs.sftp.clone();
        let mut client = Command::new(&program)
            .args(["-q", "-b", "-"])
            .args(client::options(fixture, server, AES))
            .arg("-P")
            .arg(port.to_string())
            .arg(format!("{}@127.0.0.1", server.user))
            .current_dir(fixture.source())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start sftp")?;
        let stdin = client.stdin.take();
        let stdout = client.stdout.take().context("no stdout")?;
        let (answered, answers) = mpsc::channel();
        // The thread ends with the client.
        std::thread::spawn(move || {
            let mut files = 0;
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if line.starts_with(ANSWER) {
                    let _ = answered.send(std::mem::take(&mut files));
                } else if line.starts_with("-r") {
                    files += 1;
                }
            }
        });
        let mut session = Self {
            stdin,
            client: Some(client),
            answers,
            program,
        };
        session.ask("")?;
        Ok(session)
    }

    /// Logs in.
    pub(crate) fn open(fixture: &Fixture, server: &Server, port: u16) -> Result<Self> {
        let mut session = Self::begin(fixture, server, port)?;
        session
            .wait(LIMIT)
            .with_context(|| format!("no login\n{}", server.last_words()))?;
        Ok(session)
    }

    /// Logs in many times.
    pub(crate) fn open_many(fixture: &Fixture, server: &Server, many: u64) -> Result<Vec<Self>> {
        let mut sessions = Vec::new();
        let mut left = many;
        while left > 0 {
            let group = left.min(LOGINS_AT_ONCE);
            let mut begun = (0..group)
                .map(|_| Self::begin(fixture, server, server.port))
                .collect::<Result<Vec<_>>>()?;
            for session in &mut begun {
                session.wait(LIMIT).with_context(|| {
                    format!(
                        "{} of {many} are in\n{}",
                        sessions.len(),
                        server.last_words()
                    )
                })?;
            }
            sessions.append(&mut begun);
            left -= group;
        }
        Ok(sessions)
    }

    /// Sends lines of a batch.
    pub(crate) fn ask(&mut self, lines: &str) -> Result<()> {
        let stdin = self.stdin.as_mut().context("the session has ended")?;
        let text = format!("{lines}\npwd\n");
        Ok(stdin.write_all(text.as_bytes())?)
    }

    /// Waits until they are done; returns how many plain files were listed.
    pub(crate) fn wait(&mut self, limit: Duration) -> Result<u32> {
        match self.answers.recv_timeout(limit) {
            Ok(files) => Ok(files),
            Err(RecvTimeoutError::Timeout) => bail!("sftp is not done within {limit:?}"),
            // It has failed; its output says why.
            Err(RecvTimeoutError::Disconnected) => match self.finish() {
                Ok(()) => bail!("sftp has ended too early"),
                Err(error) => Err(error),
            },
        }
    }

    /// Does both; returns the time and the number of plain files that were listed.
    pub(crate) fn carry_out(&mut self, lines: &str, limit: Duration) -> Result<(Duration, u32)> {
        let started = Instant::now();
        self.ask(lines)?;
        let files = self.wait(limit)?;
        Ok((started.elapsed(), files))
    }

    /// Logs out.
    pub(crate) fn end(mut self) -> Result<()> {
        self.finish()
    }

    /// All log out at the same time.
    pub(crate) fn end_all(mut sessions: Vec<Self>) -> Result<()> {
        for session in &mut sessions {
            drop(session.stdin.take());
        }
        sessions.into_iter().try_for_each(Self::end)
    }

    fn finish(&mut self) -> Result<()> {
        drop(self.stdin.take());
        let client = self.client.take().context("it has ended")?;
        let output = client::finish(client, &self.program.to_string_lossy(), LIMIT)?;
        succeeded(output).map(drop)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.stdin.take());
        if let Some(client) = &mut self.client {
            let _ = client.kill();
            let _ = client.wait();
        }
    }
}

/// The maximum time to move this many bytes; after it, the session hangs.
pub(crate) fn patience(bytes: u64) -> Duration {
    const SLOWEST: u64 = 8 << 20;
    LIMIT + Duration::from_secs(bytes / SLOWEST)
}
