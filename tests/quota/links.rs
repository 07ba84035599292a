//! The target of a symbolic link uses disk space, so it counts.

use crate::common::USER;
use crate::common::wire::code;
use crate::quota::scene::{LIMIT, NEW, Scene, Use, assert_done, assert_exceeded};

const LENGTH: u64 = 4090;

fn target() -> String {
    "t".repeat(200) + &"/t".repeat((LENGTH as usize - 200) / 2)
}

#[test]
fn targets_of_links_fill_a_quota_of_bytes_and_no_more_than_that() {
    let scene = Scene::with(LIMIT, 100_000);
    let mut s = scene.log_in();
    let fits = LIMIT / LENGTH;
    for number in 0..2_000 {
        let reply = s.try_symlink(&target(), &format!("/l{number}"));
        if number < fits {
            assert_done(&reply);
        } else {
            assert_exceeded(&reply);
        }
        if number > 2 * fits {
            continue;
        }
        assert!(s.used().bytes <= LIMIT);
    }
    let all = Use {
        bytes: fits * LENGTH,
        files: fits,
    };
    assert_eq!(s.used(), all);
    scene.assert_exact(&mut s);
    let free = s.space_available().user_free;
    assert_eq!(free, LIMIT - all.bytes);
    // The file may use the rest, and not one byte more.
    let file = s.opened("/f", NEW);
    assert_exceeded(&s.try_write(&file, free, b"x"));
    assert_done(&s.try_write(&file, free - 1, b"x"));
    // CLOSE reports that a WRITE was refused.
    assert_eq!(s.close(&file), code::FAILURE);
    assert_eq!(s.remove("/f"), code::OK);
    // Each way to remove a link frees its bytes; a second name of a link had none.
    assert_done(&s.try_hardlink("/l0", "/h"));
    assert_eq!(s.used().bytes, all.bytes);
    assert_eq!(s.remove("/l0"), code::OK);
    assert_eq!(s.used().bytes, all.bytes);
    assert_eq!(s.remove("/h"), code::OK);
    assert_eq!(s.used().bytes, all.bytes - LENGTH);
    s.put("/f", b"12345");
    assert_eq!(s.posix_rename("/f", "/l1"), code::OK);
    assert_eq!(s.posix_rename("/l2", "/l3"), code::OK);
    let left = Use {
        bytes: (fits - 3) * LENGTH + 5,
        files: fits - 2,
    };
    assert_eq!(s.used(), left);
    scene.assert_exact(&mut s);
    scene.server.admin(&["quota", "recount", USER], "").ok();
    assert_eq!(s.used(), left);
}

#[test]
fn a_quota_of_bytes_alone_is_set_with_a_word_on_what_it_leaves_open() {
    let scene = Scene::new();
    let set = |options: &[&str]| {
        let args = [&["user", "set", USER], options].concat();
        scene.server.admin(&args, "").ok().err()
    };
    assert_eq!(set(&["--quota", "1MiB"]), "");
    let told = set(&["--quota", "1MiB", "--max-files", "none"]);
    assert!(told.contains("--max-files"), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    assert_eq!(set(&["--upload-rate", "1MiB/s"]), "");
    assert_eq!(set(&["--quota", "none"]), "");
    let add = ["user", "add", "bob", "--no-password", "--quota", "1MiB"];
    let told = scene.server.admin(&add, "").ok().err();
    assert!(told.contains("--max-files"), "{told}");
}
