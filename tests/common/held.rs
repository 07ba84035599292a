//! OpenSSH's sftp, held open: it runs one command at a time, when the test says so.

use std::io::Write as _;
use std::process::{ChildStdin, Command, Stdio};

use super::{HOST, Output, Running, STEP, TestServer, wait_until};

/// A session of OpenSSH's client.
pub struct Held {
    pub running: Running,
    input: Option<ChildStdin>,
}

impl Held {
    /// Logs in to the server's account; returns when the session is open.
    #[track_caller]
    pub fn open(server: &TestServer) -> Self {
        Self::over(server.sftp())
    }

    /// Does so with a prepared command.
    #[track_caller]
    pub fn over(mut sftp: Command) -> Self {
        sftp.args(["-b", "-", HOST]).stdin(Stdio::piped());
        let mut running = Running::start(&mut sftp);
        let input = running.child().stdin.take();
        let mut held = Self { running, input };
        held.assert_alive();
        held
    }

    /// Sends it a command without waiting.
    pub fn say(&mut self, line: &str) {
        // A client that was disconnected reads nothing more.
        let _ = writeln!(self.input.as_mut().unwrap(), "{line}");
    }

    /// Sends it a command that prints this when it is done.
    #[track_caller]
    pub fn done(&mut self, line: &str, prints: &str) {
        let before = self.running.stdout_so_far().matches(prints).count();
        self.say(line);
        wait_until(line, STEP, || {
            let said = self.running.stdout_so_far();
            assert!(
                self.running.is_running() || said.matches(prints).count() > before,
                "sftp has ended: {said}"
            );
            said.matches(prints).count() > before
        });
    }

    /// Checks that it still works.
    #[track_caller]
    pub fn assert_alive(&mut self) {
        self.done("df", "Avail");
    }

    /// Waits for the server to close it.
    #[track_caller]
    pub fn ended(mut self) -> Output {
        // sftp checks its connection only when it sends something.
        self.say("df");
        let Self { running, input } = self;
        let output = running.wait(STEP);
        drop(input);
        output
    }

    /// Closes it as a user would.
    #[track_caller]
    pub fn leave(self) {
        let Self { running, input } = self;
        drop(input);
        running.wait(STEP).ok();
    }
}
