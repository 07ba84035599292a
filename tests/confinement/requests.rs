//! All requests that name a file or act on one, in one table.

use super::scene::{NEIGHBOURS_FILE, NEIGHBOURS_TIME, OWN_CONTENT, OWN_TARGET};
use crate::common::raw::RawSftp;
use crate::common::wire::{self, Attrs, Reply, code, flag};

/// One path in one session. Everything that is shown is checked.
pub struct Trial<'a> {
    pub sftp: &'a mut RawSftp,
    pub way: &'a str,
    own_files: u32,
}

pub const CHANGES: Attrs = Attrs {
    size: Some(2),
    owner: None,
    permissions: Some(0o600),
    times: Some((1000, 2000)),
};

impl<'a> Trial<'a> {
    pub fn new(sftp: &'a mut RawSftp, way: &'a str) -> Self {
        Self {
            sftp,
            way,
            own_files: 0,
        }
    }

    pub fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.way)
    }

    /// Creates a file in the home.
    fn own(&mut self) -> String {
        self.own_files += 1;
        let name = format!("/own-{}", self.own_files);
        self.sftp.put(&name, OWN_CONTENT);
        name
    }

    fn seen(&self, attrs: &Attrs) {
        assert_ne!(attrs.times.unwrap().1, NEIGHBOURS_TIME, "by {}", self.way);
    }

    /// Opens, reads existing data, examines, and closes; runs `act` before that.
    pub fn with_file(
        &mut self,
        name: &str,
        flags: u32,
        act: impl FnOnce(&mut Self, &[u8]) -> bool,
    ) -> bool {
        let Reply::Handle { handle, .. } = self.sftp.open(self.at(name), flags, &Attrs::default())
        else {
            return false;
        };
        let attrs = self.sftp.with_string(wire::FSTAT, &handle).attrs();
        self.seen(&attrs);
        if let Reply::Data { data, .. } = self.sftp.read(&handle, 0, 1000) {
            assert_eq!(data, OWN_CONTENT, "by {}", self.way);
        }
        let acted = act(self, &handle);
        assert_eq!(self.sftp.close(&handle), code::OK);
        acted
    }

    pub fn write(&mut self, handle: &[u8]) -> bool {
        self.sftp.write(handle, 0, OWN_CONTENT) == code::OK
    }

    pub fn two(&mut self, request: &str, from: &str, to: &str) -> bool {
        let reply = match request {
            "rename" => return self.sftp.rename(from, to) == code::OK,
            "symlink" => {
                let body = self.sftp.body(wire::SYMLINK).string(from).string(to);
                self.sftp.ask(&body)
            }
            extension => self
                .sftp
                .extended(extension, |body| body.string(from).string(to)),
        };
        reply.code() == code::OK
    }

    pub fn attrs_of(&mut self, kind: u8, path: &str) -> bool {
        match self.sftp.with_string(kind, path) {
            Reply::Attrs { attrs, .. } => {
                self.seen(&attrs);
                true
            }
            _ => false,
        }
    }

    fn name_of(&mut self, reply: Reply) -> Option<Vec<u8>> {
        match reply {
            Reply::Name { names, .. } => {
                assert_eq!(names.len(), 1);
                Some(names.into_iter().next().unwrap().name)
            }
            _ => None,
        }
    }
}

pub const POSIX_RENAME: &str = "posix-rename@openssh.com";
pub const HARDLINK: &str = "hardlink@openssh.com";

/// A request, and whether it succeeded.
pub type Request = (&'static str, fn(&mut Trial<'_>) -> bool);

/// OpenSSH's server refuses it.
pub const FSETSTAT_OF_A_DIRECTORY: &str = "OPENDIR, FSETSTAT";

/// All requests that name a file, each on files of its own.
pub const REQUESTS: &[Request] = &[
    ("OPEN to read", |t| {
        t.with_file("read", flag::READ, |_, _| true)
    }),
    ("OPEN to write", |t| {
        t.with_file("write", flag::WRITE, |t, handle| t.write(handle))
    }),
    ("OPEN to create", |t| {
        t.with_file("created", flag::WRITE | flag::CREAT, |t, handle| {
            t.write(handle)
        })
    }),
    ("OPEN to create only", |t| {
        let flags = flag::WRITE | flag::CREAT | flag::EXCL;
        t.with_file("exclusive", flags, |t, handle| t.write(handle))
    }),
    ("OPEN to truncate", |t| {
        let flags = flag::WRITE | flag::CREAT | flag::TRUNC;
        t.with_file("truncate", flags, |t, handle| t.write(handle))
    }),
    ("OPEN to append", |t| {
        let flags = flag::WRITE | flag::APPEND;
        t.with_file("append", flags, |t, handle| t.write(handle))
    }),
    ("FSETSTAT, fsync, fstatvfs", |t| {
        t.with_file("write", flag::READ | flag::WRITE, |t, handle| {
            let changed = t.sftp.fsetstat(handle, &CHANGES) == code::OK;
            let sync = t
                .sftp
                .extended("fsync@openssh.com", |body| body.string(handle));
            let space = t
                .sftp
                .extended("fstatvfs@openssh.com", |body| body.string(handle));
            changed && sync.code() == code::OK && matches!(space, Reply::Extended { .. })
        })
    }),
    ("OPENDIR, READDIR", |t| {
        let Reply::Handle { handle, .. } = t.sftp.with_string(wire::OPENDIR, t.way) else {
            return false;
        };
        while let Reply::Name { names, .. } = t.sftp.with_string(wire::READDIR, &handle) {
            for entry in names {
                assert_ne!(entry.name, NEIGHBOURS_FILE.as_bytes(), "by {}", t.way);
                t.seen(&entry.attrs);
            }
        }
        t.sftp.close(&handle) == code::OK
    }),
    (FSETSTAT_OF_A_DIRECTORY, |t| {
        let Reply::Handle { handle, .. } = t.sftp.with_string(wire::OPENDIR, t.way) else {
            return false;
        };
        let changes = Attrs {
            size: None,
            permissions: Some(0o755),
            ..CHANGES
        };
        let changed = t.sftp.fsetstat(&handle, &changes) == code::OK;
        changed & (t.sftp.close(&handle) == code::OK)
    }),
    ("STAT", |t| {
        t.attrs_of(wire::STAT, t.way) && t.attrs_of(wire::STAT, &t.at("deep/read"))
    }),
    ("LSTAT", |t| t.attrs_of(wire::LSTAT, &t.at("read"))),
    ("SETSTAT", |t| {
        t.sftp.setstat(t.at("setstat"), &CHANGES) == code::OK
    }),
    ("lsetstat", |t| {
        let name = t.at("lsetstat");
        let reply = t.sftp.extended("lsetstat@openssh.com", |body| {
            let changes = Attrs {
                size: None,
                permissions: None,
                ..CHANGES
            };
            body.string(name).attrs(&changes)
        });
        reply.code() == code::OK
    }),
    ("statvfs", |t| {
        let name = t.at("read");
        let reply = t
            .sftp
            .extended("statvfs@openssh.com", |body| body.string(name));
        matches!(reply, Reply::Extended { .. })
    }),
    ("READLINK", |t| {
        let reply = t.sftp.with_string(wire::READLINK, t.at("pointer"));
        let target = t.name_of(reply);
        target.is_some_and(|target| {
            assert_eq!(target, OWN_TARGET, "by {}", t.way);
            true
        })
    }),
    ("REALPATH", |t| {
        let reply = t.sftp.with_string(wire::REALPATH, t.at("read"));
        // The answer must be the name of the same file.
        t.name_of(reply)
            .is_some_and(|path| t.sftp.stat(path).id() > 0)
    }),
    ("expand-path", |t| {
        let name = t.at("read");
        let reply = t
            .sftp
            .extended("expand-path@openssh.com", |body| body.string(name));
        t.name_of(reply).is_some()
    }),
    ("SYMLINK", |t| t.two("symlink", "read", &t.at("symlink"))),
    ("MKDIR", |t| t.sftp.mkdir(t.at("made")) == code::OK),
    ("RMDIR", |t| {
        t.sftp.with_string(wire::RMDIR, t.at("empty")).code() == code::OK
    }),
    ("REMOVE", |t| t.sftp.remove(t.at("remove")) == code::OK),
    ("RENAME from there", |t| {
        t.two("rename", &t.at("rename"), "/renamed")
    }),
    ("RENAME to there", |t| {
        let own = t.own();
        t.two("rename", &own, &t.at("renamed"))
    }),
    ("posix-rename from there", |t| {
        t.two(POSIX_RENAME, &t.at("posix-rename"), "/posix-renamed")
    }),
    ("posix-rename to there", |t| {
        let own = t.own();
        t.two(POSIX_RENAME, &own, &t.at("truncate"))
    }),
    ("hardlink from there", |t| {
        t.two(HARDLINK, &t.at("hardlink"), "/hardlinked")
    }),
    ("hardlink to there", |t| {
        let own = t.own();
        t.two(HARDLINK, &own, &t.at("hardlinked"))
    }),
    ("copy-data from there", |t| {
        t.with_file("copy", flag::READ, |t, from| {
            let to = t.sftp.opened("/copied", flag::WRITE | flag::CREAT);
            t.copy(from, &to) & (t.sftp.close(&to) == code::OK)
        })
    }),
    ("copy-data to there", |t| {
        let own = t.own();
        let from = t.sftp.opened(own, flag::READ);
        let copied = t.with_file("copied", flag::WRITE | flag::CREAT, |t, to| {
            t.copy(&from, to)
        });
        copied & (t.sftp.close(&from) == code::OK)
    }),
    ("copy-file from there", |t| {
        t.copy_file(&t.at("copy"), "/copied-file")
    }),
    ("copy-file to there", |t| {
        let own = t.own();
        t.copy_file(&own, &t.at("copied-file"))
    }),
    ("check-file-name", |t| {
        let path = t.at("copy");
        let reply = t.sftp.extended("check-file-name", |body| {
            body.string(path).string("md5").u64(0).u64(0).u32(0)
        });
        matches!(reply, Reply::Extended { .. })
    }),
];

impl Trial<'_> {
    fn copy(&mut self, from: &[u8], to: &[u8]) -> bool {
        let reply = self.sftp.extended("copy-data", |body| {
            body.string(from).u64(0).u64(0).string(to).u64(0)
        });
        reply.code() == code::OK
    }

    fn copy_file(&mut self, from: &str, to: &str) -> bool {
        self.sftp.copy_file(from, to, false).code() == code::OK
    }

    /// Requests on the path's own last component, which may be a link in the home: their success differs,
    /// but not what they may touch.
    pub fn act_on_the_place_itself(&mut self) {
        let way = self.way;
        self.attrs_of(wire::LSTAT, way);
        self.sftp.setstat(way, &CHANGES);
        let _ = self.sftp.extended("lsetstat@openssh.com", |body| {
            body.string(way).attrs(&CHANGES)
        });
        self.two(HARDLINK, way, "/second-name");
        for request in ["symlink", HARDLINK, "rename", POSIX_RENAME] {
            let own = self.own();
            self.two(request, &own, way);
        }
        for request in ["rename", POSIX_RENAME] {
            self.two(request, way, "/the-place");
            self.two(request, "/the-place", way);
        }
        self.sftp.with_string(wire::RMDIR, way);
        self.sftp.remove(way);
    }
}
