//! Counting a home.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Instant;

use super::*;
use crate::store::Counted;

fn counted(f: &Fixture) -> Counted {
    f.store.count(&mut |_| {}).unwrap()
}

#[test]
fn sizes_count_once_for_an_inode_and_names_each() {
    let f = Fixture::new();
    assert_eq!(counted(&f), Counted::default());
    f.put("a", "12345");
    fs::hard_link(f.home.join("a"), f.home.join("again")).unwrap();
    fs::create_dir_all(f.home.join("d/e/f")).unwrap();
    f.put("d/e/f/deep", "123");
    fs::hard_link(f.home.join("a"), f.home.join("d/e/third")).unwrap();
    symlink("/etc", f.home.join("link")).unwrap();
    symlink("nowhere", f.home.join("d/dangling")).unwrap();
    File::create(f.home.join("sparse"))
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    fs::hard_link(f.home.join("link"), f.home.join("same link")).unwrap();
    let links = "/etc".len() + "nowhere".len();
    let bytes = 5 + 3 + (1 << 40) + links as u64;
    assert_eq!(counted(&f), Counted { bytes, files: 11 });
}

#[test]
fn directories_that_are_closed_to_their_owner_are_counted_and_stay_closed() {
    let f = Fixture::new();
    fs::create_dir_all(f.home.join("closed/inner")).unwrap();
    f.put("closed/inner/file", "1234");
    f.put("closed/file", "12");
    let closed = [("closed/inner", 0o000), ("closed", 0o055)];
    for (name, mode) in closed {
        fs::set_permissions(f.home.join(name), Permissions::from_mode(mode)).unwrap();
    }
    assert_eq!(counted(&f), Counted { bytes: 6, files: 4 });
    assert_eq!(f.mode("closed"), 0o055);
    for (name, mode) in closed.into_iter().rev() {
        // root ignores permissions, so only the mode can tell.
        fs::set_permissions(f.home.join("closed"), Permissions::from_mode(0o700)).unwrap();
        if name != "closed" {
            assert_eq!(f.mode(name), mode);
        }
    }
    fs::set_permissions(f.home.join("closed/inner"), Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_tree_deeper_than_any_path_is_counted() {
    let f = Fixture::quick();
    let mut directory = rustix::fs::open(
        &f.home,
        rustix::fs::OFlags::DIRECTORY,
        rustix::fs::Mode::empty(),
    )
    .unwrap();
    for _ in 0..3000 {
        rustix::fs::mkdirat(&directory, "nn", rustix::fs::Mode::RWXU).unwrap();
        directory = rustix::fs::openat(
            &directory,
            "nn",
            rustix::fs::OFlags::DIRECTORY,
            rustix::fs::Mode::empty(),
        )
        .unwrap();
    }
    assert_eq!(counted(&f).files, 3000);
}

/// The figure in docs/performance.md; run it alone, in a release build: `cargo test --release
/// counts_a_second -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn counts_a_second() {
    let f = Fixture::new();
    for number in 0..200_000 {
        if number % 1000 == 0 {
            fs::create_dir(f.home.join(format!("d{}", number / 1000))).unwrap();
        }
        File::create(f.home.join(format!("d{}/file{number}", number / 1000))).unwrap();
    }
    for _ in 0..5 {
        let began = Instant::now();
        let files = counted(&f).files;
        let seconds = began.elapsed().as_secs_f64();
        println!(
            "{files} names in {seconds:.3} s: {:.0} a second",
            files as f64 / seconds
        );
    }
}
