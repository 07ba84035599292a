//! However the files of an audit trail are damaged, its reader comes to their end, and gives each whole
//! line once.
//!
//! The input: an old file, a byte 0xff, and the file that is written to.
#![no_main]

use std::cell::OnceCell;
use std::fs;

use landfall::audit::Reader;
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

thread_local! {
    static FOLDER: OnceCell<TempDir> = const { OnceCell::new() };
}

fuzz_target!(|input: &[u8]| FOLDER.with(|folder| {
    let folder = folder.get_or_init(|| tempfile::tempdir().unwrap()).path();
    let cut = input.iter().position(|byte| *byte == 0xff);
    let (old, current) = input.split_at(cut.unwrap_or(0));
    fs::write(folder.join("audit-000001-20260101T000000Z.jsonl"), old).unwrap();
    fs::write(folder.join("audit.jsonl"), current).unwrap();
    let mut reader = Reader::new(folder);
    let mut lines = Vec::new();
    while let Some(line) = reader.next_line().unwrap() {
        lines.push(line);
        assert!(lines.len() <= input.len());
    }
    let whole = [old, current].into_iter().flat_map(|file| {
        let end = file
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        file[..end].split_inclusive(|byte| *byte == b'\n')
    });
    let whole: Vec<&[u8]> = whole.map(|line| &line[..line.len() - 1]).collect();
    assert_eq!(lines, whole);
}));
