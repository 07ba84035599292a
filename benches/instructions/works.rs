//! The counted work. This part runs under callgrind, which counts what happens in [`counted`].

use std::hint::black_box;
use std::sync::Arc;

use landfall::quota::Usage;
use landfall::sftp::names::{Owners, long_name};
use landfall::store::Store;
use landfall::values::path::VPath;

use crate::disk::{Disk, NAMES};
use crate::requests::wire::{Reply, code, flag};
use crate::requests::{self, Channel, DATA, PATH, Request};

/// The functions in which callgrind starts and stops counting, and before which it writes its counts.
pub(crate) const COUNTED: &str = "instructions::works::counted";
pub(crate) const TELL: &str = "instructions::works::tell";

/// Repetitions of each piece of work.
const TIMES: usize = 100;

/// Never inlined, and never left before `work` is done.
#[inline(never)]
fn counted(work: &mut dyn FnMut()) {
    work();
    black_box(());
}

#[inline(never)]
fn tell(name: &str) {
    println!("{TIMES} {name}");
}

/// Runs `work` [`TIMES`] times, and prints its name.
fn count(name: &str, mut work: impl FnMut()) {
    counted(&mut work);
    tell(name);
}

/// Does all of it, in the order of the printed names.
pub(crate) fn do_all() {
    let folder = tempfile::tempdir().unwrap();
    let (_runtime, session) = requests::log_in(folder.path(), |_, _| Ok(Usage::default()));
    let mut channel = Channel::new(session.clone(), Arc::new(Disk));
    files(&mut channel);
    names(&mut channel);

    let ledger = session.ledger();
    count("ledger: reserve and settle", || {
        for _ in 0..TIMES {
            let change = ledger.begin();
            let growth = Usage::bytes(DATA as u64);
            change.reserve(growth).unwrap().settle(growth);
        }
    });
    count("path: parse", || {
        for _ in 0..TIMES {
            black_box(VPath::parse(black_box(PATH.as_bytes()))).unwrap();
        }
    });
    let owners = Owners {
        uid: 1000,
        gid: 1000,
        name: "anna".to_owned(),
    };
    let metadata = Disk.metadata(&VPath::home(), true).unwrap();
    let mut line = Vec::with_capacity(200);
    count("long name", || {
        for _ in 0..TIMES {
            line.clear();
            long_name(&mut line, b"a-file", &metadata, &owners, metadata.mtime + 1);
        }
    });
}

fn all(request: impl Fn(usize) -> Request) -> Vec<Request> {
    (0..TIMES).map(request).collect()
}

/// First once, to see the replies, and so that all buffers have grown.
fn count_requests(
    name: &str,
    channel: &mut Channel,
    requests: &[Request],
    is_right: impl Fn(&Reply) -> bool,
) {
    let answers = channel.answers(requests);
    assert_eq!(answers.len(), TIMES);
    assert!(answers.iter().all(is_right), "{name}");
    count_once(name, channel, requests);
}

fn count_once(name: &str, channel: &mut Channel, requests: &[Request]) {
    let mut replies = 0;
    count(name, || channel.carry_out(requests, |_| replies += 1));
    assert_eq!(replies, TIMES);
}

fn files(channel: &mut Channel) {
    let flags = flag::READ | flag::WRITE;
    let opens = all(|number| requests::open(&format!("/in/file-{number}"), flags));
    let mut open_and_close = || {
        for open in &opens {
            let mut handle = [0; 12];
            channel.carry_out(std::slice::from_ref(open), |reply| {
                handle.copy_from_slice(&reply[13..]);
            });
            channel.carry_out(&[requests::close(&handle)], |reply| {
                assert_eq!(reply[9..13], code::OK.to_be_bytes());
            });
        }
    };
    open_and_close();
    count("OPEN and CLOSE", open_and_close);

    // Handles are random, and some take longer to parse than others: a file for each.
    let opened = channel.answers(&opens).into_iter();
    let handles: Vec<Vec<u8>> = opened.map(Reply::handle).collect();
    let reads = all(|number| requests::read(&handles[number], number * DATA));
    let is_whole = |reply: &Reply| matches!(reply, Reply::Data { data, .. } if data.len() == DATA);
    count_requests("READ of 32 KiB", channel, &reads, is_whole);
    let writes = all(|number| requests::write(&handles[number], number * DATA));
    let is_done = |reply: &Reply| reply.code() == code::OK;
    count_requests("WRITE of 32 KiB", channel, &writes, is_done);
    let stats = all(|_| requests::stat(PATH));
    let is_told = |reply: &Reply| matches!(reply, Reply::Attrs { .. });
    count_requests("STAT", channel, &stats, is_told);
}

/// A directory is listed once: the first ones are for warming up.
fn names(channel: &mut Channel) {
    let opens = all(|_| requests::open_directory("/in"));
    let is_whole = |answer: Reply| answer.names().len() == NAMES as usize;
    let first = lists(channel, &opens);
    assert!(channel.answers(&first).into_iter().all(is_whole));
    let second = lists(channel, &opens);
    count_once("READDIR of 100 names", channel, &second);
}

fn lists(channel: &mut Channel, opens: &[Request]) -> Vec<Request> {
    let directories = channel.answers(opens).into_iter();
    directories
        .map(|answer| requests::list(&answer.handle()))
        .collect()
}
