//! Tests of ledgers, with a database on disk.

use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::*;
use crate::accounts::{Accounts, NewAccount, Password};
use crate::config::Config;
use crate::error::Error;

const LIMITS: Limits = Limits {
    bytes: Some(1000),
    files: Some(3),
};

/// A database with the account "ann", whose home contains what `count` returns.
struct Scene {
    runtime: Runtime,
    folder: TempDir,
    ledgers: Arc<Ledgers>,
    accounts: Accounts,
}

fn nothing_there(_: &Path, _: &mut dyn FnMut(u64)) -> Result<Usage, Error> {
    Ok(Usage::default())
}

fn seven_files(_: &Path, _: &mut dyn FnMut(u64)) -> Result<Usage, Error> {
    Ok(Usage {
        bytes: 700,
        files: 7,
    })
}

fn no_disk(_: &Path, _: &mut dyn FnMut(u64)) -> Result<Usage, Error> {
    Err(rustix::io::Errno::IO.into())
}

impl Scene {
    fn new(count: CountHome) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("config.toml");
        std::fs::write(&file, "[login]\nargon2_memory = \"8MiB\"\n").unwrap();
        let (accounts, ledgers) = runtime.block_on(async {
            let accounts = Accounts::open_or_make(Config::load(&file).unwrap().accounts())
                .await
                .unwrap();
            let new = NewAccount {
                password: Some(Password::random().unwrap()),
                ..NewAccount::new("ann".parse().unwrap())
            };
            accounts.add(new).await.unwrap();
            let ledgers = Ledgers::new(accounts.database().clone(), count);
            (accounts, ledgers)
        });
        Self {
            runtime,
            folder,
            ledgers,
            accounts,
        }
    }

    fn join(&self) -> Member {
        let home = self.folder.path().join("data/homes/ann");
        self.runtime
            .block_on(self.ledgers.join("ann", &home, LIMITS))
            .unwrap()
    }

    /// Makes the ledgers of a server that starts after this one has died.
    fn restart(&mut self, count: CountHome) {
        let _context = self.runtime.enter();
        self.ledgers = Ledgers::new(self.accounts.database().clone(), count);
    }

    fn kept(&self) -> Option<StoredUsage> {
        let home = self.folder.path().join("data/homes/ann");
        self.runtime
            .block_on(self.ledgers.kept("ann", &home))
            .unwrap()
    }
}

fn used(bytes: u64, files: u64) -> Option<Usage> {
    Some(Usage { bytes, files })
}

/// Waits for the count that joining has begun.
fn counted(member: &Member) -> &Arc<Ledger> {
    drop(member.ledger().begin());
    member.ledger()
}

#[test]
fn what_is_reserved_counts_until_it_is_settled_or_given_back() {
    let scene = Scene::new(nothing_there);
    let member = scene.join();
    let ledger = counted(&member);
    let change = ledger.begin();
    let first = change.reserve(Usage::bytes(600)).unwrap();
    assert_eq!(ledger.used(), used(600, 0));
    let refused = change.reserve(Usage::bytes(401)).err().unwrap();
    assert!(
        refused
            .to_string()
            .starts_with("Quota exceeded: 600 bytes of 1000 bytes")
    );
    let second = change.reserve(Usage::bytes(400)).unwrap();
    first.settle(Usage::bytes(100));
    assert_eq!(ledger.used(), used(500, 0));
    drop(second);
    assert_eq!(ledger.used(), used(100, 0));
    change.reserve(Usage::files(3)).unwrap().keep();
    assert!(change.reserve(Usage::files(1)).is_err());
    // Zero growth fits at the limit, too.
    change.reserve(Usage::default()).unwrap().keep();
    change.release(Usage::files(2));
    assert_eq!(ledger.used(), used(100, 1));
}

#[test]
fn an_inode_without_a_name_counts_until_its_last_handle_is_closed() {
    let scene = Scene::new(nothing_there);
    let member = scene.join();
    let ledger = counted(&member);
    let change = ledger.begin();
    change
        .reserve(Usage {
            bytes: 300,
            files: 1,
        })
        .unwrap()
        .keep();
    let (one, two) = (ledger.track((1, 5)), ledger.track((1, 5)));
    assert_eq!(one.hold_size(|| Ok(300)).unwrap().get(), 300);
    // The other handle knows the size, too, and changes by the first one.
    one.hold_size(|| unreachable!()).unwrap().set(400);
    change.reserve(Usage::bytes(100)).unwrap().keep();
    assert_eq!(two.hold_size(|| unreachable!()).unwrap().get(), 400);
    one.lost_its_name();
    drop(one);
    assert_eq!(ledger.used(), used(400, 1));
    drop(change);
    // A count does not find it on disk and does not forget it.
    assert_eq!(
        ledger.recount(|| Ok(Usage::bytes(7))).unwrap(),
        Usage {
            bytes: 407,
            files: 1
        }
    );
    drop(two);
    assert_eq!(ledger.used(), used(7, 0));
}

#[test]
fn figures_are_saved_when_the_last_session_ends_and_read_by_the_next_server() {
    let mut scene = Scene::new(nothing_there);
    assert_eq!(scene.kept(), None);
    let member = scene.join();
    counted(&member)
        .begin()
        .reserve(Usage { bytes: 5, files: 1 })
        .unwrap()
        .keep();
    assert!(!scene.kept().unwrap().clean);
    drop(member);
    let kept = scene.kept().unwrap();
    assert_eq!(
        (kept.used, kept.clean),
        (Usage { bytes: 5, files: 1 }, true)
    );
    // The next server trusts it and does not count.
    scene.restart(no_disk);
    let member = scene.join();
    assert_eq!(member.ledger().used(), used(5, 1));
    // Reading alone changes nothing in the database.
    drop(member.ledger().track((1, 1)));
    assert!(scene.kept().unwrap().clean);
}

#[test]
fn after_a_crash_the_homes_with_writers_are_counted_and_growth_waits() {
    let mut scene = Scene::new(nothing_there);
    let member = scene.join();
    drop(counted(&member).begin());
    std::mem::forget(member);
    scene.restart(seven_files);
    scene
        .runtime
        .block_on(scene.ledgers.begin_serving())
        .unwrap();
    let member = scene.join();
    let ledger = counted(&member);
    assert_eq!(ledger.used(), used(700, 7));
    // Above its limit it can shrink and cannot grow.
    let change = ledger.begin();
    assert!(change.reserve(Usage::files(1)).is_err());
    change.release(Usage::files(5));
    change.reserve(Usage::files(1)).unwrap().keep();
}

#[test]
fn a_home_that_cannot_be_counted_shrinks_and_does_not_grow() {
    let scene = Scene::new(no_disk);
    let member = scene.join();
    let ledger = counted(&member);
    assert_eq!(ledger.used(), None);
    let change = ledger.begin();
    assert!(change.reserve(Usage::bytes(1)).is_err());
    change.release(Usage::bytes(1));
    change.reserve(Usage::default()).unwrap().keep();
    drop(change);
    ledger.recount(|| Ok(Usage::bytes(9))).unwrap();
    assert_eq!(ledger.used(), used(9, 0));
    ledger.begin().reserve(Usage::bytes(1)).unwrap().keep();
}

#[test]
fn while_a_home_is_counted_files_are_opened_and_closed_and_changes_wait() {
    let scene = Scene::new(nothing_there);
    let member = scene.join();
    let ledger = counted(&member).clone();
    let (changed, changing) = std::sync::mpsc::channel();
    ledger
        .recount(|| {
            let writer = ledger.clone();
            std::thread::spawn(move || {
                writer.begin().reserve(Usage::bytes(5)).unwrap().keep();
                changed.send(()).unwrap();
            });
            let opening = ledger.opening();
            let file = ledger.track((1, 1));
            drop(opening);
            drop(file);
            let waited = changing.recv_timeout(std::time::Duration::from_millis(200));
            assert!(waited.is_err(), "it changed while it was counted");
            Ok(Usage::bytes(100))
        })
        .unwrap();
    changing
        .recv_timeout(std::time::Duration::from_secs(20))
        .unwrap();
    assert_eq!(ledger.used(), used(105, 0));
}

#[test]
fn when_the_machine_went_down_under_the_server_everything_is_counted() {
    let mut scene = Scene::new(nothing_there);
    drop(counted(&scene.join()).begin());
    assert!(scene.kept().unwrap().clean);
    let database = scene.accounts.database().clone();
    let serve = |scene: &Scene| {
        let begun = keeper::begin_serving(&database);
        scene.runtime.block_on(begun).unwrap()
    };
    let execute = |scene: &Scene, sql: &'static str| {
        let query = sqlx::query(sql).execute(database.pool());
        scene.runtime.block_on(query).unwrap();
    };
    assert!(!serve(&scene), "the first server");
    assert!(!serve(&scene), "the last one was killed");
    execute(&scene, "UPDATE server_run SET boot = 'another'");
    let ended = keeper::end_serving(&database);
    scene.runtime.block_on(ended).unwrap();
    assert!(!serve(&scene), "the last one had stopped by itself");
    assert!(scene.kept().unwrap().clean);
    execute(&scene, "UPDATE server_run SET boot = 'another'");
    assert!(serve(&scene));
    assert!(!scene.kept().unwrap().clean);
    scene.restart(seven_files);
    assert_eq!(counted(&scene.join()).used(), used(700, 7));
}

/// Homes of other accounts than ann are on a disk that hangs until a file "go" exists beside them.
fn only_ann(home: &Path, _: &mut dyn FnMut(u64)) -> Result<Usage, Error> {
    while !home.ends_with("ann") && !home.with_file_name("go").exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    Ok(Usage::bytes(5))
}

#[test]
fn an_account_that_logs_in_does_not_wait_for_the_counts_of_others() {
    let mut scene = Scene::new(nothing_there);
    let homes = scene.folder.path().join("data/homes");
    for number in 0..20 {
        let name: crate::accounts::UserName = format!("a{number}").parse().unwrap();
        let add = scene.accounts.add(NewAccount::new(name.clone()));
        scene.runtime.block_on(add).unwrap();
        let home = homes.join(name.as_str());
        let join = scene.ledgers.join(name.as_str(), &home, LIMITS);
        let member = scene.runtime.block_on(join).unwrap();
        drop(counted(&member).begin());
        std::mem::forget(member);
    }
    let member = scene.join();
    drop(counted(&member).begin());
    std::mem::forget(member);
    scene.restart(only_ann);
    let serving = scene.ledgers.begin_serving();
    scene.runtime.block_on(serving).unwrap();
    let member = scene.join();
    assert_eq!(counted(&member).used(), used(5, 0));
    std::fs::write(homes.join("go"), "").unwrap();
}
