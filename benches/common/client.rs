//! OpenSSH's own client programs, with the same options for each server.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::common::fixture::Fixture;
use crate::common::servers::Server;

/// The time limit for a single client: after it, something hangs.
pub(crate) const LIMIT: Duration = Duration::from_secs(180);

/// A cipher by its name in SSH.
pub(crate) type Cipher = &'static str;
/// The fast one.
pub(crate) const AES: Cipher = "aes256-gcm@openssh.com";
/// The default of OpenSSH's client.
pub(crate) const CHACHA: Cipher = "chacha20-poly1305@openssh.com";

/// What happens to the client's standard output.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stdout {
    Discard,
    Keep,
}

/// Runs `sftp` with a batch of its commands. Returns the time from its start to its end, login included,
/// and its output.
pub(crate) fn sftp(
    fixture: &Fixture,
    server: &Server,
    cipher: Cipher,
    batch: &str,
    stdout: Stdout,
) -> Result<(Duration, String)> {
    let mut command = Command::new(&fixture.programs.sftp);
    command
        .args(["-q", "-b", "-"])
        .args(options(fixture, server, cipher));
    command
        .arg("-P")
        .arg(server.port.to_string())
        .arg(format!("{}@127.0.0.1", server.user));
    command.current_dir(fixture.source());
    let (elapsed, output) = run(command, batch.as_bytes(), stdout)
        .and_then(|(elapsed, output)| succeeded(output).map(|text| (elapsed, text)))
        .with_context(|| {
            format!(
                "sftp to {} failed at: {batch}\n{}",
                server.peer.name(),
                server.last_words()
            )
        })?;
    Ok((elapsed, output))
}

/// Runs `scp` in its older protocol. Returns the time from its start to its end, login included.
pub(crate) fn scp(
    fixture: &Fixture,
    server: &Server,
    cipher: Cipher,
    (from, to): (&str, &str),
) -> Result<Duration> {
    let mut command = Command::new(&fixture.programs.scp);
    command
        .args(["-O", "-q"])
        .args(options(fixture, server, cipher));
    command.arg("-P").arg(server.port.to_string());
    command.args([from, to]).current_dir(fixture.source());
    run(command, b"", Stdout::Discard)
        .and_then(|(elapsed, output)| succeeded(output).map(|_| elapsed))
        .with_context(|| {
            format!(
                "scp to {} failed at: {from} {to}\n{}",
                server.peer.name(),
                server.last_words()
            )
        })
}

/// Runs a command on the server. Returns the time from the start of `ssh` to its end, and the output.
pub(crate) fn run_command(
    fixture: &Fixture,
    server: &Server,
    line: &str,
) -> Result<(Duration, String)> {
    let mut command = Command::new(&fixture.programs.ssh);
    command.arg("-n").args(options(fixture, server, AES));
    command
        .arg("-p")
        .arg(server.port.to_string())
        .arg(format!("{}@127.0.0.1", server.user));
    command.arg(line);
    run(command, b"", Stdout::Keep)
        .and_then(|(elapsed, output)| succeeded(output).map(|text| (elapsed, text)))
        .with_context(|| {
            format!(
                "ssh to {} failed\n{}",
                server.peer.name(),
                server.last_words()
            )
        })
}

/// An idle SFTP session, until it is dropped.
pub(crate) struct IdleSession {
    client: Child,
    stdin: Option<ChildStdin>,
}

impl IdleSession {
    /// Starts `ssh -s sftp`; returns before it is logged in.
    pub(crate) fn begin(fixture: &Fixture, server: &Server) -> Result<Self> {
        // SSH_FXP_INIT, version 3.
        const INIT: [u8; 9] = [0, 0, 0, 5, 1, 0, 0, 0, 3];
        let mut client = Command::new(&fixture.programs.ssh)
            .args(options(fixture, server, AES))
            .arg("-p")
            .arg(server.port.to_string())
            .args(["-s", &format!("{}@127.0.0.1", server.user), "sftp"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start ssh")?;
        let mut stdin = client.stdin.take().context("no stdin")?;
        stdin.write_all(&INIT)?;
        Ok(Self {
            client,
            stdin: Some(stdin),
        })
    }

    /// Waits until the server has answered: the session is up.
    pub(crate) fn wait_until_up(&mut self) -> Result<()> {
        let stdout = self.client.stdout.as_mut().context("no stdout")?;
        let mut length_and_type = [0; 5];
        // It ends with an error if ssh gives up, which ConnectTimeout makes it do.
        stdout
            .read_exact(&mut length_and_type)
            .context("an idle session did not come up")?;
        match length_and_type {
            [.., 2] => Ok(()),
            _ => bail!("no SSH_FXP_VERSION but {length_and_type:?}"),
        }
    }
}

impl Drop for IdleSession {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.client.kill();
        let _ = self.client.wait();
    }
}

/// Options for ssh, sftp and scp, with the server's cipher that corresponds to the wanted one. The settings
/// of the user and of the machine are ignored.
pub(crate) fn options(fixture: &Fixture, server: &Server, wanted: Cipher) -> Vec<String> {
    let cipher = server.peer.cipher(wanted);
    let path = |path: &Path| path.display().to_string();
    let mut options = vec!["-F".to_owned(), "none".to_owned()];
    for option in [
        format!("Ciphers={cipher}"),
        // The same work for all servers in a login: they support different methods.
        "KexAlgorithms=curve25519-sha256".to_owned(),
        "HostKeyAlgorithms=ssh-ed25519".to_owned(),
        format!("IdentityFile={}", path(&fixture.client_key())),
        "IdentitiesOnly=yes".to_owned(),
        "IdentityAgent=none".to_owned(),
        "PreferredAuthentications=publickey".to_owned(),
        format!("UserKnownHostsFile={}", path(&fixture.known_hosts())),
        "GlobalKnownHostsFile=none".to_owned(),
        "StrictHostKeyChecking=yes".to_owned(),
        "UpdateHostKeys=no".to_owned(),
        "BatchMode=yes".to_owned(),
        "ConnectTimeout=60".to_owned(),
        "LogLevel=ERROR".to_owned(),
    ] {
        options.push("-o".to_owned());
        options.push(option);
    }
    options
}

/// Runs a client to its end, or kills it at the time limit.
fn run(mut command: Command, input: &[u8], stdout: Stdout) -> Result<(Duration, Output)> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::piped()).stderr(Stdio::piped());
    command.stdout(if stdout == Stdout::Keep {
        Stdio::piped()
    } else {
        Stdio::null()
    });

    let started = Instant::now();
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start {program}"))?;
    child
        .stdin
        .take()
        .context("no stdin")?
        .write_all(input)
        .context("it takes no input")?;

    let output = finish(child, &program, LIMIT)?;
    Ok((started.elapsed(), output))
}

/// Waits until a client ends, or kills it at the time limit.
pub(crate) fn finish(child: Child, program: &str, limit: Duration) -> Result<Output> {
    let pid = Pid::from_raw(i32::try_from(child.id())?).context("a process without an id")?;
    let handle = pidfd_open(pid, PidfdFlags::empty())?;
    let (done, waiting) = mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        let late = waiting.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
        if late {
            let _ = pidfd_send_signal(&handle, Signal::KILL);
        }
        late
    });
    let output = child.wait_with_output()?;
    drop(done);
    match watchdog.join() {
        Ok(false) => Ok(output),
        _ => bail!("{program} did not end within {limit:?}"),
    }
}

/// Runs the same work on several threads; returns the time from the first start to the last end.
pub(crate) fn at_once<T>(
    threads: usize,
    work: impl Fn(usize) -> Result<T> + Sync,
) -> Result<Duration> {
    let started = Instant::now();
    std::thread::scope(|scope| {
        let work = &work;
        let running: Vec<_> = (0..threads)
            .map(|number| scope.spawn(move || work(number).map(drop)))
            .collect();
        running
            .into_iter()
            .try_for_each(|thread| match thread.join() {
                Ok(outcome) => outcome,
                Err(_) => bail!("a thread panicked"),
            })
    })?;
    Ok(started.elapsed())
}

pub(crate) fn succeeded(output: Output) -> Result<String> {
    if !output.status.success() {
        bail!(
            "{}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
