//! However a stream of bytes is split into chunks, it gives the same requests.
//!
//! The input: the number of lengths, two bytes for each length, and the stream, which is split by these
//! lengths in a cycle.
#![no_main]

use bytes::{Buf, Bytes};
use landfall::sftp::request::Request;
use landfall::sftp::wire::{Broken, Frame, Framer};
use libfuzzer_sys::fuzz_target;

/// A packet, and the request in it, or `None` if it is too short for its fields.
type Packet = (Vec<u8>, Option<Request>);

fuzz_target!(|input: &[u8]| {
    let Some((cuts, stream)) = input
        .split_first()
        .and_then(|(count, rest)| rest.split_at_checked(usize::from(*count) * 2))
    else {
        return;
    };
    let cuts: Vec<usize> = cuts
        .chunks_exact(2)
        .map(|cut| usize::from(u16::from_be_bytes([cut[0], cut[1]])).max(1))
        .collect();
    let whole = packets([Bytes::copy_from_slice(stream)]);

    let mut rest = stream;
    let mut lengths = cuts.iter().cycle();
    let chunks = std::iter::from_fn(|| {
        let length = (*lengths.next()?).min(rest.len());
        let (chunk, behind) = rest.split_at(length);
        rest = behind;
        (length > 0).then(|| Bytes::copy_from_slice(chunk))
    });
    if !cuts.is_empty() {
        assert_eq!(packets(chunks), whole);
    }

    let used: usize = whole.0.iter().map(|(packet, _)| 4 + packet.len()).sum();
    assert!(used <= stream.len());
});

/// The packets of a stream that arrives in these chunks, and the error that ended it.
fn packets(chunks: impl IntoIterator<Item = Bytes>) -> (Vec<Packet>, Option<Broken>) {
    let mut framer = Framer::default();
    let mut found = Vec::new();
    for chunk in chunks {
        framer.push(chunk);
        loop {
            match framer.next_frame() {
                Ok(Some(frame)) => found.push(packet(frame)),
                Ok(None) => break,
                Err(broken) => return (found, Some(broken)),
            }
        }
    }
    (found, None)
}

fn packet(frame: Frame) -> Packet {
    let length = frame.remaining();
    let bytes = frame.clone().copy_to_bytes(length).to_vec();
    assert_eq!(bytes.len(), length);
    assert_eq!(frame.peek(), bytes.first().copied());
    let request = read(frame);
    let again = read(Frame::new(bytes.clone()));
    assert_eq!(request, again);
    (bytes, request)
}

/// As the engine reads a packet: the type, the id, the fields.
fn read(mut frame: Frame) -> Option<Request> {
    let length = frame.remaining();
    let packet_type = frame.byte().ok()?;
    let _id = frame.uint32().ok()?;
    let request = Request::decode(packet_type, &mut frame);
    assert!(frame.remaining() <= length - 5);
    match request.ok()? {
        // Its data stays in the chunks in which it arrived.
        Request::Write {
            handle,
            offset,
            data,
        } => {
            let data = data.concat();
            assert!(handle.len() + data.len() + frame.remaining() <= length);
            Some(Request::Write {
                handle,
                offset,
                data: vec![Bytes::from(data)],
            })
        }
        other => Some(other),
    }
}
