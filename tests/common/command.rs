//! Programs with a deadline: none outlives it, and a failure shows their output.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

/// How a program ended, and its output.
#[derive(Debug)]
pub struct Output {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    shown: String,
}

impl Output {
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Fails the test unless the program returned 0.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(self.status.success(), "{}", self.describe());
        self
    }

    /// Fails the test if the program returned 0.
    #[track_caller]
    pub fn failed(self) -> Self {
        assert!(
            !self.status.success(),
            "should have failed: {}",
            self.describe()
        );
        self
    }

    pub fn describe(&self) -> String {
        format!(
            "{}\nended with {}\n--- stdout\n{}\n--- stderr\n{}",
            self.shown,
            self.status,
            tail(&self.out()),
            tail(&self.err()),
        )
    }
}

/// The last part of a long text.
pub fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(80);
    lines[from..].join("\n")
}

/// A program in a process group of its own. Dropping it kills the whole group, so that a dying client
/// leaves no ssh behind.
pub struct Running {
    child: Child,
    stdout: File,
    stderr: File,
    shown: String,
    ended: bool,
}

impl Running {
    /// Starts it. Output goes to files, so that a grandchild that keeps them open blocks nothing.
    #[track_caller]
    pub fn start(command: &mut Command) -> Self {
        let shown = format!("{command:?}");
        let stdout = tempfile::tempfile().unwrap();
        let stderr = tempfile::tempfile().unwrap();
        let child = command
            .stdout(stdout.try_clone().unwrap())
            .stderr(stderr.try_clone().unwrap())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {shown}: {error}"));
        Self {
            child,
            stdout,
            stderr,
            shown,
            ended: false,
        }
    }

    /// Takes over a program that was started elsewhere, with its own pipes.
    pub fn adopt(child: Child, shown: String) -> Self {
        let empty = || tempfile::tempfile().unwrap();
        Self {
            child,
            stdout: empty(),
            stderr: empty(),
            shown,
            ended: false,
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Returns the standard output so far.
    pub fn stdout_so_far(&self) -> String {
        String::from_utf8_lossy(&super::files::read_meanwhile(&self.stdout)).into_owned()
    }

    /// Returns the standard error so far.
    pub fn stderr_so_far(&self) -> String {
        String::from_utf8_lossy(&super::files::read_meanwhile(&self.stderr)).into_owned()
    }

    /// Sends a signal to the program alone.
    pub fn signal(&self, signal: Signal) {
        let _ = rustix::process::kill_process(Pid::from_child(&self.child), signal);
    }

    /// Sends a signal to the program and its descendants.
    pub fn signal_group(&self, signal: Signal) {
        let _ = rustix::process::kill_process_group(Pid::from_child(&self.child), signal);
    }

    /// Kills the program and its descendants (SIGKILL), and waits for it.
    pub fn kill(mut self) -> Output {
        self.signal_group(Signal::KILL);
        let status = self.child.wait().unwrap();
        self.output(status)
    }

    /// Waits for its end; after the deadline kills it and fails the test with its output.
    #[track_caller]
    pub fn wait(self, deadline: Duration) -> Output {
        self.wait_unless(deadline, |_| false)
    }

    /// Waits as [`Self::wait`] does; kills it as soon as `gives_up` returns true for the time it has run.
    #[track_caller]
    pub fn wait_unless(
        mut self,
        deadline: Duration,
        gives_up: impl Fn(Duration) -> bool,
    ) -> Output {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return self.output(status);
            }
            if gives_up(began.elapsed()) {
                return self.kill();
            }
            if began.elapsed() > deadline {
                self.signal_group(Signal::KILL);
                let status = self.child.wait().unwrap();
                let output = self.output(status);
                panic!("not done after {deadline:?}: {}", output.describe());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn output(&mut self, status: ExitStatus) -> Output {
        self.ended = true;
        Output {
            status,
            stdout: super::files::read_from_start(&self.stdout),
            stderr: super::files::read_from_start(&self.stderr),
            shown: std::mem::take(&mut self.shown),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            self.signal_group(Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

/// Runs a program, whatever its result.
#[track_caller]
pub fn run(command: &mut Command, deadline: Duration) -> Output {
    Running::start(command.stdin(Stdio::null())).wait(deadline)
}

/// Runs a program that must succeed.
#[track_caller]
pub fn run_ok(command: &mut Command, deadline: Duration) -> Output {
    run(command, deadline).ok()
}

/// Runs a program that reads `input`.
#[track_caller]
pub fn run_with_input(command: &mut Command, input: &[u8], deadline: Duration) -> Output {
    use std::io::{Seek, Write};
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(input).unwrap();
    file.rewind().unwrap();
    Running::start(command.stdin(file)).wait(deadline)
}
