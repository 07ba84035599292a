//! The SFTP codec: from a byte stream to requests, and from replies to a byte stream.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput};
use landfall::sftp::attrs::put_attrs;
use landfall::sftp::reply::Replies;
use landfall::sftp::request::Request;
use landfall::sftp::status::code;
use landfall::sftp::wire::Framer;
use landfall::sftp::wire::put_string;

use crate::requests::wire::flag;
use crate::requests::{self, DATA, PATH};
use crate::text::metadata;

const HANDLE: &[u8] = b"0123456789ab";

pub(crate) fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(1));
    for (name, request) in [
        ("READ", requests::read(HANDLE, 1 << 20)),
        ("WRITE of 32 KiB", requests::write(HANDLE, 1 << 20)),
        ("OPEN", requests::open(PATH, flag::READ)),
        ("STAT", requests::stat(PATH)),
    ] {
        let mut framer = Framer::default();
        group.bench_function(name, |bench| {
            bench.iter(|| next_request(&mut framer, black_box(&request)));
        });
    }
    group.finish();
}

fn next_request(framer: &mut Framer, chunks: &[Bytes]) -> Request {
    for chunk in chunks {
        framer.push(chunk.clone());
    }
    let mut frame = framer.next_frame().unwrap().unwrap();
    let packet_type = frame.byte().unwrap();
    let _id = frame.uint32().unwrap();
    Request::decode(packet_type, &mut frame).unwrap()
}

pub(crate) fn encode(criterion: &mut Criterion) {
    let mut replies = Replies::default();
    let mut group = criterion.benchmark_group("encode");
    group.throughput(Throughput::Elements(1));
    group.bench_function("STATUS", |bench| {
        bench.iter(|| {
            replies.status(black_box(1), code::OK, "Success");
            replies.take()
        });
    });
    group.bench_function("DATA of 32 KiB, around the bytes", |bench| {
        bench.iter(|| {
            // The data is already in the buffer.
            let filled = replies.data_now(black_box(1), DATA, |_| Some(DATA));
            assert_eq!(filled, Some(DATA));
            replies.take()
        });
    });
    let metadata = metadata();
    group.bench_function("NAME of 100", |bench| {
        bench.iter(|| {
            let mut names = 0..100;
            let put = replies.names(black_box(1), usize::MAX, |out| {
                let is_one = names.next().is_some();
                if is_one {
                    put_string(out, b"a-file-with-a-name");
                    put_string(out, &[b'-'; 74]);
                    put_attrs(out, &metadata);
                }
                Ok::<_, ()>(is_one)
            });
            assert_eq!(put, Ok(100));
            replies.take()
        });
    });
    group.finish();
}
