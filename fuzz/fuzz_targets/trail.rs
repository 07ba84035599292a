//! However the files of an audit log are damaged, its reader reaches their end, and returns each complete
//! line once, the lines of a stream in order.
//!
//! The input: an older file, the current file, and the file of operations, separated by bytes 0xff.
#![no_main]

use std::cell::OnceCell;
use std::fs;

use landfall::observe::audit::AuditReader;
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

thread_local! {
    static FOLDER: OnceCell<TempDir> = const { OnceCell::new() };
}

fuzz_target!(|input: &[u8]| FOLDER.with(|folder| {
    let folder = folder.get_or_init(|| tempfile::tempdir().unwrap()).path();
    let mut files = input.splitn(3, |byte| *byte == 0xff);
    let [old, current, operations] = std::array::from_fn(|_| files.next().unwrap_or_default());
    fs::write(folder.join("audit-000001-20260101T000000Z.jsonl"), old).unwrap();
    fs::write(folder.join("audit.jsonl"), current).unwrap();
    fs::write(folder.join("audit-operations.jsonl"), operations).unwrap();
    let mut reader = AuditReader::new(folder);
    let mut lines = Vec::new();
    while let Some(line) = reader.next_line().unwrap() {
        lines.push(line);
        assert!(lines.len() <= input.len());
    }
    let access = [whole_lines(old), whole_lines(current)].concat();
    let operations = whole_lines(operations);
    assert_eq!(lines.len(), access.len() + operations.len());
    for stream in [access, operations] {
        let mut rest = lines.iter();
        assert!(stream.iter().all(|line| rest.any(|other| other == line)));
    }
}));

fn whole_lines(file: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<_> = file.split(|byte| *byte == b'\n').collect();
    // What follows the last line end is not a line.
    lines.pop();
    lines
}
