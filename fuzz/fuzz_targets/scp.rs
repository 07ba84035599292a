//! Whatever a client of scp's older protocol requests and sends: the answers follow the protocol, the quota
//! is exact, and nothing outside the home changes or is revealed.
//!
//! The input: the length of the chunks in which the stream arrives (0: all at once), the command line after
//! `scp `, a line feed, and the stream.
#![no_main]

#[allow(dead_code)] // Of the engine's target, which uses all of it.
#[path = "engine/home.rs"]
mod home;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use landfall::io::pipe::{Disconnected, Pipe};
use landfall::scp;
use landfall::scp::CopyDirection;
use landfall::scp::line::{DONE, LONGEST, ScpLine};
use landfall::vfs::Vfs;
use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};

use home::{CANARY, World};

thread_local! {
    static WORLD: (World, Runtime) = {
        let runtime = Builder::new_current_thread().build().unwrap();
        (World::new(), runtime)
    };
}

fuzz_target!(|input: &[u8]| {
    let Some((chunk, input)) = input.split_first() else {
        return;
    };
    let end = input.iter().position(|byte| *byte == b'\n');
    let (line, stream) = input.split_at(end.unwrap_or(input.len()));
    let stream = stream.get(1..).unwrap_or_default();
    lines_are_what_they_say(stream);
    if let Ok(request) = scp::request(&[b"scp ", line].concat()).unwrap() {
        let direction = request.direction;
        WORLD.with(|(world, runtime)| {
            world.reset();
            let session = world.sessions[0].clone();
            let store = session.open_store().unwrap();
            let vfs = Vfs::new(session, store, Arc::new(AtomicBool::new(false)));
            let mut pipe = Memory::new(stream, usize::from(*chunk));
            let status = runtime.block_on(scp::serve(vfs, request, &mut pipe));
            assert!(status <= 1);
            check(&pipe.sent, direction, status);
            world.check();
        });
    }
});

/// A line that is accepted encodes to the same line, and has a valid name.
fn lines_are_what_they_say(stream: &[u8]) {
    for text in stream.split(|byte| *byte == b'\n') {
        let Ok(line) = ScpLine::parse(text) else {
            continue;
        };
        let again = line.encode();
        let (end, body) = again.split_last().unwrap();
        assert_eq!((*end, ScpLine::parse(body).as_ref()), (b'\n', Ok(&line)));
        if let ScpLine::File { mode, name, .. } | ScpLine::Directory { mode, name } = line {
            assert!(mode <= 0o7777);
            assert!(!name.contains(&b'/') && !name.contains(&0));
            assert!(!matches!(name.as_slice(), b"" | b"." | b".."));
        }
    }
}

/// Nothing is revealed that the client may not know; an upload gets only answers.
fn check(sent: &[u8], direction: CopyDirection, status: u32) {
    assert!(sent.windows(CANARY.len()).all(|part| part != CANARY));
    if direction == CopyDirection::From {
        return;
    }
    let mut complaints = 0;
    let mut rest = sent;
    while let Some((kind, behind)) = rest.split_first() {
        rest = behind;
        if *kind == DONE {
            continue;
        }
        assert!(matches!(kind, 1 | 2), "an answer of kind {kind}");
        let end = behind.iter().position(|byte| *byte == b'\n').unwrap();
        assert!(end + 2 <= LONGEST && behind.starts_with(b"scp: "));
        rest = &behind[end + 1..];
        assert!(*kind == 1 || rest.is_empty(), "something after the end");
        complaints += 1;
    }
    assert!(complaints == 0 || status == 1);
}

/// A channel whose client has sent everything and closed its side.
struct Memory {
    chunks: VecDeque<Bytes>,
    sent: Vec<u8>,
}

impl Memory {
    fn new(stream: &[u8], chunk: usize) -> Self {
        let length = if chunk == 0 {
            stream.len().max(1)
        } else {
            chunk
        };
        Self {
            chunks: stream.chunks(length).map(Bytes::copy_from_slice).collect(),
            sent: Vec::new(),
        }
    }
}

impl Pipe for &mut Memory {
    async fn receive(&mut self) -> Option<Bytes> {
        self.chunks.pop_front()
    }

    fn try_receive(&mut self) -> Option<Bytes> {
        self.chunks.pop_front()
    }

    async fn send(&mut self, bytes: Bytes) -> Result<(), Disconnected> {
        self.sent.extend_from_slice(&bytes);
        Ok(())
    }

    async fn disconnected(&self) {
        std::future::pending().await
    }

    async fn notice(&mut self, line: String) -> Result<(), Disconnected> {
        panic!("not in the protocol: {line}");
    }
}
