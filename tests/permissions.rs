//! What an account may do: each operation under each set of permissions, drop boxes, directories with
//! permissions of their own, and attempts to bypass them.

mod directories;
mod drop_box;
mod links;
mod open_handles;
mod overwrites;
mod races;
mod table;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;

use crate::common::connection::Connection;
use crate::common::raw::RawSftp;
use crate::common::wire::{self, Attrs, Reply};
use crate::common::{TestServer, USER};

/// Sets the permissions of the account to these; they apply from the next login.
fn permit(server: &TestServer, rules: &[&str]) {
    let shown = server.admin(&["user", "show", USER, "--json"], "").ok();
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    let old = shown["permissions"].as_object().unwrap().keys();
    let old: Vec<String> = old
        .filter(|directory| *directory != "/")
        .map(|directory| format!("{directory}=none"))
        .collect();
    let mut set = vec!["user", "set", USER];
    for rule in old.iter().map(String::as_str).chain(rules.iter().copied()) {
        set.extend(["--permissions", rule]);
    }
    server.admin(&set, "").ok();
}

/// A server whose account has these permissions, and a session.
fn permitted(rules: &[&str]) -> (TestServer, Connection) {
    let server = TestServer::start();
    permit(&server, rules);
    let connection = Connection::logged_in(&server);
    (server, connection)
}

/// Everything in a folder: type, mode, content or target, and time of modification.
fn snapshot(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let content = if metadata.is_dir() {
                folders.push(path.clone());
                String::new()
            } else if metadata.is_symlink() {
                fs::read_link(&path).unwrap().to_string_lossy().into_owned()
            } else {
                String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned()
            };
            let times = (metadata.mtime(), metadata.nlink());
            let shown = format!("{:o} {times:?} {content:?}", metadata.mode());
            found.insert(
                path.strip_prefix(folder).unwrap().display().to_string(),
                shown,
            );
        }
    }
    found
}

/// Empties a home and creates files ("name=content"), links ("name@target") and directories ("name/").
fn lay_out(home: &Path, things: &[&str]) {
    for entry in fs::read_dir(home).unwrap() {
        let path = entry.unwrap().path();
        if fs::symlink_metadata(&path).unwrap().is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
    }
    for thing in things {
        if let Some(directory) = thing.strip_suffix('/') {
            fs::create_dir_all(home.join(directory)).unwrap();
        } else if let Some((name, target)) = thing.split_once('@') {
            symlink(target, home.join(name)).unwrap();
        } else {
            let (name, content) = thing.split_once('=').unwrap();
            fs::write(home.join(name), content).unwrap();
        }
    }
}

/// Sends a request with two paths: RENAME, SYMLINK, or an extension.
fn with_two(sftp: &mut RawSftp, request: &str, one: &str, other: &str) -> Reply {
    match request {
        "rename" | "symlink" => {
            let kind = if request == "rename" {
                wire::RENAME
            } else {
                wire::SYMLINK
            };
            let body = sftp.body(kind).string(one).string(other);
            sftp.ask(&body)
        }
        extension => sftp.extended(extension, |body| body.string(one).string(other)),
    }
}

fn times(seconds: u32) -> Attrs {
    Attrs {
        times: Some((seconds, seconds)),
        ..Attrs::default()
    }
}

fn size(bytes: u64) -> Attrs {
    Attrs {
        size: Some(bytes),
        ..Attrs::default()
    }
}
