//! Random requests, many at a time, whether they succeed or not; the server may be killed meanwhile.

use crate::common::STEP;
use crate::common::files::{Random, bytes_of};
use crate::common::raw::Ended;
use crate::common::wire::{self, Attrs, Body, Reply, flag};
use crate::quota::scene::{Session, sized};

/// Few names, so that sessions conflict, and that a name is a file, a directory or a link in turn.
const NAMES: [&str; 10] = [
    "/a", "/b", "/c", "/d", "/d/a", "/d/b", "/e", "/e/a", "/e/b", "/d/e",
];
const MOST_OPEN: usize = 8;

/// Returns the seed of the random numbers: SEED, or a new one each time.
pub fn seed() -> u64 {
    let given = std::env::var("SEED").ok();
    given.map_or_else(
        || {
            let now = std::time::UNIX_EPOCH.elapsed().unwrap();
            u64::from(now.subsec_nanos())
        },
        |seed| seed.parse().unwrap(),
    )
}

/// A session under load.
pub struct Load {
    pub session: Session,
    random: Random,
    handles: Vec<Vec<u8>>,
    /// The maximum size or offset, roughly.
    largest: u64,
}

impl Load {
    pub fn new(session: Session, seed: u64, largest: u64) -> Self {
        Self {
            session,
            random: Random::new(seed),
            handles: Vec::new(),
            largest,
        }
    }

    /// Sends some requests, then receives the replies; returns false if the server is gone.
    pub fn burst(&mut self) -> bool {
        let count = 1 + self.random.below(32);
        for _ in 0..count {
            let body = self.request();
            if !self.session.try_send(&body, STEP) {
                return false;
            }
        }
        for _ in 0..count {
            match self.session.try_packet(STEP) {
                Ok(packet) => {
                    if let Reply::Handle { handle, .. } = Reply::parse(&packet) {
                        self.handles.push(handle);
                    }
                }
                Err(Ended::Closed) => return false,
                Err(Ended::Deadline) => panic!("no reply within {STEP:?}"),
            }
        }
        true
    }

    fn name(&mut self) -> &'static str {
        NAMES[self.random.below(NAMES.len() as u64) as usize]
    }

    fn size(&mut self) -> u64 {
        match self.random.below(20) {
            0 => 1 << 40,
            1..4 => self.largest + self.random.below(10),
            _ => self.random.below(self.largest),
        }
    }

    fn request(&mut self) -> Body {
        let (name, other, size) = (self.name(), self.name(), self.size());
        if self.handles.len() > MOST_OPEN {
            return self.close();
        }
        match self.random.below(24) {
            0..5 => self.open(),
            5 => self.close(),
            6..14 => self.on_handle(),
            14 => self.body(wire::SETSTAT).string(name).attrs(&sized(size)),
            15 => self.body(wire::RENAME).string(name).string(other),
            16 => {
                let body = self.extended("posix-rename@openssh.com");
                body.string(name).string(other)
            }
            17 => {
                let body = self.extended("hardlink@openssh.com");
                body.string(name).string(other)
            }
            18 => self.body(wire::SYMLINK).string(other).string(name),
            19 => self.body(wire::MKDIR).string(name).attrs(&Attrs::default()),
            20 => self.body(wire::RMDIR).string(name),
            _ => self.body(wire::REMOVE).string(name),
        }
    }

    fn open(&mut self) -> Body {
        let name = self.name();
        // Half of the requests create the file; the other flags are random.
        let make = flag::CREAT * self.random.below(2) as u32;
        let flags = make | (self.random.below(64) as u32 & !flag::EXCL);
        let attrs = match self.random.below(4) {
            0 => sized(self.size()),
            _ => Attrs::default(),
        };
        self.body(wire::OPEN).string(name).u32(flags).attrs(&attrs)
    }

    fn close(&mut self) -> Body {
        if self.handles.is_empty() {
            return self.open();
        }
        let number = self.random.below(self.handles.len() as u64) as usize;
        let handle = self.handles.swap_remove(number);
        self.body(wire::CLOSE).string(handle)
    }

    fn on_handle(&mut self) -> Body {
        if self.handles.is_empty() {
            return self.open();
        }
        let handle = self.handle();
        let size = self.size();
        match self.random.below(10) {
            0 | 1 => self.body(wire::FSETSTAT).string(handle).attrs(&sized(size)),
            2 => {
                let (from, offset) = (self.handle(), self.random.below(self.largest));
                let body = self.extended("copy-data").string(from).u64(offset);
                body.u64(0).string(handle).u64(size)
            }
            _ => {
                let length = self.random.below(self.largest.min(32_768)) as usize;
                let body = self.body(wire::WRITE).string(handle).u64(size);
                body.string(bytes_of(length, size))
            }
        }
    }

    fn handle(&mut self) -> Vec<u8> {
        let number = self.random.below(self.handles.len() as u64) as usize;
        self.handles[number].clone()
    }

    fn body(&mut self, kind: u8) -> Body {
        self.session.body(kind)
    }

    fn extended(&mut self, name: &str) -> Body {
        self.body(wire::EXTENDED).string(name)
    }
}
