//! Many accounts, changes and sessions at the same time: no change is lost.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{NOTICED, user};
use crate::common::connection::{Connection, Options};
use crate::common::files::Random;
use crate::common::raw::RawSftp;
use crate::common::wire::code;
use crate::common::{KIB, TestServer, wait_until};
use crate::quota::scene::NEW;

const ACCOUNTS: usize = 200;
const THREADS: usize = 8;
/// Accounts with sessions that move files meanwhile.
const AT_WORK: usize = 16;
const CHANGING: Duration = Duration::from_secs(6);

/// The last change of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wanted {
    quota: u64,
    max_files: u64,
    safe_overwrite: bool,
}

fn name(number: usize) -> String {
    format!("user-{number}")
}

fn in_parallel(work: impl Fn(usize) + Sync) {
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let work = &work;
            scope.spawn(move || work(thread));
        }
    });
}

#[test]
fn two_hundred_accounts_under_load_lose_no_change() {
    let server = TestServer::start();
    let key = server.public_key();
    let key = key.to_str().unwrap();
    in_parallel(|thread| {
        for number in (thread..ACCOUNTS).step_by(THREADS) {
            let limits = ["--quota", "1GiB", "--max-files", "1000"];
            let add = ["add", &name(number), "--key", key];
            user(&server, &[&add[..], &limits].concat());
        }
    });
    let mut at_work: Vec<_> = (0..AT_WORK)
        .map(|number| {
            let connection = Connection::open(&server, &Options::default());
            let login = connection.key(&name(number), &server.key(), None);
            assert!(login.unwrap().success());
            let sftp = connection.sftp();
            (connection, sftp)
        })
        .collect();
    let until = Instant::now() + CHANGING;
    let changes = AtomicU64::new(0);
    let moved = AtomicU64::new(0);
    let wanted: Vec<Vec<(usize, Wanted)>> = std::thread::scope(|scope| {
        for (_, sftp) in &mut at_work {
            scope.spawn(|| {
                while Instant::now() < until {
                    move_some(sftp);
                    moved.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let changing: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (server, changes) = (&server, &changes);
                scope.spawn(move || change_until(server, thread, until, changes))
            })
            .collect();
        changing
            .into_iter()
            .map(|one| one.join().unwrap())
            .collect()
    });
    let list = server.admin(&["user", "list", "--json"], "").accepted();
    let list: Value = serde_json::from_str(&list).unwrap();
    let list = list.as_array().unwrap();
    for (number, wanted) in wanted.into_iter().flatten() {
        let name = name(number);
        let found = list
            .iter()
            .find(|user| user["name"] == name.as_str())
            .unwrap();
        let found = Wanted {
            quota: found["quota"].as_u64().unwrap(),
            max_files: found["max_files"].as_u64().unwrap(),
            safe_overwrite: found["safe_overwrite"].as_bool().unwrap(),
        };
        assert_eq!(found, wanted, "{name}");
        if let Some((_, sftp)) = at_work.get_mut(number) {
            wait_until("an open session has it", NOTICED, || {
                sftp.space_available().user_total == wanted.quota
            });
        }
    }
    let (changes, moved) = (changes.into_inner(), moved.into_inner());
    println!("{changes} changes beside {moved} files");
    assert!(
        changes > 50 && moved > 50,
        "{changes} changes, {moved} files"
    );
}

fn move_some(sftp: &mut RawSftp) {
    let file = sftp.opened("/f", NEW);
    for offset in 0..4 {
        let written = sftp.write(&file, offset * 32 * KIB as u64, &[7; 32 * KIB]);
        assert_eq!(written, code::OK);
    }
    assert_eq!(sftp.close(&file), code::OK);
}

/// Changes its accounts at random, mostly those with sessions.
fn change_until(
    server: &TestServer,
    thread: usize,
    until: Instant,
    changes: &AtomicU64,
) -> Vec<(usize, Wanted)> {
    let mut random = Random::new(thread as u64 + 1);
    let own: Vec<usize> = (thread..ACCOUNTS).step_by(THREADS).collect();
    let mut wanted: Vec<Option<Wanted>> = vec![None; own.len()];
    while Instant::now() < until {
        let busy = random.below(2) == 0;
        let most = if busy { AT_WORK / THREADS } else { own.len() };
        let index = random.below(most as u64) as usize;
        let new = Wanted {
            quota: (1 << 30) + random.below(1 << 20),
            max_files: 100 + random.below(1000),
            safe_overwrite: random.below(2) == 0,
        };
        let (quota, files) = (new.quota.to_string(), new.max_files.to_string());
        let safe = if new.safe_overwrite { "on" } else { "off" };
        let name = name(own[index]);
        // Two commands at once, on one account.
        std::thread::scope(|scope| {
            scope.spawn(|| user(server, &["set", &name, "--quota", &quota]));
            let rest = ["--max-files", &files, "--safe-overwrite", safe];
            user(server, &[&["set", &name], &rest[..]].concat());
        });
        changes.fetch_add(2, Ordering::Relaxed);
        wanted[index] = Some(new);
    }
    let own = own.into_iter().zip(wanted);
    own.filter_map(|(number, wanted)| Some((number, wanted?)))
        .collect()
}
