//! Whole requests on a real home: the engine, the operations, the quota, the kernel; no SSH and no change
//! of thread.

use std::fs;

use criterion::{Criterion, Throughput};
use landfall::session::count_home;

use crate::requests::wire::flag;
use crate::requests::{self, Channel, DATA, Request};

pub(crate) fn requests(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let (_runtime, session) = requests::log_in(folder.path(), count_home);
    let home = session.home().to_owned();
    fs::create_dir(home.join("in")).unwrap();
    for number in 0..100 {
        fs::write(home.join(format!("in/file-{number:02}")), [7; DATA]).unwrap();
    }
    // Counts the files that the bench has created.
    let usage = session.ledger().recount(|| count_home(&home, &mut |_| {}));
    assert_eq!(usage.unwrap().files, 101);
    let store = session.open_store().unwrap();
    let mut channel = Channel::new(session, store);

    let mut group = criterion.benchmark_group("request");
    let open = requests::open("/in/file-42", flag::READ | flag::WRITE);
    let handle = channel.answer(&open).handle();
    for (name, request) in [
        ("READ of 32 KiB", requests::read(&handle, 0)),
        ("WRITE of 32 KiB", requests::write(&handle, 0)),
    ] {
        group.throughput(Throughput::Bytes(DATA as u64));
        group.bench_function(name, |bench| {
            bench.iter(|| carry_out(&mut channel, &request))
        });
    }
    group.throughput(Throughput::Elements(1));
    let stat = requests::stat("/in/file-42");
    group.bench_function("STAT", |bench| {
        bench.iter(|| carry_out(&mut channel, &stat))
    });
    group.bench_function("OPEN and CLOSE", |bench| {
        bench.iter(|| {
            let handle = channel.answer(&open).handle();
            carry_out(&mut channel, &requests::close(&handle));
        });
    });
    let list = requests::open_directory("/in");
    group.bench_function("OPENDIR, READDIR of 100 names, CLOSE", |bench| {
        bench.iter(|| {
            let handle = channel.answer(&list).handle();
            carry_out(&mut channel, &requests::list(&handle));
            carry_out(&mut channel, &requests::close(&handle));
        });
    });
    group.finish();
}

fn carry_out(channel: &mut Channel, request: &Request) {
    let mut replies = 0;
    channel.carry_out(std::slice::from_ref(request), |_| replies += 1);
    assert_eq!(replies, 1);
}
