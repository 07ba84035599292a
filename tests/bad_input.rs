//! Input that no good client sends, systematically: every request cut at every byte, every request
//! with every bad handle and path, every packet type. Each is refused in words, changes nothing on
//! the disk, and leaves the session (or, where the framing is broken, all others) as it was.

mod handles;
mod names;
mod requests;
mod stream;
mod values;

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;

use crate::common::connection::Connection;
use crate::common::files::{Random, tree_of};
use crate::common::raw::{Outgoing, RawSftp};
use crate::common::wire::{self, Attrs, Body, MAX_PACKET, Reply, code, flag};
use crate::common::{TestServer, against_openssh, bytes_of, wait_until};

const NO_ATTRS: Attrs = Attrs {
    size: None,
    owner: None,
    permissions: None,
    times: None,
};

/// A server, a session on it, and a home with a file and a directory.
fn session() -> (TestServer, RawSftp) {
    let server = TestServer::start();
    fs::write(server.at_home("file"), "untouched").unwrap();
    fs::create_dir(server.at_home("dir")).unwrap();
    let sftp = Connection::logged_in(&server).sftp();
    (server, sftp)
}

/// Checks that the home is as [`session`] left it.
#[track_caller]
fn assert_untouched(server: &TestServer) {
    assert_eq!(fs::read(server.at_home("file")).unwrap(), b"untouched");
    assert_eq!(names(server.home()), ["dir", "file"]);
    assert_eq!(names(&server.at_home("dir")), [""; 0]);
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Checks for a STATUS with this code and a text.
#[track_caller]
fn refused(reply: &Reply, code: u32) {
    assert_eq!(reply.code(), code, "{reply:?}");
    assert!(!reply.message().is_empty(), "refused without a word");
}
