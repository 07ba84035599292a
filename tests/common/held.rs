//! OpenSSH's sftp, held open: it does one command at a time, when the test says so.

use std::io::Write as _;
use std::process::{ChildStdin, Command, Stdio};

use super::{HOST, Output, Running, STEP, TestServer, wait_until};

/// A session of OpenSSH's client.
pub struct Held {
    pub running: Running,
    input: Option<ChildStdin>,
}

impl Held {
    /// Logs in, as the account of the server; returns when the session is there.
    #[track_caller]
    pub fn open(server: &TestServer) -> Self {
        Self::over(server.sftp())
    }

    /// The same by a command that was prepared otherwise.
    #[track_caller]
    pub fn over(mut sftp: Command) -> Self {
        sftp.args(["-b", "-", HOST]).stdin(Stdio::piped());
        let mut running = Running::start(&mut sftp);
        let input = running.child().stdin.take();
        let mut held = Self { running, input };
        held.assert_alive();
        held
    }

    /// Gives it a command, and does not wait.
    pub fn say(&mut self, line: &str) {
        // Who was ended reads nothing more.
        let _ = writeln!(self.input.as_mut().unwrap(), "{line}");
    }

    /// Gives it a command that must print this when it is done.
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

    /// It can still do something.
    #[track_caller]
    pub fn assert_alive(&mut self) {
        self.done("df", "Avail");
    }

    /// The end that the server makes.
    #[track_caller]
    pub fn ended(mut self) -> Output {
        // sftp looks at its connection only when it has something to ask.
        self.say("df");
        let Self { running, input } = self;
        let output = running.wait(STEP);
        drop(input);
        output
    }

    /// The end that the user makes.
    #[track_caller]
    pub fn leave(self) {
        let Self { running, input } = self;
        drop(input);
        running.wait(STEP).ok();
    }
}
