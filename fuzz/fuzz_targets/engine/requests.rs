//! Requests from bytes: most are well-formed, on few names, so that they conflict.

use crate::wire::{self, Attrs, Body, flag};

/// Path components: names that [`crate::home`] creates, names that do not exist, and invalid ones.
const NAMES: &[&[u8]] = &[
    b"f",
    b"d",
    b"g",
    b"h",
    b"made",
    b"up",
    b"abs",
    b"leaf",
    b"root",
    b"self",
    b"link",
    b"new",
    b"fifo",
    b"..",
    b"..",
    b".",
    b"outside",
    b"canary",
    b"home",
    b"~",
    b"~anna",
    b"\xff\xfe (deleted)",
    b"a\0b",
    &[b'n'; 255],
    &[b'n'; 256],
];

/// Sizes for a file: none that fills a disk, and some that no kernel accepts.
const SIZES: &[u64] = &[0, 1, 5, 4096, 70_000, 1 << 20, 1 << 63, u64::MAX];
const OFFSETS: &[u64] = &[
    0,
    1,
    5,
    4096,
    69_999,
    1 << 20,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];
const LENGTHS: &[u32] = &[0, 1, 10, 4096, 65_536, 261_120, 261_121, u32::MAX];
const WRITTEN: &[usize] = &[0, 1, 10, 1000, 5000];
const BLOCKS: &[u32] = &[0, 0, 1, 256, 300, 70_000, u32::MAX];
const COPIED: &[u64] = &[0, 1, 10, 5000, 65_536, u64::MAX];
const IDS: &[u32] = &[0, 1000, u32::MAX];

/// Each copy to the end of a file can double what is stored, and each fsync waits for a disk.
const COPIES: u8 = 4;
const SYNCS: u8 = 2;

/// The possible reply, other than an error.
pub enum Answer {
    Done,
    /// Always an error.
    Refused,
    /// `Done`; this handle is closed in any case, if the request was complete.
    Closed(Vec<u8>),
    Handle,
    /// At most this many bytes.
    Data(usize),
    Listing,
    Path,
    Attrs,
    Extended,
}

/// The peer's next action.
pub enum Asked {
    Request {
        body: Vec<u8>,
        answer: Answer,
    },
    /// INIT again.
    Init,
    /// It stops reading, but its requests still count.
    Leave,
    /// A packet that is too short to have an id: there is no way to answer it.
    Broken {
        body: Vec<u8>,
    },
}

pub struct Generator<'a> {
    input: &'a [u8],
    outside: Vec<u8>,
    /// All handles that were returned, also the closed ones.
    pub handles: Vec<Vec<u8>>,
    copies: u8,
    syncs: u8,
}

impl<'a> Generator<'a> {
    pub fn new(input: &'a [u8], outside: Vec<u8>) -> Self {
        Self {
            input,
            outside,
            handles: Vec::new(),
            copies: COPIES,
            syncs: SYNCS,
        }
    }

    /// Returns the next action; `None` at the end of the input.
    pub fn next(&mut self, id: u32) -> Option<Asked> {
        let (&choice, rest) = self.input.split_first()?;
        self.input = rest;
        let new = |kind| Body::new(kind, id);
        // OPEN and WRITE are more frequent: without them little happens.
        let (body, answer) = match choice & 0x3f {
            0..=3 => {
                let body = new(wire::OPEN).string(self.path()).u32(self.open_flags());
                (body.attrs(&self.attrs()), Answer::Handle)
            }
            4 => {
                let handle = self.handle();
                let body = new(wire::CLOSE).string(&handle);
                (body, Answer::Closed(handle))
            }
            5 | 6 => {
                let body = new(wire::READ).string(self.handle()).u64(self.of(OFFSETS));
                let length = self.of(LENGTHS);
                let most = length.min(landfall::sftp::engine::MAX_DATA);
                (body.u32(length), Answer::Data(most as usize))
            }
            7..=9 => {
                let body = new(wire::WRITE).string(self.handle()).u64(self.of(OFFSETS));
                let data = vec![choice; self.of(WRITTEN)];
                (body.string(data), Answer::Done)
            }
            10 => (new(wire::LSTAT).string(self.path()), Answer::Attrs),
            11 => (new(wire::FSTAT).string(self.handle()), Answer::Attrs),
            12 => {
                let body = new(wire::SETSTAT).string(self.path());
                (body.attrs(&self.attrs()), Answer::Done)
            }
            13 => {
                let body = new(wire::FSETSTAT).string(self.handle());
                (body.attrs(&self.attrs()), Answer::Done)
            }
            14 => (new(wire::OPENDIR).string(self.path()), Answer::Handle),
            15 => (new(wire::READDIR).string(self.handle()), Answer::Listing),
            16 => (new(wire::REMOVE).string(self.path()), Answer::Done),
            17 => {
                let body = new(wire::MKDIR).string(self.path());
                (body.attrs(&self.attrs()), Answer::Done)
            }
            18 => (new(wire::RMDIR).string(self.path()), Answer::Done),
            19 => (new(wire::REALPATH).string(self.path()), Answer::Path),
            20 => (new(wire::STAT).string(self.path()), Answer::Attrs),
            21 | 22 => {
                let body = new(wire::RENAME).string(self.path());
                (body.string(self.path()), Answer::Done)
            }
            23 => (new(wire::READLINK).string(self.path()), Answer::Path),
            24 | 25 => {
                let body = new(wire::SYMLINK).string(self.path());
                (body.string(self.path()), Answer::Done)
            }
            26 => {
                // No type of version 3 has this bit.
                let kind = self.byte() | 0x20;
                (new(kind).raw(self.input), Answer::Refused)
            }
            27 => return Some(Asked::Init),
            28 => return Some(Asked::Leave),
            29 => {
                let mut body = new(self.byte()).0;
                body.truncate(1 + usize::from(self.byte() & 3));
                return Some(Asked::Broken { body });
            }
            other => self.extended(new(wire::EXTENDED), other),
        };
        let mut body = body.0;
        match choice >> 6 {
            // Truncated after the id.
            1 if self.byte() & 1 != 0 => {
                body.truncate(5 + usize::from(self.byte()));
            }
            // Clients may send extra data.
            2 => body.extend_from_slice(b"more"),
            _ => {}
        }
        Some(Asked::Request { body, answer })
    }

    fn extended(&mut self, body: Body, choice: u8) -> (Body, Answer) {
        match choice {
            30..=32 => {
                let body = body.string("posix-rename@openssh.com").string(self.path());
                (body.string(self.path()), Answer::Done)
            }
            33 => {
                let body = body.string("statvfs@openssh.com").string(self.path());
                (body, Answer::Extended)
            }
            34 => {
                let body = body.string("fstatvfs@openssh.com").string(self.handle());
                (body, Answer::Extended)
            }
            35..=37 => {
                let body = body.string("hardlink@openssh.com").string(self.path());
                (body.string(self.path()), Answer::Done)
            }
            38 if self.syncs > 0 => {
                self.syncs -= 1;
                let body = body.string("fsync@openssh.com").string(self.handle());
                (body, Answer::Done)
            }
            39 | 40 => {
                let body = body.string("lsetstat@openssh.com").string(self.path());
                (body.attrs(&self.attrs()), Answer::Done)
            }
            41 => (body.string("limits@openssh.com"), Answer::Extended),
            42 | 43 => {
                let body = body.string("expand-path@openssh.com").string(self.path());
                (body, Answer::Path)
            }
            44..=47 if self.copies > 0 => {
                self.copies -= 1;
                let body = body.string("copy-data").string(self.handle());
                let body = body.u64(self.of(OFFSETS)).u64(self.of(COPIED));
                let body = body.string(self.handle()).u64(self.of(OFFSETS));
                (body, Answer::Done)
            }
            48 => {
                let user = [&b"anna"[..], b"", b"root"][usize::from(self.byte() % 3)];
                (body.string("home-directory").string(user), Answer::Path)
            }
            49 => {
                let body = body.string("users-groups-by-id@openssh.com");
                (
                    body.string(self.some()).string(self.some()),
                    Answer::Extended,
                )
            }
            50 => {
                let body = body.string("space-available").string(self.path());
                (body, Answer::Extended)
            }
            51 | 52 if self.copies > 0 => {
                self.copies -= 1;
                let body = body.string("copy-file").string(self.path());
                let body = body.string(self.path());
                (body.raw(&[self.byte() & 1]), Answer::Done)
            }
            53..=55 => {
                let name = self.of(&["check-file", "check-file-handle", "check-file-name"]);
                let body = body.string(name);
                let body = if name.ends_with("name") {
                    body.string(self.path())
                } else {
                    body.string(self.handle())
                };
                let body = body.string(self.of(&["sha256", "crc32", "x,md5", ""]));
                let body = body.u64(self.of(OFFSETS)).u64(self.of(COPIED));
                (body.u32(self.of(BLOCKS)), Answer::Extended)
            }
            _ => (body.string("unknown@example.org"), Answer::Refused),
        }
    }

    /// The next byte; 0 after the end.
    fn byte(&mut self) -> u8 {
        let (byte, rest) = self.input.split_first().unwrap_or((&0, &[]));
        self.input = rest;
        *byte
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.byte()) % choices.len()]
    }

    fn u32(&mut self) -> u32 {
        u32::from_be_bytes([self.byte(), self.byte(), self.byte(), self.byte()])
    }

    /// Up to 31 bytes as they are.
    fn some(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte() & 31).min(self.input.len());
        let (some, rest) = self.input.split_at(length);
        self.input = rest;
        some
    }

    /// A path; as the target of a link it may lead outside.
    fn path(&mut self) -> Vec<u8> {
        let form = self.byte();
        match form {
            0xfd => return self.some().to_vec(),
            0xfe => return self.outside.clone(),
            0xff => return b"../".repeat(1400),
            _ => {}
        }
        let names: Vec<&[u8]> = (0..form % 5).map(|_| self.of(NAMES)).collect();
        let mut path = Vec::new();
        if form & 0x08 != 0 {
            path.push(b'/');
        }
        path.extend(names.join(&b"//"[..if form & 0x10 != 0 { 2 } else { 1 }]));
        if form & 0x20 != 0 {
            path.push(b'/');
        }
        path
    }

    /// The newest handle, an older one, or an invalid one.
    fn handle(&mut self) -> Vec<u8> {
        match self.byte() {
            0xff => self.some().to_vec(),
            age => {
                let count = self.handles.len();
                let place = count.checked_sub(1 + usize::from(age % 16));
                place.map_or_else(Vec::new, |place| self.handles[place].clone())
            }
        }
    }

    fn open_flags(&mut self) -> u32 {
        let all = flag::READ | flag::WRITE | flag::APPEND | flag::CREAT | flag::TRUNC | flag::EXCL;
        match self.byte() {
            0xff => self.u32(),
            flags => u32::from(flags) & all,
        }
    }

    fn attrs(&mut self) -> Attrs {
        let has = self.byte();
        Attrs {
            size: (has & 1 != 0).then(|| self.of(SIZES)),
            owner: (has & 2 != 0).then(|| (self.of(IDS), self.of(IDS))),
            permissions: (has & 4 != 0).then(|| self.u32()),
            times: (has & 8 != 0).then(|| (self.u32(), self.u32())),
        }
    }
}
