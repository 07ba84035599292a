//! The client's side of the protocol, byte by byte.

use std::collections::VecDeque;

use crate::common::STEP;
use crate::common::connection::Connection;
use crate::common::raw::{Channel, Event, Outgoing};

/// A channel that runs `scp` on the server.
pub struct RawScp {
    channel: Channel,
    received: VecDeque<u8>,
    stderr: Vec<u8>,
    exit_status: Option<u32>,
    is_closed: bool,
}

/// An error from the server instead of the byte 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    pub is_fatal: bool,
    pub text: String,
}

impl RawScp {
    #[track_caller]
    pub fn start(connection: &Connection, line: &str) -> Self {
        let mut channel = connection.channel();
        channel.send(Outgoing::Exec(line.to_owned()));
        assert!(channel.accepted(), "{line} was refused");
        Self {
            channel,
            received: VecDeque::new(),
            stderr: Vec::new(),
            exit_status: None,
            is_closed: false,
        }
    }

    /// An upload whose target was accepted.
    #[track_caller]
    pub fn to(connection: &Connection, line: &str) -> Self {
        let mut scp = Self::start(connection, line);
        scp.well();
        scp
    }

    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.channel.send(Outgoing::Data(bytes.as_ref().to_vec()));
    }

    #[track_caller]
    pub fn send_eof(&mut self) {
        self.channel.send(Outgoing::Eof);
    }

    /// Receives more data; returns false at the end.
    #[track_caller]
    fn receive(&mut self) -> bool {
        match self.channel.next(STEP) {
            Some(Event::Data(bytes)) => self.received.extend(bytes),
            Some(Event::Stderr(bytes)) => self.stderr.extend(bytes),
            Some(Event::ExitStatus(status)) => self.exit_status = Some(status),
            Some(Event::Eof | Event::Accepted(_)) => {}
            Some(Event::Closed) => self.is_closed = true,
            None => panic!(
                "nothing came for {STEP:?} after {}",
                self.received.make_contiguous().escape_ascii()
            ),
        }
        !self.is_closed
    }

    /// Returns the next bytes.
    #[track_caller]
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        while self.received.len() < length {
            assert!(
                self.receive(),
                "ended after {}; stderr: {}",
                self.received.make_contiguous().escape_ascii(),
                self.stderr.escape_ascii()
            );
        }
        self.received.drain(..length).collect()
    }

    /// Returns the next line without its line feed.
    #[track_caller]
    pub fn line(&mut self) -> String {
        let mut line = Vec::new();
        loop {
            match self.bytes(1)[0] {
                b'\n' => return String::from_utf8_lossy(&line).into_owned(),
                byte => line.push(byte),
            }
        }
    }

    #[track_caller]
    pub fn answer(&mut self) -> Result<(), Complaint> {
        let kind = self.bytes(1)[0];
        if kind == 0 {
            return Ok(());
        }
        assert!(matches!(kind, 1 | 2), "an answer of kind {kind}");
        Err(Complaint {
            is_fatal: kind == 2,
            text: self.line(),
        })
    }

    #[track_caller]
    pub fn well(&mut self) {
        let answer = self.answer();
        assert_eq!(answer, Ok(()));
    }

    /// Returns an error message after which the transfer continues.
    #[track_caller]
    pub fn complaint(&mut self) -> String {
        self.answer().expect_err("no complaint").text
    }

    /// Sends a line that must be accepted.
    #[track_caller]
    pub fn say(&mut self, line: impl AsRef<[u8]>) {
        self.send([line.as_ref(), b"\n"].concat());
        self.well();
    }

    /// Sends a file that must be accepted.
    #[track_caller]
    pub fn put(&mut self, name: &str, data: &[u8]) {
        self.say(format!("C0644 {} {name}", data.len()));
        self.send([data, b"\0"].concat());
        self.well();
    }

    /// Expects no more data and nothing on stderr; returns the exit status.
    #[track_caller]
    pub fn ended(&mut self) -> u32 {
        while self.receive() {}
        let rest = (
            self.received.make_contiguous().escape_ascii(),
            self.stderr.escape_ascii(),
        );
        assert_eq!(
            (rest.0.to_string(), rest.1.to_string()),
            (String::new(), String::new())
        );
        self.exit_status.expect("no exit status")
    }

    /// Expects an error that ends the transfer with status 1; returns its message.
    #[track_caller]
    pub fn given_up(&mut self) -> String {
        let text = self.complaint();
        assert_eq!(self.ended(), 1, "{text}");
        text
    }
}
