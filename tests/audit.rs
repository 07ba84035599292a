//! The audit log: it contains the actions of real clients, whatever happens to them and to its disk.

mod command;
mod disks;
mod events;
mod files;
mod floods;

use std::fs;

use crate::common::{STEP, TestServer, wait_until};
use serde_json::Value;

/// The stream of logins and operator actions.
const ACCESS: &str = "audit";
/// The stream of clients' operations.
const OPERATIONS: &str = "audit-operations";

/// Returns every event of both streams, oldest first.
fn trail(server: &TestServer) -> Vec<Value> {
    let mut events = [stream(server, ACCESS), stream(server, OPERATIONS)].concat();
    events.sort_by_key(|one| one["time"].as_str().map(str::to_owned));
    events
}

/// Returns the old files of a stream, oldest first.
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

/// Returns every event of a stream, oldest first; each line must be complete. Reads the files directly,
/// independent of the command.
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

/// Returns the events of this kind.
fn of_kind<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|one| one["event"] == kind).collect()
}

/// Waits for the one event that matches.
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
