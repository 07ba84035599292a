//! The ledger of a home: its cost for each write, and with many open files.

use criterion::{BenchmarkId, Criterion};
use landfall::error::Error;
use landfall::quota::{Ledger, Tracked, Usage};

use crate::requests::{self, DATA};

pub(crate) fn changes(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let (_runtime, session) = requests::log_in(folder.path(), |_, _| Ok(Usage::default()));
    let ledger = session.ledger();
    let mut group = criterion.benchmark_group("ledger");
    group.bench_function("a write that fits is settled", |bench| {
        let growth = Usage::bytes(DATA as u64);
        bench.iter(|| {
            let change = ledger.begin();
            change.reserve(growth).unwrap().settle(growth);
            change.release(growth);
        });
    });
    let file = ledger.track((1, 1));
    group.bench_function("a write within a file", |bench| {
        bench.iter(|| write_within(ledger, &file).unwrap());
    });
    group.bench_function("a name comes and goes", |bench| {
        bench.iter(|| {
            let change = ledger.begin();
            let name = change.reserve(Usage::files(1)).unwrap();
            let _names = change.names();
            name.keep();
            change.release(Usage::files(1));
        });
    });
    group.finish();
}

/// Overwriting existing bytes adds nothing.
fn write_within(ledger: &Ledger, file: &Tracked) -> Result<(), Error> {
    let change = ledger.begin();
    let mut size = file.hold_size(|| Ok(1 << 30))?;
    let same = size.get();
    change.reserve(Usage::default())?.settle(Usage::default());
    size.set(same);
    Ok(())
}

pub(crate) fn open_inodes(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let (_runtime, session) = requests::log_in(folder.path(), |_, _| Ok(Usage::default()));
    let ledger = session.ledger();
    let mut group = criterion.benchmark_group("a file is opened and closed beside");
    let mut others = Vec::new();
    for open in [0, 1_000, 100_000] {
        others.extend((others.len() as u64..open).map(|inode| ledger.track((1, inode))));
        group.bench_function(BenchmarkId::from_parameter(open), |bench| {
            bench.iter(|| drop(ledger.track((2, 1))));
        });
    }
    group.finish();
}
