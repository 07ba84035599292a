//! Long random sequences of all operations from several sessions, compared with a plain model and with
//! the disk. 20 seconds, 5 minutes with LONG=1; SEED=N repeats the sequence of a failed run.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::common::bytes_of;
use crate::common::files::Random;
use crate::common::wire::{self, Attrs, Reply, code, flag};
use crate::quota::load::Load;
use crate::quota::model::Model;
use crate::quota::request::{Op, Outcome};
use crate::quota::scene::{Scene, Session, Use, is_exceeded, sized};

const SESSIONS: usize = 3;
const LIMITS: Use = Use {
    bytes: 200_000,
    files: 12,
};
/// The number of requests between two comparisons with the disk.
const LOOK_EVERY: u64 = 20;
/// The minimum number of comparisons with the disk while sessions run concurrently.
const LOOKS: usize = 100;
/// The number of requests between two changes of the limits.
const CHANGE_EVERY: u64 = 1500;
/// The same with safe overwrites: failed overwrites use names until the limits change.
const CHANGE_EVERY_SAFE: u64 = 300;

fn duration() -> Duration {
    let long = std::env::var("LONG").is_ok_and(|value| value == "1");
    Duration::from_secs(if long { 300 } else { 10 })
}

/// Returns whether to continue. A busy machine gets more time, so that it tries enough.
fn goes_on(began: Instant, has_enough: bool) -> bool {
    let most = if has_enough {
        duration()
    } else {
        6 * duration()
    };
    began.elapsed() < most
}

/// An open file: its number, its session, and its handle.
struct Held {
    number: u64,
    session: usize,
    handle: Vec<u8>,
}

struct Run {
    scene: Scene,
    sessions: Vec<Session>,
    model: Model,
    held: Vec<Held>,
    random: Random,
    step: u64,
    recent: VecDeque<String>,
    /// Paths of files that were opened.
    opened: VecDeque<String>,
    /// How often each [`Outcome`] occurred.
    met: [u64; 3],
}

impl Run {
    fn new(seed: u64, safe: bool) -> Self {
        let scene = scene(safe);
        let mut model = Model::new(LIMITS);
        model.safe = safe;
        Self {
            sessions: (0..SESSIONS).map(|_| scene.log_in()).collect(),
            scene,
            model,
            held: Vec::new(),
            random: Random::new(seed),
            step: 0,
            recent: VecDeque::new(),
            opened: VecDeque::new(),
            met: [0; 3],
        }
    }

    /// Any name can have any type, but `d` and `e` are more often directories.
    fn path(&mut self) -> String {
        if self.model.safe && !self.opened.is_empty() && self.random.below(2) == 0 {
            let which = self.random.below(self.opened.len() as u64) as usize;
            return self.opened[which].clone();
        }
        if self.model.safe && self.random.below(10) == 0 {
            let name = self.one_of(&["a", "b", "c", "d", "e"]);
            let folder = self.one_of(&["/", "/d/", "/e/"]);
            return format!("{folder}{name}{}", crate::quota::overwrites::PART);
        }
        let first = self.one_of(&["a", "b", "c", "d", "e"]);
        match self.random.below(3) {
            0 => format!("/{}/{first}", self.one_of(&["d", "e"])),
            1 => format!("/{first}/{}", self.one_of(&["a", "b", "c", "d", "e"])),
            _ => format!("/{first}"),
        }
    }

    fn one_of(&mut self, names: &[&'static str]) -> &'static str {
        names[self.random.below(names.len() as u64) as usize]
    }

    fn size(&mut self) -> u64 {
        match self.random.below(30) {
            0 => 1 << 45,
            1 | 2 => LIMITS.bytes,
            3..8 => self.random.below(LIMITS.bytes),
            _ => self.random.below(LIMITS.bytes / 6),
        }
    }

    /// An open file; sometimes one that is not open.
    fn file(&mut self) -> u64 {
        let extra = u64::from(self.random.below(10) == 0);
        let number = self.random.below(self.held.len() as u64 + extra) as usize;
        self.held.get(number).map_or(u64::MAX, |held| held.number)
    }

    fn open(&mut self, path: String) -> Op {
        let flags = match self.random.below(3) {
            0 => self.random.below(64) as u32,
            1 => flag::READ | flag::WRITE | flag::CREAT,
            _ => flag::WRITE | flag::CREAT | flag::TRUNC,
        };
        // Another test covers an announced size without TRUNC on an existing file.
        let one_in = if self.model.safe { 10 } else { 2 };
        let announces = flags & flag::TRUNC != 0 && self.random.below(one_in) == 0;
        Op::Open {
            path,
            flags,
            announced: announces.then(|| self.size()),
        }
    }

    fn choose(&mut self) -> Op {
        let path = self.path();
        if self.held.len() > 10 {
            return Op::Close { file: self.file() };
        }
        if self.held.len() < 3 && self.random.below(2) == 0 {
            return self.open(path);
        }
        // A safe overwrite is decided when the file is closed.
        if self.model.safe && self.random.below(10) == 0 {
            return Op::Close { file: self.file() };
        }
        match self.random.below(26) {
            0..5 => self.open(path),
            5 => Op::Close { file: self.file() },
            6..14 => Op::Write {
                file: self.file(),
                offset: self.size(),
                length: self.random.below(30_000),
            },
            14 | 15 => Op::Fsetstat {
                file: self.file(),
                size: self.size(),
            },
            16 => Op::Setstat {
                path,
                size: self.size(),
            },
            17 => self.copy(),
            18 => Op::Rmdir(path),
            19 => Op::Mkdir(format!("/{}", self.one_of(&["b", "d", "e"]))),
            20 => Op::Symlink {
                target: self.path(),
                path,
            },
            21 | 22 => Op::Hardlink {
                from: path,
                to: self.path(),
            },
            23 => Op::Rename {
                from: path,
                to: self.path(),
                replace: false,
            },
            24 | 25 => Op::Rename {
                from: path,
                to: self.path(),
                replace: true,
            },
            _ => Op::Remove(path),
        }
    }

    /// Between two files of one session, within the existing content.
    fn copy(&mut self) -> Op {
        let (from, to) = (self.file(), self.file());
        let session = |number| {
            let held = self.held.iter().find(|held| held.number == number);
            held.map(|held| held.session)
        };
        if session(from) != session(to) || !self.model.may_copy(from, to) {
            return Op::Remove(self.path());
        }
        let size = self.model.size(from);
        let offset = self.random.below(size + 10);
        let length = self.random.below(size.saturating_sub(offset) + 1);
        Op::Copy {
            from,
            offset,
            length,
            to,
            to_offset: self.size(),
        }
    }

    /// Sends the request from the session that has the file open, or from any.
    fn send(&mut self, op: &Op) -> (usize, Reply) {
        let any = self.random.below(SESSIONS as u64) as usize;
        let held = |number: &u64| {
            let found = self.held.iter().find(|held| held.number == *number);
            found.map_or((any, vec![0; 12]), |held| {
                (held.session, held.handle.clone())
            })
        };
        let (session, handle) = match op {
            Op::Close { file } | Op::Write { file, .. } | Op::Fsetstat { file, .. } => held(file),
            Op::Copy { from, .. } => held(from),
            _ => (any, Vec::new()),
        };
        let other = match op {
            Op::Copy { to, .. } => held(to).1,
            _ => Vec::new(),
        };
        let s = &mut self.sessions[session];
        let reply = match op {
            Op::Open {
                path,
                flags,
                announced,
            } => s.open(path, *flags, &announced.map_or_else(Attrs::default, sized)),
            Op::Close { .. } => s.with_string(wire::CLOSE, handle),
            Op::Write { offset, length, .. } => {
                s.try_write(&handle, *offset, &bytes_of(*length as usize, self.step))
            }
            Op::Fsetstat { size, .. } => s.try_resize_open(&handle, *size),
            Op::Setstat { path, size } => s.try_resize(path, *size),
            Op::Copy {
                offset,
                length,
                to_offset,
                ..
            } => s.try_copy((&handle, *offset, *length), (&other, *to_offset)),
            Op::Remove(path) => s.with_string(wire::REMOVE, path),
            Op::Rmdir(path) => s.with_string(wire::RMDIR, path),
            Op::Mkdir(path) => s.try_mkdir(path),
            Op::Symlink { target, path } => s.try_symlink(target, path),
            Op::Hardlink { from, to } => s.try_hardlink(from, to),
            Op::Rename { from, to, replace } => {
                let body = if *replace {
                    let name = "posix-rename@openssh.com";
                    s.body(wire::EXTENDED).string(name)
                } else {
                    s.body(wire::RENAME)
                };
                s.ask(&body.string(from).string(to))
            }
        };
        (session, reply)
    }

    fn one_request(&mut self) {
        let op = self.choose();
        let (session, reply) = self.send(&op);
        self.recent.push_back(format!("{op:?} -> {reply:?}"));
        if self.recent.len() > 20 {
            self.recent.pop_front();
        }
        let expected = self.model.apply(&op, session, self.step);
        self.met[expected as usize] += 1;
        let outcome = match &reply {
            Reply::Handle { .. } => Outcome::Done,
            Reply::Status { code: code::OK, .. } => Outcome::Done,
            refused if is_exceeded(refused) => Outcome::Exceeded,
            _ => Outcome::Failed,
        };
        // An impossible request may be refused for either reason.
        let right = match expected {
            Outcome::Failed => outcome != Outcome::Done,
            _ => outcome == expected,
        };
        assert!(right, "{expected:?} expected{}", self.story());
        match (op, reply) {
            (Op::Close { file }, _) => self.held.retain(|held| held.number != file),
            (Op::Open { path, .. }, Reply::Handle { handle, .. }) => {
                self.held.push(Held {
                    number: self.step,
                    session,
                    handle,
                });
                self.opened.push_back(path);
                if self.opened.len() > 6 {
                    self.opened.pop_front();
                }
            }
            _ => {}
        }
    }

    fn look(&mut self) {
        let (model, on_disk) = (self.model.used(), self.scene.on_disk());
        assert_eq!(model, on_disk, "the model; the disk{}", self.story());
        let said = self.sessions[self.step as usize % SESSIONS].used();
        // Above a limit, the server can only report that nothing is left.
        let shown = Use {
            bytes: model.bytes.min(self.model.limits.bytes),
            files: model.files.min(self.model.limits.files),
        };
        assert_eq!(said, shown, "the ledger; the disk{}", self.story());
    }

    /// Ends all sessions, with their open files; the next ones have other limits.
    fn change_limits(&mut self) {
        self.sessions.clear();
        for held in std::mem::take(&mut self.held) {
            self.model.cut(held.number);
        }
        let mut bytes = [200_000, 50_000, 120_001, 0, 300_000][self.random.below(5) as usize];
        let mut files = [12, 3, 9, 20][self.random.below(4) as usize];
        if self.model.safe {
            // Usually there is room for both files.
            (bytes, files) = (bytes * 3, files * 2);
        }
        self.model.limits = Use { bytes, files };
        self.scene.set_limits(bytes, files);
        self.recent
            .push_back(format!("new limits: {bytes}, {files}"));
        let model = self.model.used();
        crate::common::wait_until("what was open is closed", crate::common::STEP, || {
            self.scene.on_disk() == model
        });
        for _ in 0..SESSIONS {
            self.sessions.push(self.scene.log_in());
        }
        if self.model.safe {
            self.begin_anew();
        }
    }

    /// Parts, and files that could not be kept even as a part, would soon use all the room.
    fn begin_anew(&mut self) {
        self.sessions[0].remove_below("");
        self.opened.clear();
        let mut model = Model::new(self.model.limits);
        (model.safe, model.ended) = (true, self.model.ended);
        self.model = model;
    }

    /// Returns whether each outcome has occurred often enough.
    fn has_met_enough(&self) -> bool {
        let overwrites = !self.model.safe || self.model.ended.iter().all(|count| *count > 20);
        overwrites && self.met.iter().all(|count| *count > 100)
    }

    fn story(&self) -> String {
        let recent = Vec::from_iter(self.recent.iter().cloned()).join("\n");
        format!("; at step {}; the last requests:\n{recent}", self.step)
    }
}

fn scene(safe: bool) -> Scene {
    let scene = Scene::with(LIMITS.bytes, LIMITS.files);
    scene.set(&["--safe-overwrite", if safe { "on" } else { "off" }]);
    scene
}

#[test]
fn every_request_is_done_or_refused_as_a_plain_model_says() {
    requests_agree_with_the_model(false);
}

#[test]
fn every_request_is_done_or_refused_as_the_model_says_with_safe_overwrites() {
    requests_agree_with_the_model(true);
}

fn requests_agree_with_the_model(safe: bool) {
    let seed = crate::quota::load::seed();
    println!("SEED={seed} repeats this sequence");
    let mut run = Run::new(seed, safe);
    let change_every = if safe {
        CHANGE_EVERY_SAFE
    } else {
        CHANGE_EVERY
    };
    let began = Instant::now();
    while goes_on(began, run.has_met_enough()) {
        run.step += 1;
        run.one_request();
        if run.step.is_multiple_of(LOOK_EVERY) {
            run.look();
        }
        if run.step.is_multiple_of(change_every) {
            run.change_limits();
        }
    }
    let met = format!(
        "{} requests; {:?} done, exceeded, failed; {:?} overwritten, not overwritten",
        run.step, run.met, run.model.ended
    );
    println!("{met}");
    assert!(run.has_met_enough(), "{met}");
}

#[test]
fn sessions_that_act_at_once_are_never_over_the_limit_and_end_exact() {
    sessions_act_at_once(false);
}

#[test]
fn sessions_that_overwrite_safely_at_once_are_never_over_the_limit_and_end_exact() {
    sessions_act_at_once(true);
}

fn sessions_act_at_once(safe: bool) {
    let seed = crate::quota::load::seed();
    println!("SEED={seed} repeats this load");
    let mut random = Random::new(seed);
    let scene = scene(safe);
    let mut looking = scene.log_in();
    let mut loads: Vec<_> = (0..SESSIONS)
        .map(|_| Load::new(scene.log_in(), random.next(), LIMITS.bytes / 4))
        .collect();
    let (done, looks) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let on_disk = scene.frozen();
                assert!(
                    on_disk.bytes <= LIMITS.bytes && on_disk.files <= LIMITS.files,
                    "at one instant: {on_disk:?}"
                );
                looks.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(3));
            }
        });
        let began = Instant::now();
        let has_looked_enough = || looks.load(Ordering::Relaxed) > LOOKS;
        while goes_on(began, has_looked_enough()) && !watcher.is_finished() {
            std::thread::scope(|scope| {
                for load in &mut loads {
                    scope.spawn(|| {
                        for _ in 0..20 {
                            assert!(load.burst(), "the server is gone");
                        }
                    });
                }
            });
            let (said, on_disk) = (looking.used(), scene.on_disk());
            if said != on_disk {
                done.store(true, Ordering::Relaxed);
                std::thread::sleep(Duration::from_secs(1));
                let later = (looking.used(), scene.on_disk());
                panic!("the ledger {said:?}; the disk {on_disk:?}; a second later {later:?}");
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(looks.into_inner() > LOOKS);
    drop(loads);
    scene.assert_exact_soon(&mut looking);
}
