//! Homes that are hard to walk through, because of their width, depth, modes or users: `quota recount` and
//! `user rm --delete-home`.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, OFlags, RenameFlags, mkdirat, openat, renameat_with};
use tempfile::TempDir;

use crate::common::connection::{Connection, Options};
use crate::common::operator::Operator;
use crate::common::wire::{Attrs, MKDIR};
use crate::common::{PASSWORD, STEP, TestServer, run, skip, wait_until};

/// The names of this many directories, 240 bytes each, would take 16 MiB.
const DIRECTORIES: usize = 60_000;
/// Memory that a recount of them may add to the server's.
const MOST_KIB: u64 = 6 * 1024;

/// Closed directories, each beside a link.
const PAIRS: usize = 100;
/// How long they are swapped.
const ATTACK: Duration = Duration::from_secs(4);

/// Requests of a writing session without a reply so far.
const ON_THE_WAY: u64 = 32;

/// A folder in memory if possible: creating and removing so many names is not under test.
fn folder_in_memory() -> TempDir {
    TempDir::new_in("/dev/shm").unwrap_or_else(|_| TempDir::new().unwrap())
}

/// Runs a command as a user that permission bits apply to, even if root runs the tests.
fn without_privilege(command: &Command) -> Command {
    if !rustix::process::geteuid().is_root() {
        let mut same = Command::new(command.get_program());
        same.args(command.get_args());
        same.current_dir(command.get_current_dir().unwrap());
        return same;
    }
    let mut wrapped = Command::new("setpriv");
    wrapped
        .arg("--bounding-set=-dac_override,-dac_read_search")
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(command.get_current_dir().unwrap());
    wrapped
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn mode_of(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

/// A chain of directories, longer than any path.
fn dig(folder: &Path, levels: usize) {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY;
    let mut directory = openat(CWD, folder, flags, Mode::empty()).unwrap();
    for _ in 0..levels {
        mkdirat(&directory, "deep", Mode::RWXU).unwrap();
        directory = openat(&directory, "deep", flags, Mode::empty()).unwrap();
    }
}

#[test]
fn a_recount_of_sixty_thousand_directories_in_one_takes_little_memory() {
    let memory = folder_in_memory();
    let home = memory.path().join("wide");
    fs::create_dir(&home).unwrap();
    let sandbox = format!("[{:?}]", memory.path());
    let server = TestServer::start_with(&[("sandbox.homes", &sandbox)]);
    server.add_user("wide", PASSWORD, &[]);
    let moved = ["user", "set", "wide", "--home", home.to_str().unwrap()];
    server.admin(&moved, "").ok();
    let recount = || server.admin(&["quota", "recount", "wide"], "").ok().out();
    // Memory that the first one takes for good does not depend on the home.
    recount();
    for number in 0..DIRECTORIES {
        fs::create_dir(home.join(format!("{number:0240}"))).unwrap();
    }
    let clear = format!("/proc/{}/clear_refs", server.process_id());
    fs::write(clear, "5").unwrap();
    let before = server.memory_kib("VmHWM");
    let said = recount();
    assert!(said.contains("60000"), "{said}");
    let more = server.memory_kib("VmHWM").saturating_sub(before);
    println!("a recount of {DIRECTORIES} directories took {more} KiB more");
    assert!(more < MOST_KIB, "{more} KiB more");
}

/// A local user who may write to a home swaps closed directories there for links, to make the recount
/// change the mode of their targets.
#[test]
fn names_that_are_swapped_for_links_during_recounts_open_nothing_up() {
    let memory = folder_in_memory();
    let folder = fs::canonicalize(memory.path()).unwrap();
    let (home, key) = (folder.join("home"), folder.join("key"));
    let data = folder.join("data");
    fs::write(&key, "secret").unwrap();
    fs::create_dir(&data).unwrap();
    let victims = [(&key, 0o400), (&data, 0o500)];
    for (victim, mode) in victims {
        set_mode(victim, mode);
    }
    let operator = Operator::with_config("");
    let place = home.to_str().unwrap();
    let add = ["user", "add", "ann", "--no-password", "--home", place];
    operator.run(&add).accepted();
    let pairs: Vec<_> = (0..PAIRS)
        .map(|number| {
            let (closed, link) = (format!("closed{number}"), format!("link{number}"));
            (home.join(closed), home.join(link))
        })
        .collect();
    for (number, (closed, link)) in pairs.iter().enumerate() {
        fs::create_dir(closed).unwrap();
        set_mode(closed, 0o000);
        symlink(victims[number % 2].0, link).unwrap();
    }
    let (stop, swaps) = (AtomicBool::new(false), AtomicU64::new(0));
    let recounts = thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                for (closed, link) in &pairs {
                    renameat_with(CWD, closed, CWD, link, RenameFlags::EXCHANGE).unwrap();
                    swaps.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let began = Instant::now();
        let mut recounts = 0;
        while began.elapsed() < ATTACK {
            // Some of them meet a swap and fail.
            run_it(without_privilege(
                &operator.command(&["quota", "recount", "ann"]),
            ));
            recounts += 1;
        }
        stop.store(true, Ordering::Relaxed);
        recounts
    });
    println!("{recounts} recounts, {} swaps", swaps.into_inner());
    for (victim, mode) in victims {
        assert_eq!(mode_of(victim), mode, "{}", victim.display());
    }
}

#[test]
fn a_home_with_closed_directories_and_four_thousand_levels_is_counted_and_deleted() {
    let memory = folder_in_memory();
    let outside = memory.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "kept").unwrap();
    set_mode(&outside, 0o500);
    let home = fs::canonicalize(memory.path()).unwrap().join("home");
    let operator = Operator::with_config("");
    let place = home.to_str().unwrap();
    let add = ["user", "add", "ann", "--no-password", "--home", place];
    operator.run(&add).accepted();
    fs::create_dir_all(home.join("closed/inner/open")).unwrap();
    fs::write(home.join("closed/inner/open/file"), "1234").unwrap();
    symlink(&outside, home.join("closed/link")).unwrap();
    dig(&home, 4000);
    set_mode(&home.join("closed/inner"), 0o000);
    set_mode(&home.join("closed"), 0o055);

    let recount = without_privilege(&operator.command(&["quota", "recount", "ann"]));
    let said = run_it(recount).accepted();
    assert!(said.contains("4005"), "{said}");
    assert_eq!(mode_of(&home.join("closed")), 0o055);

    let remove = operator.command(&["user", "rm", "ann", "--yes", "--delete-home"]);
    run_it(without_privilege(&remove)).accepted();
    assert!(!home.exists());
    operator.run(&["user", "show", "ann"]).refused();
    assert_eq!(
        (mode_of(&outside), fs::read(outside.join("file")).unwrap()),
        (0o500, b"kept".to_vec())
    );
}

fn run_it(mut command: Command) -> crate::common::Output {
    run(&mut command, STEP)
}

/// Other mounts do not belong to the account: the command finds them before it removes the account, and
/// without /proc does not enter them.
#[test]
fn what_is_mounted_in_a_home_is_not_deleted_with_it() {
    let can = run(Command::new("unshare").args(["--mount", "true"]), STEP);
    if !can.status.success() {
        return skip("unshare (as root)");
    }
    let operator = Operator::with_config("");
    let home = operator.path("data/homes/ann");
    operator
        .run(&["user", "add", "ann", "--no-password"])
        .accepted();
    for folder in [operator.path("outside"), home.join("a b/mounted")] {
        fs::create_dir_all(&folder).unwrap();
    }
    fs::write(operator.path("outside/file"), "kept").unwrap();
    let remove = |before: &str| {
        let script = format!(
            "set -e; mount --bind outside 'data/homes/ann/a b/mounted'; {before}\n\
             exec {} user rm ann --yes --delete-home",
            env!("CARGO_BIN_EXE_landfall")
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &script]);
        command.current_dir(operator.path(""));
        run_it(command)
    };
    let said = remove("").refused();
    assert!(said.contains("is mounted on"), "{said}");
    assert!(said.contains("a b/mounted; unmount it first"), "{said}");
    operator.run(&["user", "show", "ann"]).accepted();

    fs::write(home.join("file"), "").unwrap();
    let half = remove("mount -t tmpfs none /proc").failed();
    let said = half.err();
    assert!(said.contains("/mounted: On another file system"), "{said}");
    // The completed part is reported and recorded.
    assert_eq!(half.out(), "Removed ann\n");
    let log = fs::read_to_string(operator.path("data/audit.jsonl")).unwrap();
    let is_noted = |line: &str| {
        line.contains("\"action\":\"remove\"") && line.contains("/mounted: On another file system")
    };
    assert!(log.lines().any(is_noted), "{log}");
    let kept = fs::read(operator.path("outside/file")).unwrap();
    assert_eq!(kept, b"kept");
    assert!(!home.join("file").exists());
}

/// Four sessions create directories as fast as they can, always with some requests in flight.
#[test]
fn a_home_is_deleted_whole_while_its_sessions_write() {
    let memory = folder_in_memory();
    let home = fs::canonicalize(memory.path()).unwrap().join("home");
    let sandbox = format!("[{:?}]", memory.path());
    let server = TestServer::start_with(&[("sandbox.homes", &sandbox)]);
    server.add_user("zoe", PASSWORD, &[&server.public_key()]);
    fs::create_dir(&home).unwrap();
    let moved = ["user", "set", "zoe", "--home", home.to_str().unwrap()];
    server.admin(&moved, "").ok();
    let made = AtomicU64::new(0);
    thread::scope(|scope| {
        for session in 0..4 {
            let connection = Connection::logged_in_to(&server, "zoe", &Options::default());
            let mut sftp = connection.sftp();
            let made = &made;
            scope.spawn(move || {
                let _held = connection;
                for number in 0.. {
                    let body = sftp.body(MKDIR).string(format!("/{session}-{number}"));
                    let body = body.attrs(&Attrs::default());
                    let sent = sftp.try_send(&body, STEP);
                    if !sent || number >= ON_THE_WAY && sftp.try_packet(STEP).is_err() {
                        return;
                    }
                    made.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        wait_until("the sessions write", STEP, || {
            made.load(Ordering::Relaxed) > 1000
        });
        let remove = ["user", "rm", "zoe", "--delete-home", "--yes"];
        let said = server.admin(&remove, "").accepted();
        assert!(said.contains("Closed 4 open sessions"), "{said}");
        assert!(!home.exists());
    });
    println!("{} directories were made", made.into_inner());
    // No session has created it again.
    assert!(!home.exists());
}
