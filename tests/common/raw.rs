//! SFTP at packet level: sends any bytes, with a deadline for every received packet.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{Sender, error::TrySendError};

use super::STEP;
use super::command::Running;
use super::wire::{self, Attrs, Body, MAX_PACKET, Name, Reply, code, flag};

/// Data of a test on a channel.
pub enum Outgoing {
    Data(Vec<u8>),
    Eof,
    Subsystem(&'static str),
    Exec(String),
    /// This many requests of each kind, without replies.
    Requests(usize),
}

/// Data of the server on a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Data(Vec<u8>),
    Stderr(Vec<u8>),
    ExitStatus(u32),
    Accepted(bool),
    Eof,
    Closed,
}

/// A channel over any transport.
pub struct Channel {
    outgoing: Sender<Outgoing>,
    events: Receiver<Event>,
}

impl Channel {
    pub fn new(outgoing: Sender<Outgoing>, events: Receiver<Event>) -> Self {
        Self { outgoing, events }
    }

    /// Sends; fails the test if the other side reads nothing for [`STEP`].
    #[track_caller]
    pub fn send(&mut self, outgoing: Outgoing) {
        assert!(
            self.try_send(outgoing, STEP),
            "nothing was taken from us for {STEP:?}"
        );
    }

    /// Sends; returns false if the other side reads nothing for this time, or has closed.
    pub fn try_send(&mut self, mut outgoing: Outgoing, deadline: Duration) -> bool {
        let began = Instant::now();
        loop {
            match self.outgoing.try_send(outgoing) {
                Ok(()) => return true,
                Err(TrySendError::Closed(_)) => return false,
                Err(TrySendError::Full(back)) => outgoing = back,
            }
            if began.elapsed() > deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Returns the next event; [`Event::Closed`] forever after the end. `None`: nothing in time.
    pub fn next(&mut self, deadline: Duration) -> Option<Event> {
        match self.events.recv_timeout(deadline) {
            Ok(event) => Some(event),
            Err(RecvTimeoutError::Disconnected) => Some(Event::Closed),
            Err(RecvTimeoutError::Timeout) => None,
        }
    }

    /// Returns whether the last request of a shell, command or subsystem was granted.
    #[track_caller]
    pub fn accepted(&mut self) -> bool {
        match self.next(STEP) {
            Some(Event::Accepted(yes)) => yes,
            Some(Event::Closed) => false,
            other => panic!("instead of a yes or no: {other:?}"),
        }
    }

    /// Returns everything until the channel is closed.
    #[track_caller]
    pub fn until_closed(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            match self.next(STEP) {
                Some(Event::Closed) => return events,
                Some(event) => events.push(event),
                None => panic!("not closed within {STEP:?}; until now: {events:?}"),
            }
        }
    }
}

/// How a wait for a packet can end without one.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// The channel was closed.
    Closed,
    /// Nothing arrived in time.
    Deadline,
}

/// An SFTP session with packets of the test's own.
pub struct RawSftp {
    channel: Channel,
    received: Vec<u8>,
    /// The server's exit status, once sent.
    pub exit_status: Option<u32>,
    /// The server's output on stderr.
    pub stderr: Vec<u8>,
    next_id: u32,
    /// Keeps the program that carries the channel alive, if there is one.
    pub program: Option<Running>,
}

impl RawSftp {
    pub fn over(channel: Channel) -> Self {
        Self {
            channel,
            received: Vec::new(),
            exit_status: None,
            stderr: Vec::new(),
            next_id: 1,
            program: None,
        }
    }

    /// Runs over `ssh -s`, with real flow control: ssh reads only as much from the network as the test
    /// reads from it (a pipe and its window). INIT is not sent yet.
    #[track_caller]
    pub fn over_ssh(ssh: &mut Command) -> Self {
        let command = ssh.args([super::HOST, "-s", "sftp"]).process_group(0);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let (outgoing, mut to_write) = tokio::sync::mpsc::channel::<Outgoing>(16);
        let (events, to_read) = sync_channel(1);
        std::thread::spawn(move || {
            while let Some(Outgoing::Data(bytes)) = to_write.blocking_recv() {
                if stdin.write_all(&bytes).is_err() {
                    break;
                }
            }
        });
        std::thread::spawn(move || {
            let mut block = vec![0; 1 << 16];
            while let Ok(length @ 1..) = stdout.read(&mut block) {
                if events.send(Event::Data(block[..length].to_vec())).is_err() {
                    return;
                }
            }
            let _ = events.send(Event::Closed);
        });
        let mut sftp = Self::over(Channel::new(outgoing, to_read));
        sftp.program = Some(Running::adopt(child, format!("{command:?}")));
        sftp
    }

    #[track_caller]
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.channel.send(Outgoing::Data(bytes.to_vec()));
    }

    /// Sends a packet with its length.
    #[track_caller]
    pub fn send(&mut self, body: &Body) {
        self.channel.send(Outgoing::Data(body.packet()));
    }

    /// Sends; returns false if nothing is read for this time.
    pub fn try_send(&mut self, body: &Body, deadline: Duration) -> bool {
        self.try_send_bytes(&body.packet(), deadline)
    }

    /// Sends bytes; returns false if nothing is read for this time.
    pub fn try_send_bytes(&mut self, bytes: &[u8], deadline: Duration) -> bool {
        self.channel
            .try_send(Outgoing::Data(bytes.to_vec()), deadline)
    }

    /// Sends this many requests of each kind that a channel can have.
    #[track_caller]
    pub fn send_requests(&mut self, of_each: usize) {
        self.channel.send(Outgoing::Requests(of_each));
    }

    #[track_caller]
    pub fn send_eof(&mut self) {
        self.channel.send(Outgoing::Eof);
    }

    /// Returns the body of the next packet.
    pub fn try_packet(&mut self, deadline: Duration) -> Result<Vec<u8>, Ended> {
        let began = Instant::now();
        loop {
            if let Some((head, rest)) = self.received.split_first_chunk::<4>() {
                let length = u32::from_be_bytes(*head) as usize;
                assert!(length <= MAX_PACKET, "a reply of {length} bytes");
                if rest.len() >= length {
                    let body = rest[..length].to_vec();
                    self.received.drain(..4 + length);
                    return Ok(body);
                }
            }
            let left = deadline.saturating_sub(began.elapsed());
            match self.channel.next(left) {
                Some(Event::Data(bytes)) => self.received.extend(bytes),
                Some(Event::Stderr(bytes)) => self.stderr.extend(bytes),
                Some(Event::ExitStatus(status)) => self.exit_status = Some(status),
                Some(Event::Eof | Event::Accepted(_)) => {}
                Some(Event::Closed) => return Err(Ended::Closed),
                None => return Err(Ended::Deadline),
            }
        }
    }

    #[track_caller]
    pub fn reply(&mut self) -> Reply {
        self.reply_within(STEP)
    }

    #[track_caller]
    pub fn reply_within(&mut self, deadline: Duration) -> Reply {
        match self.try_packet(deadline) {
            Ok(body) => Reply::parse(&body),
            Err(ended) => panic!("no reply: {ended:?}"),
        }
    }

    /// Waits until the server closes the channel; drops replies.
    #[track_caller]
    pub fn until_closed(&mut self) {
        loop {
            match self.try_packet(STEP) {
                Ok(_) => {}
                Err(Ended::Closed) => return,
                Err(Ended::Deadline) => panic!("the channel was not closed within {STEP:?}"),
            }
        }
    }

    // ---- requests that wait for their reply

    #[track_caller]
    pub fn init(&mut self) -> Vec<(String, Vec<u8>)> {
        self.send(&Body(vec![wire::INIT]).u32(3));
        match self.reply() {
            Reply::Version {
                version: 3,
                extensions,
            } => extensions,
            other => panic!("not VERSION 3: {other:?}"),
        }
    }

    /// Starts a request's body with a new id; `fields` adds the rest.
    pub fn body(&mut self, kind: u8) -> Body {
        let id = self.next_id;
        self.next_id += 1;
        Body::new(kind, id)
    }

    /// Sends a request and returns the reply, which must have its id.
    #[track_caller]
    pub fn ask(&mut self, body: &Body) -> Reply {
        self.send(body);
        let reply = self.reply();
        assert_eq!(reply.id().to_be_bytes(), body.0[1..5], "id of {reply:?}");
        reply
    }

    /// Sends a request with one string.
    #[track_caller]
    pub fn with_string(&mut self, kind: u8, string: impl AsRef<[u8]>) -> Reply {
        let body = self.body(kind).string(string);
        self.ask(&body)
    }

    #[track_caller]
    pub fn open(&mut self, path: impl AsRef<[u8]>, flags: u32, attrs: &Attrs) -> Reply {
        let body = self.body(wire::OPEN).string(path).u32(flags).attrs(attrs);
        self.ask(&body)
    }

    /// copy-file (draft-ietf-secsh-filexfer-extensions-00, section 6).
    #[track_caller]
    pub fn copy_file(&mut self, from: &str, to: &str, overwrite: bool) -> Reply {
        self.extended("copy-file", |body| {
            body.string(from).string(to).raw(&[u8::from(overwrite)])
        })
    }

    /// Opens a file that must open.
    #[track_caller]
    pub fn opened(&mut self, path: impl AsRef<[u8]>, flags: u32) -> Vec<u8> {
        self.open(path, flags, &Attrs::default()).handle()
    }

    #[track_caller]
    pub fn close(&mut self, handle: &[u8]) -> u32 {
        self.with_string(wire::CLOSE, handle).code()
    }

    #[track_caller]
    pub fn read(&mut self, handle: &[u8], offset: u64, length: u32) -> Reply {
        let body = self.body(wire::READ).string(handle).u64(offset).u32(length);
        self.ask(&body)
    }

    #[track_caller]
    pub fn write(&mut self, handle: &[u8], offset: u64, data: &[u8]) -> u32 {
        let body = self
            .body(wire::WRITE)
            .string(handle)
            .u64(offset)
            .string(data);
        self.ask(&body).code()
    }

    #[track_caller]
    pub fn stat(&mut self, path: impl AsRef<[u8]>) -> Reply {
        self.with_string(wire::STAT, path)
    }

    #[track_caller]
    pub fn lstat(&mut self, path: impl AsRef<[u8]>) -> Reply {
        self.with_string(wire::LSTAT, path)
    }

    #[track_caller]
    pub fn setstat(&mut self, path: impl AsRef<[u8]>, attrs: &Attrs) -> u32 {
        let body = self.body(wire::SETSTAT).string(path).attrs(attrs);
        self.ask(&body).code()
    }

    #[track_caller]
    pub fn fsetstat(&mut self, handle: &[u8], attrs: &Attrs) -> u32 {
        let body = self.body(wire::FSETSTAT).string(handle).attrs(attrs);
        self.ask(&body).code()
    }

    #[track_caller]
    pub fn remove(&mut self, path: impl AsRef<[u8]>) -> u32 {
        self.with_string(wire::REMOVE, path).code()
    }

    #[track_caller]
    pub fn mkdir(&mut self, path: impl AsRef<[u8]>) -> u32 {
        let body = self.body(wire::MKDIR).string(path).attrs(&Attrs::default());
        self.ask(&body).code()
    }

    #[track_caller]
    pub fn rename(&mut self, from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> u32 {
        let body = self.body(wire::RENAME).string(from).string(to);
        self.ask(&body).code()
    }

    #[track_caller]
    pub fn realpath(&mut self, path: impl AsRef<[u8]>) -> Vec<u8> {
        let names = self.with_string(wire::REALPATH, path).names();
        assert_eq!(names.len(), 1, "REALPATH gives exactly one name");
        names.into_iter().next().unwrap().name
    }

    /// Sends an EXTENDED request; `fields` adds the data after its name.
    #[track_caller]
    pub fn extended(&mut self, name: &str, fields: impl FnOnce(Body) -> Body) -> Reply {
        let body = fields(self.body(wire::EXTENDED).string(name));
        self.ask(&body)
    }

    /// Lists a whole directory, sorted by name.
    #[track_caller]
    pub fn list(&mut self, path: impl AsRef<[u8]>) -> Vec<Name> {
        let handle = self.with_string(wire::OPENDIR, path).handle();
        let mut all = Vec::new();
        loop {
            match self.with_string(wire::READDIR, &handle) {
                Reply::Name { names, .. } => {
                    assert!(!names.is_empty(), "a NAME without names");
                    all.extend(names);
                }
                reply => {
                    assert_eq!(reply.code(), code::EOF);
                    break;
                }
            }
        }
        assert_eq!(self.close(&handle), code::OK);
        all.sort_by(|left, right| left.name.cmp(&right.name));
        all
    }

    /// Writes a new file, one request after the other.
    #[track_caller]
    pub fn put(&mut self, path: &str, data: &[u8]) {
        let handle = self.opened(path, flag::WRITE | flag::CREAT | flag::TRUNC);
        for (number, piece) in data.chunks(32_768).enumerate() {
            assert_eq!(self.write(&handle, number as u64 * 32_768, piece), code::OK);
        }
        assert_eq!(self.close(&handle), code::OK);
    }

    /// Reads a file, one request after the other.
    #[track_caller]
    pub fn get(&mut self, path: &str) -> Vec<u8> {
        let handle = self.opened(path, flag::READ);
        let mut data = Vec::new();
        loop {
            match self.read(&handle, data.len() as u64, 32_768) {
                Reply::Data { data: piece, .. } => data.extend(piece),
                reply => {
                    assert_eq!(reply.code(), code::EOF);
                    break;
                }
            }
        }
        assert_eq!(self.close(&handle), code::OK);
        data
    }

    /// Checks that the session still works.
    #[track_caller]
    pub fn assert_alive(&mut self) {
        assert_eq!(self.realpath("."), b"/");
    }
}

/// Requests without a reply so far, in order.
#[derive(Default)]
pub struct InFlight(pub VecDeque<Vec<u8>>);

impl InFlight {
    #[track_caller]
    pub fn send(&mut self, sftp: &mut RawSftp, body: &Body) {
        sftp.send(body);
        self.expect(body);
    }

    /// Expects the reply to a request that is sent in another way.
    pub fn expect(&mut self, body: &Body) {
        self.0.push_back(body.0[1..5].to_vec());
    }

    /// Returns the next reply, which must belong to the oldest request.
    #[track_caller]
    pub fn reply(&mut self, sftp: &mut RawSftp) -> Reply {
        let reply = sftp.reply_within(super::TRANSFER);
        let oldest = self.0.pop_front().expect("a reply to nothing");
        assert_eq!(
            reply.id().to_be_bytes(),
            oldest[..],
            "replies come in order: {reply:?}"
        );
        reply
    }
}
