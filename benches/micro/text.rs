//! Text: paths from peers, long names, the lines of scp's older protocol.

use std::hint::black_box;

use criterion::Criterion;
use landfall::scp::line::ScpLine;
use landfall::sftp::names::{Owners, long_name};
use landfall::store::Metadata;
use landfall::values::path::VPath;

/// 2026-11-21 12:00 UTC.
const NOW: i64 = 1_795_262_400;

pub(crate) fn paths(criterion: &mut Criterion) {
    let deep = "a/fairly/long/path/./with//some/../names.txt/".repeat(20);
    let mut group = criterion.benchmark_group("path");
    group.bench_function("parse short", |bench| {
        bench.iter(|| VPath::parse(black_box(b"/reports/2024/summary.pdf")));
    });
    group.bench_function("parse deep", |bench| {
        bench.iter(|| VPath::parse(black_box(deep.as_bytes())));
    });
    group.finish();
}

/// The metadata that READDIR reads for each name.
pub(crate) fn metadata() -> Metadata {
    Metadata {
        mode: 0o100_644,
        size: 1_234_567,
        links: 1,
        uid: 1000,
        gid: 1000,
        atime: NOW,
        mtime: NOW - 3600,
        mtime_nanoseconds: 0,
        ctime: (NOW, 0),
        inode: (1, 2),
    }
}

pub(crate) fn long_names(criterion: &mut Criterion) {
    let owners = Owners {
        uid: 1000,
        gid: 1000,
        name: "anna".to_owned(),
    };
    let old = Metadata {
        mtime: NOW / 2,
        uid: 7,
        ..metadata()
    };
    let mut line = Vec::new();
    let mut group = criterion.benchmark_group("long name");
    for (kind, metadata) in [("recent", metadata()), ("old, of another", old)] {
        group.bench_function(kind, |bench| {
            bench.iter(|| {
                line.clear();
                let name = black_box(b"a-file-with-a-name");
                long_name(&mut line, name, &metadata, &owners, NOW);
            });
        });
    }
    group.finish();
}

pub(crate) fn scp_lines(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scp line");
    for (kind, line) in [
        ("file", &b"C0644 1234567 summary.pdf"[..]),
        ("times", b"T1795262400 0 1795262400 0"),
    ] {
        group.bench_function(kind, |bench| {
            bench.iter(|| ScpLine::parse(black_box(line)).unwrap());
        });
    }
    group.finish();
}
