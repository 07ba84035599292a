//! Real clients that overwrite existing files: the content is right to the byte, and each client finds
//! what it expects.

use std::fs::{self, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::overwriting;
use crate::common::files::{assert_same, bytes_of};
use crate::common::programs::{Mount, curl, lftp, psftp, putty_password, rclone};
use crate::common::{
    HOST, MIB, PASSWORD, Running, STEP, TRANSFER, TestServer, have, python, random_file, run,
    run_ok, wait_until,
};
use crate::quota::scene::{MAX_FILES, Scene};

/// A home with room for large files that has an old file `f` with a mode of its own; the client uploads
/// `new`.
fn with_old_file(size: u64) -> (Scene, PathBuf) {
    let scene = overwriting(Scene::with(200 * MIB as u64, MAX_FILES));
    let new = scene.server.local("new");
    random_file(&new, size, 1);
    let mut s = scene.log_in();
    s.put("/f", &bytes_of(100_000, 2));
    let mode = fs::Permissions::from_mode(0o604);
    fs::set_permissions(scene.at_home("f"), mode).unwrap();
    (scene, new)
}

/// Expects the new file with the mode of the old one, and no other file.
#[track_caller]
fn assert_replaced(scene: &Scene, new: &Path) {
    assert_same(new, &scene.at_home("f"));
    assert_eq!(scene.mode("f"), 0o604);
    assert_eq!(scene.names(), ["f"]);
    scene.assert_exact_soon(&mut scene.log_in());
}

/// Returns whether `act` replaced the old file: a file that is written in place keeps its inode.
#[track_caller]
fn replaces(client: &str, size: u64, act: impl FnOnce(&TestServer)) {
    use std::os::unix::fs::MetadataExt as _;
    let (scene, new) = with_old_file(size);
    let held = fs::File::open(scene.at_home("f")).unwrap();
    act(&scene.server);
    assert_eq!(held.metadata().unwrap().nlink(), 0, "{client}: in place");
    assert_eq!(held.metadata().unwrap().len(), 100_000, "{client}: touched");
    assert_replaced(&scene, &new);
}

#[test]
fn sftp_and_psftp_put_over_an_old_file() {
    for size in [0, 1, 5 * MIB as u64 + 3] {
        replaces("sftp", size, |server| {
            run_ok(&mut server.sftp_batch(&[], "put new f\n"), TRANSFER);
        });
    }
    if have(&["psftp"]) {
        replaces("psftp", 5 * MIB as u64 + 3, |server| {
            run_ok(
                &mut psftp(server, &putty_password(PASSWORD), "put new f\n"),
                TRANSFER,
            );
        });
    }
}

/// scp never truncates a file when it opens it.
#[test]
fn scp_goes_on_in_the_old_file_as_ever() {
    let (scene, new) = with_old_file(3 * MIB as u64);
    let mut scp = scene.server.scp();
    run_ok(scp.args(["-s", "new"]).arg(format!("{HOST}:f")), TRANSFER);
    assert_same(&new, &scene.at_home("f"));
    assert_eq!(scene.names(), ["f"]);
    scene.assert_exact_soon(&mut scene.log_in());
}

#[test]
fn scps_older_protocol_puts_over_an_old_file() {
    for size in [0, 1, 5 * MIB as u64 + 3] {
        replaces("scp -O", size, |server| {
            let mut scp = server.scp();
            run_ok(scp.args(["-O", "new"]).arg(format!("{HOST}:f")), TRANSFER);
        });
    }
}

#[test]
fn lftp_puts_over_an_old_file() {
    if have(&["lftp"]) {
        replaces("lftp", 5 * MIB as u64 + 3, |server| {
            run_ok(&mut lftp(server, "put new -o f; chmod 604 f"), TRANSFER);
        });
    }
}

#[test]
fn curl_uploads_over_an_old_file() {
    if have(&["curl"]) {
        replaces("curl", 5 * MIB as u64 + 3, |server| {
            run_ok(&mut curl(server, "/f", &["-T", "new"]), TRANSFER);
        });
    }
}

#[test]
fn rclone_copies_over_a_changed_file() {
    if have(&["rclone"]) {
        replaces("rclone", 5 * MIB as u64 + 3, |server| {
            run_ok(&mut rclone(server, &["copyto", "new", "there:f"]), TRANSFER);
        });
    }
}

#[test]
fn paramiko_puts_over_an_old_file_and_reads_it_back() {
    let Some(python) = python() else { return };
    replaces("paramiko", 5 * MIB as u64 + 3, |server| {
        let script = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/clients/paramiko_overwrite.py"
        );
        let mut client = Command::new(python);
        client.args([
            script,
            "127.0.0.1",
            &server.port().to_string(),
            server.user(),
        ]);
        client.args([server.key(), server.path("client")]);
        run_ok(&mut client, TRANSFER);
    });
}

/// A client whose connection is cut leaves the old file unchanged.
#[test]
fn programs_that_are_killed_leave_the_old_file() {
    let (scene, new) = with_old_file(30 * MIB as u64);
    let server = &scene.server;
    let old = scene.content("f");
    let whole = fs::read(&new).unwrap();
    let slow_curl = curl(server, "/f", &["-T", "new", "--limit-rate", "4M"]);
    let slow_lftp = lftp(server, "set net:limit-rate 4000000; put new -o f");
    let slow_rclone = rclone(server, &["copyto", "--bwlimit", "4M", "new", "there:f"]);
    let mut slow_scp = server.scp();
    slow_scp.args(["-O", "-l", "32000", "new"]);
    slow_scp.arg(format!("{HOST}:f"));
    for (name, mut client) in [
        ("scp", slow_scp),
        ("curl", slow_curl),
        ("lftp", slow_lftp),
        ("rclone", slow_rclone),
    ] {
        if !have(&[name]) {
            continue;
        }
        let mut running = Running::start(&mut client);
        wait_until("something has come", TRANSFER, || {
            assert!(running.is_running(), "{name} was over before it was cut");
            let hidden = super::hidden_in(&scene.at_home(""));
            hidden.first().is_some_and(|hidden| {
                fs::metadata(scene.at_home(hidden)).is_ok_and(|found| found.len() > 1_000_000)
            })
        });
        running.kill();
        wait_until("the part has its name", STEP, || scene.has("f.filepart"));
        assert!(scene.content("f") == old, "{name}");
        let part = scene.content("f.filepart");
        // Only a client that writes out of order can leave a gap before what it wrote.
        assert!(whole.starts_with(&part), "{name}: {} bytes", part.len());
        fs::remove_file(scene.at_home("f.filepart")).unwrap();
    }
}

/// PROTOCOL.md describes this for each client.
#[test]
fn each_client_goes_on_in_a_part_by_hand() {
    let (scene, new) = with_old_file(2 * MIB as u64 + 7);
    let server = &scene.server;
    let whole = fs::read(&new).unwrap();
    let after = ["-Q", "-rm /f", "-Q", "-rename /f.filepart /f"];
    let curl_args = [&["-C", "-", "-T", "new"][..], &after].concat();
    let ways = [
        (
            "sftp",
            server.sftp_batch(&[], "reput new f.filepart\nrename f.filepart f\n"),
        ),
        (
            "psftp",
            psftp(
                server,
                &putty_password(PASSWORD),
                "reput new f.filepart\ndel f\nmv f.filepart f\n",
            ),
        ),
        (
            "lftp",
            lftp(server, "put -c new -o f.filepart; rm f; mv f.filepart f"),
        ),
        ("curl", curl(server, "/f.filepart", &curl_args)),
    ];
    for (name, mut client) in ways {
        if !have(&[name]) {
            continue;
        }
        scene.put_on_disk("f", "old");
        scene.put_on_disk("f.filepart", &whole[..MIB + 1]);
        run_ok(&mut client, TRANSFER);
        assert_eq!(scene.names(), ["f"], "{name}");
        assert_same(&new, &scene.at_home("f"));
    }
}

// ---- a mount

/// Mounts the home with sshfs. The tests read what they wrote through the mount and on the server.
fn mounted() -> Option<(Scene, Mount)> {
    let scene = overwriting(Scene::with(200 * MIB as u64, MAX_FILES));
    let mount = Mount::sshfs(&scene.server)?;
    Some((scene, mount))
}

fn shell(mount: &Mount, script: &str) -> String {
    let mut sh = Command::new("sh");
    sh.args(["-ec", script]).current_dir(&mount.0);
    run_ok(&mut sh, TRANSFER).out()
}

#[test]
fn sshfs_writes_over_files_and_reads_them_back_at_once() {
    let Some((scene, mount)) = mounted() else {
        return;
    };
    let there = |name: &str| String::from_utf8(scene.content(name)).unwrap();
    assert_eq!(shell(&mount, "echo one > f; echo two > f; cat f"), "two\n");
    assert_eq!(
        shell(&mount, "echo three > f; stat -c %s f; cat f"),
        "6\nthree\n"
    );
    assert_eq!(shell(&mount, "echo more >> f; cat f"), "three\nmore\n");
    assert_eq!(
        shell(&mount, "truncate -s 3 f; cat f; ls -l f | cut -d' ' -f5"),
        "thr3\n"
    );
    // Editors save in place with a backup, or through a second file.
    shell(&mount, "cp -p f f~; printf edited > f; rm f~; chmod 640 f");
    assert_eq!(there("f"), "edited");
    shell(&mount, "printf again > .f.swp; mv .f.swp f");
    assert_eq!(shell(&mount, "cat f"), "again");
    assert_eq!(shell(&mount, "sed -i s/again/sed/ f; cat f"), "sed");
    shell(&mount, "cp f g; printf x > g; cp g f; cmp f g");
    assert_eq!(there("f"), "x");
    let big = scene.server.local("big");
    random_file(&big, 7 * MIB as u64 + 1, 3);
    shell(&mount, &format!("cp {} f; cmp f {0}", big.display()));
    assert_same(&big, &scene.at_home("f"));
    shell(
        &mount,
        "dd if=/dev/zero of=f bs=100k count=3 conv=fsync 2>&1",
    );
    // The kernel may report the end of the file to sshfs only after dd has exited.
    let is_replaced = || scene.content("f") == vec![0; 300 * 1024];
    wait_until("the new file takes its place", STEP, is_replaced);
    assert_eq!(scene.names(), ["f", "g"]);
    scene.assert_exact_soon(&mut scene.log_in());
}

#[test]
fn sshfs_sees_a_file_that_is_open_as_it_was_written() {
    let Some((scene, mount)) = mounted() else {
        return;
    };
    let (f, g) = (mount.0.join("f"), mount.0.join("g"));
    fs::write(&f, "old").unwrap();
    let reopen = || {
        let mut options = OpenOptions::new();
        options.read(true).write(true).truncate(true);
        options.open(&f).unwrap()
    };
    let text = |file: &mut fs::File| {
        let mut text = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        text
    };
    // Its size and content while it is open.
    let mut open = reopen();
    open.write_all(b"something").unwrap();
    assert_eq!(fs::metadata(&f).unwrap().len(), 9);
    assert_eq!(text(&mut open), "something");
    open.set_len(4).unwrap();
    assert_eq!(fs::metadata(&f).unwrap().len(), 4);
    fs::set_permissions(&f, fs::Permissions::from_mode(0o600)).unwrap();
    drop(open);
    assert_eq!(fs::read(&f).unwrap(), b"some");
    wait_until("it is closed", STEP, || scene.content("f") == b"some");
    assert_eq!(scene.mode("f"), 0o600);
    // It is renamed while it is open.
    let mut open = reopen();
    open.write_all(b"moved").unwrap();
    fs::rename(&f, &g).unwrap();
    open.write_all(b" on").unwrap();
    drop(open);
    assert_eq!(fs::read(&g).unwrap(), b"moved on");
    assert!(!f.exists());
    // Another file is renamed over it.
    fs::write(&f, "old").unwrap();
    let mut open = reopen();
    open.write_all(b"replaced").unwrap();
    fs::rename(&g, &f).unwrap();
    open.write_all(b" and lost").unwrap();
    drop(open);
    assert_eq!(fs::read(&f).unwrap(), b"moved on");
    // It is removed while it is open.
    let mut open = reopen();
    open.write_all(b"nobody").unwrap();
    fs::remove_file(&f).unwrap();
    open.write_all(b" sees").unwrap();
    assert_eq!(text(&mut open), "nobody sees");
    drop(open);
    wait_until("nothing is left", STEP, || scene.names().is_empty());
    scene.assert_exact_soon(&mut scene.log_in());
}

#[test]
fn a_mount_that_is_killed_leaves_the_old_file() {
    let Some((scene, mount)) = mounted() else {
        return;
    };
    let f = mount.0.join("f");
    fs::write(&f, "old").unwrap();
    let mut options = OpenOptions::new();
    let mut open = options.write(true).truncate(true).open(&f).unwrap();
    open.write_all(b"new").unwrap();
    open.sync_all().unwrap();
    wait_until("what was closed before is there", STEP, || {
        scene.content("f") == b"old"
    });
    mount.kill();
    wait_until("the part has its name", STEP, || scene.has("f.filepart"));
    assert_eq!(scene.content("f"), b"old");
    assert_eq!(scene.content("f.filepart"), b"new");
    scene.assert_exact_soon(&mut scene.log_in());
}

/// An upload that does not fit leaves the old file; users of OpenSSH's and PuTTY's clients read why.
#[test]
fn uploads_that_do_not_fit_leave_the_old_file() {
    let (scene, new) = with_old_file(3 * MIB as u64);
    let server = &scene.server;
    scene.set_limits(2 * MIB as u64, MAX_FILES);
    let old = scene.content("f");
    let whole = fs::read(&new).unwrap();
    let uploads = [
        ("sftp", server.sftp_batch(&[], "put new f\n")),
        (
            "psftp",
            psftp(server, &putty_password(PASSWORD), "put new f\n"),
        ),
        ("lftp", lftp(server, "put new -o f")),
        ("curl", curl(server, "/f", &["-T", "new"])),
    ];
    for (name, mut client) in uploads {
        if !have(&[name]) {
            continue;
        }
        let said = run(&mut client, TRANSFER);
        let told = said.err() + &said.out();
        if name.ends_with("sftp") {
            let lines = told.lines().filter(|line| line.contains("landfall: "));
            let lines: Vec<_> = lines.collect();
            assert_eq!(lines.len(), 2, "{name}: {}", said.describe());
            assert!(lines[0].contains("Quota exceeded"), "{told}");
            assert!(
                lines[1].contains("the existing file is unchanged"),
                "{told}"
            );
        }
        wait_until("it is closed", STEP, || scene.has("f.filepart"));
        assert!(scene.content("f") == old, "{name}");
        let part = scene.content("f.filepart");
        assert!(whole.starts_with(&part), "{name}: {} bytes", part.len());
        scene.assert_nothing_hidden();
        fs::remove_file(scene.at_home("f.filepart")).unwrap();
        server.admin(&["quota", "recount"], "").ok();
    }
}

/// rclone before 1.63 uploads to the name itself and removes it when the upload fails.
#[test]
fn rclone_that_removes_what_does_not_fit_removes_the_new_file() {
    if !have(&["rclone"]) {
        return;
    }
    let (scene, _) = with_old_file(3 * MIB as u64);
    scene.set_limits(2 * MIB as u64, MAX_FILES);
    let old = scene.content("f");
    let copy = ["copyto", "--retries", "2", "new", "there:f"];
    let said = run(&mut rclone(&scene.server, &copy), TRANSFER).failed();
    assert!(said.err().contains("Quota exceeded"), "{}", said.describe());
    assert!(scene.content("f") == old);
    assert_eq!(scene.names(), ["f"]);
    scene.assert_exact_soon(&mut scene.log_in());
}
