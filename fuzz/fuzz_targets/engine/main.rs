//! Each request is answered once, in order, and nothing outside the home changes.
//!
//! The first byte of the input chooses the client and what precedes the requests; [`requests::Generator`]
//! reads the rest.
#![no_main]
#![deny(rust_2018_idioms)]

mod home;
mod requests;
#[allow(dead_code)] // Shared with the tests, which use all of it.
#[path = "../../../tests/common/wire.rs"]
mod wire;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use landfall::sftp::engine::Engine;
use landfall::sftp::reply::VERSION;
use landfall::sftp::wire::Frame;
use landfall::vfs::Vfs;
use libfuzzer_sys::fuzz_target;

use home::{CANARY, MAX_HANDLES, World};
use requests::{Answer, Asked, Generator};
use wire::{Body, Reply, code};

/// More requests in one run find nothing more.
const REQUESTS: u32 = 64;

thread_local! {
    static WORLD: World = World::new();
}

fuzz_target!(|input: &[u8]| WORLD.with(|world| {
    let Some((choice, input)) = input.split_first() else {
        return;
    };
    world.reset();
    let client = usize::from(choice & 0x7f) % world.sessions.len();
    let mut run = Run::new(world, client);
    if choice & 0x80 == 0 {
        run.greet();
        run.carry_out_all(Generator::new(input, world.outside()));
    } else {
        run.without_greeting(Generator::new(input, world.outside()));
    }
    run.engine.finish();
    world.check();
}));

struct Run {
    engine: Engine,
    /// The client no longer reads replies.
    left: bool,
    /// All handles that were ever returned, and the number of open ones.
    handles: HashSet<Vec<u8>>,
    open: HashSet<Vec<u8>>,
}

impl Run {
    fn new(world: &World, client: usize) -> Self {
        let session = world.sessions[client].clone();
        let store = session.open_store().unwrap();
        let vfs = Vfs::new(session, store, Arc::new(AtomicBool::new(false)));
        Self {
            engine: Engine::new(vfs, world.ids),
            left: false,
            handles: HashSet::new(),
            open: HashSet::new(),
        }
    }

    /// INIT.
    fn greet(&mut self) {
        let init = Body::new(wire::INIT, VERSION);
        assert!(self.engine.carry_out(Frame::new(init.0)));
        match self.reply() {
            Some(Reply::Version {
                version,
                extensions,
            }) => {
                assert_eq!(version, VERSION);
                assert!(!extensions.is_empty());
            }
            None if self.left => {}
            other => panic!("INIT was answered with {other:?}"),
        }
    }

    /// Nothing is carried out before INIT.
    fn without_greeting(&mut self, mut generator: Generator<'_>) {
        if let Some(Asked::Request { body, .. }) = generator.next(0) {
            let frame = Frame::new(body);
            assert!(!self.engine.carry_out_now(&frame));
            assert!(!self.engine.carry_out(frame));
            assert_eq!(self.reply(), None);
        }
    }

    fn carry_out_all(&mut self, mut generator: Generator<'_>) {
        for id in 0..REQUESTS {
            let Some(asked) = generator.next(id) else {
                break;
            };
            match asked {
                Asked::Request { body, answer } => {
                    let frame = Frame::new(body);
                    if !self.engine.carry_out_now(&frame) {
                        assert!(self.engine.carry_out(frame));
                    }
                    while self.engine.is_unfinished() {
                        self.engine.go_on();
                    }
                    match self.reply() {
                        Some(reply) => self.check(id, &answer, reply, &mut generator),
                        None => assert!(self.left, "request {id} was not answered"),
                    }
                }
                Asked::Init => self.greet(),
                Asked::Leave => {
                    self.engine.unheard();
                    self.left = true;
                }
                Asked::Broken { body } => {
                    assert!(!self.engine.carry_out(Frame::new(body)));
                    assert_eq!(self.reply(), None);
                    break;
                }
            }
            for line in self.engine.take_notices() {
                assert_eq!(line.find('\n'), Some(line.len() - 1));
            }
        }
    }

    /// The pending reply, if any.
    fn reply(&mut self) -> Option<Reply> {
        let bytes = self.engine.replies().take()?;
        assert!(!self.left && self.engine.replies().is_empty());
        assert!(
            bytes.windows(CANARY.len()).all(|part| part != CANARY),
            "the canary was told"
        );
        let (length, body) = bytes.split_first_chunk().expect("no whole length");
        assert_eq!(u32::from_be_bytes(*length) as usize, body.len());
        assert!(body.len() <= wire::MAX_PACKET);
        Some(Reply::parse(body))
    }

    fn check(&mut self, id: u32, answer: &Answer, reply: Reply, generator: &mut Generator<'_>) {
        assert_eq!(reply.id(), id);
        if let (Answer::Closed(handle), Reply::Status { code, .. }) = (answer, &reply)
            && *code != code::BAD_MESSAGE
        {
            let was_open = self.open.remove(handle);
            assert!(was_open || *code != code::OK);
        }
        match (answer, reply) {
            (_, Reply::Status { code, message, .. }) if code != code::OK => {
                assert!(!message.is_empty());
                let ends = matches!(answer, Answer::Data(_) | Answer::Listing);
                assert!(code != code::EOF || ends);
            }
            (Answer::Done | Answer::Closed(_), Reply::Status { .. }) => {}
            (Answer::Handle, Reply::Handle { handle, .. }) => {
                assert!((1..=256).contains(&handle.len()));
                assert!(self.handles.insert(handle.clone()), "a handle came again");
                generator.handles.push(handle.clone());
                self.open.insert(handle);
                assert!(self.open.len() <= MAX_HANDLES);
            }
            (Answer::Data(asked), Reply::Data { data, .. }) => {
                assert!((1..=*asked).contains(&data.len()));
            }
            (Answer::Listing, Reply::Name { names, .. }) => {
                assert!(!names.is_empty());
                for name in names {
                    assert!(!name.name.is_empty() && !name.name.contains(&b'/'));
                    assert!(name.longname.ends_with(&name.name));
                }
            }
            (Answer::Path, Reply::Name { names, .. }) => assert_eq!(names.len(), 1),
            (Answer::Attrs, Reply::Attrs { attrs, .. }) => assert!(attrs.permissions.is_some()),
            (Answer::Extended, Reply::Extended { data, .. }) => assert!(!data.is_empty()),
            (_, reply) => panic!("the wrong kind of reply: {reply:?}"),
        }
    }
}
