//! The audit trail, from outside: what real clients do stands in it, whatever becomes of them and of
//! the disk that it is written to.

mod command;
mod disks;
mod events;
mod files;
mod floods;

use std::fs;

use crate::common::{STEP, TestServer, wait_until};
use serde_json::Value;

/// Who came, and what the operator did.
const ACCESS: &str = "audit";
/// What clients did.
const OPERATIONS: &str = "audit-operations";

/// Every line of both streams, the oldest first.
fn trail(server: &TestServer) -> Vec<Value> {
    let mut events = [stream(server, ACCESS), stream(server, OPERATIONS)].concat();
    events.sort_by_key(|one| one["time"].as_str().map(str::to_owned));
    events
}

/// The old files of a stream, the oldest first.
fn old_files(server: &TestServer, stream: &str) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(server.path("data"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| {
            let number = name
                .strip_prefix(stream)
                .and_then(|rest| rest.strip_prefix('-'));
            number.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        })
        .collect();
    names.sort();
    names
}

/// Every line of a stream, the oldest first: each must be whole. The files are read as they are, so
/// that this does not depend on the command.
fn stream(server: &TestServer, stream: &str) -> Vec<Value> {
    let mut files = old_files(server, stream);
    files.push(format!("{stream}.jsonl"));
    let texts = files
        .iter()
        .map(|name| fs::read_to_string(server.path("data").join(name)).unwrap_or_default());
    let text = texts.collect::<String>();
    assert!(
        text.is_empty() || text.ends_with('\n'),
        "the last line is torn"
    );
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|_| panic!("torn: {line:?}"));
    text.lines().map(parse).collect()
}

/// Events of this kind.
fn of_kind<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|one| one["event"] == kind).collect()
}

/// The one event that is like this, once it is there.
#[track_caller]
fn noted(server: &TestServer, what: &str, like: impl Fn(&Value) -> bool) -> Value {
    let mut found = Vec::new();
    wait_until(&format!("{what} is noted"), STEP, || {
        found = trail(server).into_iter().filter(&like).collect();
        !found.is_empty()
    });
    assert_eq!(found.len(), 1, "{what}: {found:#?}");
    found.remove(0)
}
