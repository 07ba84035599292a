//! The small steps that every request takes, alone: `cargo bench --bench micro`.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use landfall::path::VPath;

fn paths(criterion: &mut Criterion) {
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

criterion_group!(benches, paths);
criterion_main!(benches);
