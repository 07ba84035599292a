//! Frequent requests, and a channel on which the engine answers them, without SSH.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use landfall::quota::{CountHome, Limits};
use landfall::session::Session;
use landfall::sftp::engine::Engine;
use landfall::sftp::reply::VERSION;
use landfall::sftp::wire::Framer;
use landfall::store::Store;
use landfall::vfs::Vfs;
use tokio::runtime::Runtime;

use self::session::Entrance;
use self::wire::{Attrs, Body, Reply};

#[path = "../../tests/common/session.rs"]
mod session;
#[allow(dead_code)] // Shared with the tests, which use all of it.
#[path = "../../tests/common/wire.rs"]
pub(crate) mod wire;

/// Bytes in a READ or WRITE, as most clients choose.
pub(crate) const DATA: usize = 32 * 1024;

/// A typical path.
pub(crate) const PATH: &str = "/reports/2026/november/summary.pdf";

/// The channel delivers larger requests in pieces of this size.
const LONGEST_PIECE: usize = 32 * 1024;

/// A session with quotas, in a folder of its own. `count` counts its home.
pub(crate) fn log_in(folder: &Path, count: CountHome) -> (Runtime, Arc<Session>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let quota = Limits {
        bytes: Some(1 << 50),
        files: Some(1 << 30),
    };
    let session = runtime.block_on(async {
        let entrance = Entrance::new(folder, "[sftp]\nmax_handles = 1000\n", None, count).await;
        let terms = entrance.terms();
        entrance.log_in("OpenSSH_9.9", quota, terms).await
    });
    (runtime, session)
}

/// A request as it arrives: in chunks.
pub(crate) type Request = Vec<Bytes>;

fn request(body: Body) -> Request {
    let mut packet = Bytes::from(body.packet());
    let mut chunks = Vec::new();
    while packet.len() > LONGEST_PIECE {
        chunks.push(packet.split_to(LONGEST_PIECE));
    }
    chunks.push(packet);
    chunks
}

pub(crate) fn open(path: &str, flags: u32) -> Request {
    let body = Body::new(wire::OPEN, 1).string(path).u32(flags);
    request(body.attrs(&Attrs::default()))
}

pub(crate) fn close(handle: &[u8]) -> Request {
    request(Body::new(wire::CLOSE, 2).string(handle))
}

pub(crate) fn read(handle: &[u8], offset: usize) -> Request {
    let body = Body::new(wire::READ, 3).string(handle).u64(offset as u64);
    request(body.u32(DATA as u32))
}

pub(crate) fn write(handle: &[u8], offset: usize) -> Request {
    let body = Body::new(wire::WRITE, 4).string(handle).u64(offset as u64);
    request(body.string([7; DATA]))
}

pub(crate) fn stat(path: &str) -> Request {
    request(Body::new(wire::STAT, 5).string(path))
}

pub(crate) fn open_directory(path: &str) -> Request {
    request(Body::new(wire::OPENDIR, 6).string(path))
}

pub(crate) fn list(handle: &[u8]) -> Request {
    request(Body::new(wire::READDIR, 7).string(handle))
}

/// The server's side of a channel.
pub(crate) struct Channel {
    framer: Framer,
    engine: Engine,
}

impl Channel {
    /// A channel after INIT.
    pub(crate) fn new(session: Arc<Session>, store: Arc<dyn Store>) -> Self {
        let vfs = Vfs::new(session, store, Arc::new(AtomicBool::new(false)));
        let mut channel = Self {
            framer: Framer::default(),
            engine: Engine::new(vfs, (1000, 1000)),
        };
        let greeting = request(Body::new(wire::INIT, VERSION));
        assert!(matches!(channel.answer(&greeting), Reply::Version { .. }));
        channel
    }

    /// Carries out requests one after another; `hear` gets each reply.
    pub(crate) fn carry_out(&mut self, requests: &[Request], mut hear: impl FnMut(&Bytes)) {
        for chunk in requests.iter().flatten() {
            self.framer.push(chunk.clone());
            while let Some(frame) = self.framer.next_frame().unwrap() {
                if !self.engine.carry_out_now(&frame) {
                    assert!(self.engine.carry_out(frame));
                }
                while self.engine.is_unfinished() {
                    self.engine.go_on();
                }
                while let Some(reply) = self.engine.replies().take() {
                    hear(&reply);
                }
            }
        }
    }

    /// The replies to requests.
    pub(crate) fn answers(&mut self, requests: &[Request]) -> Vec<Reply> {
        let mut answers = Vec::new();
        self.carry_out(requests, |reply| answers.push(Reply::parse(&reply[4..])));
        answers
    }

    /// The reply to one request.
    pub(crate) fn answer(&mut self, request: &Request) -> Reply {
        let mut answers = self.answers(std::slice::from_ref(request));
        assert_eq!(answers.len(), 1);
        answers.remove(0)
    }
}
