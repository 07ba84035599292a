//! SFTP version 3 packets as a client encodes and decodes them; written from the draft
//! (draft-ietf-secsh-filexfer-02), not from the server, so that the two check each other.

pub const INIT: u8 = 1;
pub const VERSION: u8 = 2;
pub const OPEN: u8 = 3;
pub const CLOSE: u8 = 4;
pub const READ: u8 = 5;
pub const WRITE: u8 = 6;
pub const LSTAT: u8 = 7;
pub const FSTAT: u8 = 8;
pub const SETSTAT: u8 = 9;
pub const FSETSTAT: u8 = 10;
pub const OPENDIR: u8 = 11;
pub const READDIR: u8 = 12;
pub const REMOVE: u8 = 13;
pub const MKDIR: u8 = 14;
pub const RMDIR: u8 = 15;
pub const REALPATH: u8 = 16;
pub const STAT: u8 = 17;
pub const RENAME: u8 = 18;
pub const READLINK: u8 = 19;
pub const SYMLINK: u8 = 20;
pub const STATUS: u8 = 101;
pub const HANDLE: u8 = 102;
pub const DATA: u8 = 103;
pub const NAME: u8 = 104;
pub const ATTRS: u8 = 105;
pub const EXTENDED: u8 = 200;
pub const EXTENDED_REPLY: u8 = 201;

/// OPEN's flags (section 6.3).
pub mod flag {
    pub const READ: u32 = 0x01;
    pub const WRITE: u32 = 0x02;
    pub const APPEND: u32 = 0x04;
    pub const CREAT: u32 = 0x08;
    pub const TRUNC: u32 = 0x10;
    pub const EXCL: u32 = 0x20;
}

/// Status codes (section 7).
pub mod code {
    pub const OK: u32 = 0;
    pub const EOF: u32 = 1;
    pub const NO_SUCH_FILE: u32 = 2;
    pub const PERMISSION_DENIED: u32 = 3;
    pub const FAILURE: u32 = 4;
    pub const BAD_MESSAGE: u32 = 5;
    pub const OP_UNSUPPORTED: u32 = 8;
}

/// The largest packet that a server accepts, by its length field (OpenSSH: SFTP_MAX_MSG_LENGTH).
pub const MAX_PACKET: usize = 262_144;

/// A packet's body under construction: type, then id, then fields.
#[derive(Clone, Default)]
pub struct Body(pub Vec<u8>);

/// Appends bytes with their length (RFC 4251, section 5).
pub fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
    out.extend_from_slice(bytes);
}

impl Body {
    pub fn new(kind: u8, id: u32) -> Self {
        Self(vec![kind]).u32(id)
    }

    pub fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub fn u64(mut self, value: u64) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub fn string(mut self, bytes: impl AsRef<[u8]>) -> Self {
        string(&mut self.0, bytes.as_ref());
        self
    }

    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub fn attrs(self, attrs: &Attrs) -> Self {
        let mut flags = 0;
        flags |= u32::from(attrs.size.is_some());
        flags |= u32::from(attrs.owner.is_some()) << 1;
        flags |= u32::from(attrs.permissions.is_some()) << 2;
        flags |= u32::from(attrs.times.is_some()) << 3;
        let mut body = self.u32(flags);
        if let Some(size) = attrs.size {
            body = body.u64(size);
        }
        if let Some((uid, gid)) = attrs.owner {
            body = body.u32(uid).u32(gid);
        }
        if let Some(permissions) = attrs.permissions {
            body = body.u32(permissions);
        }
        if let Some((atime, mtime)) = attrs.times {
            body = body.u32(atime).u32(mtime);
        }
        body
    }

    /// The packet: its length, then the body.
    pub fn packet(&self) -> Vec<u8> {
        let mut out = u32::try_from(self.0.len()).unwrap().to_be_bytes().to_vec();
        out.extend_from_slice(&self.0);
        out
    }
}

/// ATTRS (section 5), without extended pairs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attrs {
    pub size: Option<u64>,
    pub owner: Option<(u32, u32)>,
    pub permissions: Option<u32>,
    pub times: Option<(u32, u32)>,
}

impl Attrs {
    pub fn mode(&self) -> u32 {
        self.permissions.unwrap() & 0o7777
    }

    pub fn is_dir(&self) -> bool {
        self.permissions.unwrap() & 0o170_000 == 0o040_000
    }

    pub fn mtime(&self) -> u32 {
        self.times.unwrap().1
    }
}

/// One entry of a NAME reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    pub name: Vec<u8>,
    pub longname: Vec<u8>,
    pub attrs: Attrs,
}

/// A reply of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Version {
        version: u32,
        extensions: Vec<(String, Vec<u8>)>,
    },
    Status {
        id: u32,
        code: u32,
        message: String,
    },
    Handle {
        id: u32,
        handle: Vec<u8>,
    },
    Data {
        id: u32,
        data: Vec<u8>,
    },
    Name {
        id: u32,
        names: Vec<Name>,
    },
    Attrs {
        id: u32,
        attrs: Attrs,
    },
    Extended {
        id: u32,
        data: Vec<u8>,
    },
}

impl Reply {
    pub fn id(&self) -> u32 {
        match self {
            Self::Version { .. } => panic!("VERSION has no id"),
            Self::Status { id, .. }
            | Self::Handle { id, .. }
            | Self::Data { id, .. }
            | Self::Name { id, .. }
            | Self::Attrs { id, .. }
            | Self::Extended { id, .. } => *id,
        }
    }

    /// Returns the code of a STATUS; anything else fails the test.
    #[track_caller]
    pub fn code(&self) -> u32 {
        match self {
            Self::Status { code, .. } => *code,
            other => panic!("not a STATUS: {other:?}"),
        }
    }

    #[track_caller]
    pub fn message(&self) -> &str {
        match self {
            Self::Status { message, .. } => message,
            other => panic!("not a STATUS: {other:?}"),
        }
    }

    #[track_caller]
    pub fn handle(self) -> Vec<u8> {
        match self {
            Self::Handle { handle, .. } => handle,
            other => panic!("not a HANDLE: {other:?}"),
        }
    }

    #[track_caller]
    pub fn data(self) -> Vec<u8> {
        match self {
            Self::Data { data, .. } => data,
            other => panic!("not DATA: {} bytes expected, got {other:?}", "some"),
        }
    }

    #[track_caller]
    pub fn names(self) -> Vec<Name> {
        match self {
            Self::Name { names, .. } => names,
            other => panic!("not a NAME: {other:?}"),
        }
    }

    #[track_caller]
    pub fn attrs(self) -> Attrs {
        match self {
            Self::Attrs { attrs, .. } => attrs,
            other => panic!("not ATTRS: {other:?}"),
        }
    }

    #[track_caller]
    pub fn extended(self) -> Vec<u8> {
        match self {
            Self::Extended { data, .. } => data,
            other => panic!("not an EXTENDED_REPLY: {other:?}"),
        }
    }

    /// Parses a whole body; one that is too short, too long or unknown fails the test.
    #[track_caller]
    pub fn parse(body: &[u8]) -> Self {
        let mut fields = Fields(body);
        let kind = fields.u8();
        let reply = if kind == VERSION {
            let version = fields.u32();
            let mut extensions = Vec::new();
            while !fields.0.is_empty() {
                extensions.push((fields.text(), fields.string()));
            }
            Self::Version {
                version,
                extensions,
            }
        } else {
            let id = fields.u32();
            match kind {
                STATUS => {
                    let code = fields.u32();
                    let message = fields.text();
                    let _language = fields.text();
                    Self::Status { id, code, message }
                }
                HANDLE => Self::Handle {
                    id,
                    handle: fields.string(),
                },
                DATA => Self::Data {
                    id,
                    data: fields.string(),
                },
                NAME => {
                    let count = fields.u32();
                    let names = (0..count).map(|_| fields.name()).collect();
                    Self::Name { id, names }
                }
                ATTRS => Self::Attrs {
                    id,
                    attrs: fields.attrs(),
                },
                EXTENDED_REPLY => {
                    let data = std::mem::take(&mut fields.0).to_vec();
                    Self::Extended { id, data }
                }
                other => panic!("a reply of unknown type {other}"),
            }
        };
        assert!(fields.0.is_empty(), "bytes after {reply:?}: {:?}", fields.0);
        reply
    }
}

/// Reads fields one after the other.
pub struct Fields<'a>(pub &'a [u8]);

impl Fields<'_> {
    #[track_caller]
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (head, rest) = self.0.split_first_chunk().expect("a field is cut off");
        self.0 = rest;
        *head
    }

    pub fn u8(&mut self) -> u8 {
        u8::from_be_bytes(self.take())
    }

    pub fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.take())
    }

    pub fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.take())
    }

    pub fn string(&mut self) -> Vec<u8> {
        let length = self.u32() as usize;
        let (head, rest) = self
            .0
            .split_at_checked(length)
            .expect("a string is cut off");
        self.0 = rest;
        head.to_vec()
    }

    pub fn text(&mut self) -> String {
        String::from_utf8(self.string()).expect("text that is not UTF-8")
    }

    fn name(&mut self) -> Name {
        Name {
            name: self.string(),
            longname: self.string(),
            attrs: self.attrs(),
        }
    }

    fn attrs(&mut self) -> Attrs {
        let flags = self.u32();
        assert_eq!(
            flags & !0xf,
            0,
            "attribute flags that version 3 has not: {flags:#x}"
        );
        Attrs {
            size: (flags & 1 != 0).then(|| self.u64()),
            owner: (flags & 2 != 0).then(|| (self.u32(), self.u32())),
            permissions: (flags & 4 != 0).then(|| self.u32()),
            times: (flags & 8 != 0).then(|| (self.u32(), self.u32())),
        }
    }
}
