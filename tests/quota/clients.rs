//! Real clients at the limit: the messages that users see, that stored data stays, and the space that
//! each client reports.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::common::files::assert_same;
use crate::common::programs::{Mount, curl, lftp, psftp, putty_password};
use crate::common::{
    HOST, Output, PASSWORD, Running, STEP, TRANSFER, TestServer, USER, have, random_file, run,
    run_ok, wait_until,
};
use crate::quota::scene::{LIMIT, Scene, below};

/// Creates a file larger than the quota, and one of half its size.
fn client_files(scene: &Scene) {
    random_file(&scene.server.local("big"), LIMIT * 3, 1);
    random_file(&scene.server.local("half"), LIMIT / 2, 2);
}

/// Expects that the stored part of the big file is its beginning and fits the quota; returns its size.
#[track_caller]
fn assert_stored_beginning(scene: &Scene, name: &str) -> u64 {
    let stored = fs::read(scene.at_home(name)).unwrap_or_default();
    let whole = fs::read(scene.server.local("big")).unwrap();
    assert!(whole.starts_with(&stored), "{} bytes", stored.len());
    assert!(below(&scene.at_home("")).bytes <= LIMIT);
    stored.len() as u64
}

/// Returns the lines of a client's stderr about the quota.
fn told(output: &Output) -> Vec<String> {
    let text = output.err();
    let lines = text.lines().filter(|line| line.contains("Quota exceeded"));
    lines.map(str::to_owned).collect()
}

#[track_caller]
fn assert_one_line(output: &Output) {
    let lines = told(output);
    assert_eq!(lines.len(), 1, "{}", output.describe());
    assert!(
        lines[0].contains("landfall: Quota exceeded: ") && lines[0].contains("1.0 MiB"),
        "{lines:?}"
    );
}

#[test]
fn openssh_shows_one_line_keeps_what_was_stored_and_resumes() {
    let scene = Scene::new();
    client_files(&scene);
    let server = &scene.server;
    let sftp = |lines: &str| run(&mut server.sftp_batch(&[], lines), TRANSFER);
    sftp("put half\n").ok();
    let refused = sftp("put big\n").failed();
    assert_one_line(&refused);
    assert_stored_beginning(&scene, "big");
    assert_same(&server.local("half"), &scene.at_home("half"));
    scene.assert_exact_soon(&mut scene.log_in());

    // An existing file is overwritten in place, as far as there is room.
    run(
        server.scp().arg("big").arg(format!("{HOST}:other")),
        TRANSFER,
    )
    .failed();
    assert!(below(&scene.at_home("")).bytes <= LIMIT);
    scene.assert_exact_soon(&mut scene.log_in());

    // Once there is room, the upload resumes where it stopped.
    sftp("rm half\n-rm other\n").ok();
    let mut s = scene.log_in();
    scene.assert_exact_soon(&mut s);
    drop(s);
    scene.set_limits(LIMIT * 4, 1000);
    sftp("put -a big\n").ok();
    assert_same(&server.local("big"), &scene.at_home("big"));
    scene.assert_exact_soon(&mut scene.log_in());
}

#[test]
fn scp_shows_one_line_and_fails() {
    let scene = Scene::new();
    client_files(&scene);
    let mut scp = scene.server.scp();
    let refused = run(scp.args(["-s", "big"]).arg(format!("{HOST}:")), TRANSFER).failed();
    assert_one_line(&refused);
    assert_stored_beginning(&scene, "big");
    scene.assert_exact_soon(&mut scene.log_in());
}

#[test]
fn openssh_shows_a_line_for_one_name_too_many() {
    let scene = Scene::with(LIMIT, 1);
    client_files(&scene);
    let sftp = |lines: &str| run(&mut scene.server.sftp_batch(&[], lines), TRANSFER);
    sftp("mkdir d\n").ok();
    for line in ["mkdir e\n", "put half\n", "symlink a b\n"] {
        let refused = sftp(line).failed();
        assert_eq!(told(&refused).len(), 1, "{}", refused.describe());
        assert!(refused.err().contains("1 of 1"), "{}", refused.describe());
    }
    sftp("rmdir d\nput half\n").ok();
    scene.assert_exact_soon(&mut scene.log_in());
}

#[test]
fn the_df_of_sftp_shows_the_quota() {
    let scene = Scene::new();
    client_files(&scene);
    let sftp = |lines: &str| run_ok(&mut scene.server.sftp_batch(&[], lines), TRANSFER).out();
    sftp("put half\n");
    let last = |said: String| {
        let line = said.lines().last().unwrap().to_owned();
        let fields: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        fields
    };
    // Size, used, available, available for root, and the percentage used.
    assert_eq!(last(sftp("df\n")), ["1024", "512", "512", "512", "50%"]);
    let readable = last(sftp("df -h\n"));
    assert_eq!(readable[0], "1.0MB");
    assert_eq!(readable[1..4], ["512KB", "512KB", "512KB"]);
    assert_eq!(last(sftp("df -i\n"))[..3], ["1000", "1", "999"]);
}

#[test]
fn rclone_tells_the_quota_and_why_an_upload_failed() {
    if !have(&["rclone"]) {
        return;
    }
    let scene = Scene::new();
    client_files(&scene);
    let server = &scene.server;
    let rclone = |args: &[&str]| {
        let mut command = Command::new("rclone");
        command
            .args(["--config", "/dev/null", "--retries", "1"])
            .args(["--low-level-retries", "1"])
            .args(args)
            .current_dir(server.path("client"));
        run(&mut command, TRANSFER)
    };
    let remote = format!(
        ":sftp,host=127.0.0.1,port={},user={USER},key_file={},known_hosts_file={},shell_type=none:",
        server.port(),
        server.key().display(),
        server.known_hosts().display()
    );
    let about = || -> Value {
        serde_json::from_str(&rclone(&["about", "--json", &remote]).ok().out()).unwrap()
    };
    rclone(&["copyto", "half", &format!("{remote}half")]).ok();
    let said = about();
    let figures = ["total", "used", "free"].map(|key| said[key].as_u64().unwrap());
    assert_eq!(figures, [LIMIT, LIMIT / 2, LIMIT / 2]);
    let refused = rclone(&["copyto", "big", &format!("{remote}big")]).failed();
    assert!(!told(&refused).is_empty(), "{}", refused.describe());
    assert!(
        refused.err().contains("of 1.0 MiB used"),
        "{}",
        refused.describe()
    );
    assert!(!scene.at_home("big").exists());
    assert_same(&server.local("half"), &scene.at_home("half"));
    scene.assert_exact_soon(&mut scene.log_in());
}

#[test]
fn lftp_tells_why_an_upload_failed() {
    if !have(&["lftp"]) {
        return;
    }
    let scene = Scene::new();
    client_files(&scene);
    let refused = run(&mut lftp(&scene.server, "put big"), TRANSFER).failed();
    assert!(!told(&refused).is_empty(), "{}", refused.describe());
    assert_stored_beginning(&scene, "big");
    scene.assert_exact_soon(&mut scene.log_in());
}

fn upload(server: &TestServer, file: &str) -> Output {
    let mut curl = curl(server, &format!("/{file}"), &["-T", file]);
    run(&mut curl, TRANSFER)
}

#[test]
fn curl_ends_with_the_exit_code_for_a_full_disk() {
    const REMOTE_DISK_FULL: i32 = 70;
    if !have(&["curl"]) {
        return;
    }
    let scene = Scene::with(LIMIT, 1);
    client_files(&scene);
    // During a transfer, the client reports only that it failed.
    upload(&scene.server, "big").failed();
    assert_stored_beginning(&scene, "big");
    // All allowed names are used: OPEN is refused.
    let refused = upload(&scene.server, "half");
    let status = refused.status.code();
    assert_eq!(status, Some(REMOTE_DISK_FULL), "{}", refused.describe());
    assert!(!scene.at_home("half").exists());
    scene.assert_exact_soon(&mut scene.log_in());
}

#[test]
fn psftp_shows_the_line_on_its_stderr() {
    if !have(&["psftp"]) {
        return;
    }
    let scene = Scene::new();
    client_files(&scene);
    // The exit status is 0 or 1, depending on the version.
    let login = putty_password(PASSWORD);
    let said = run(&mut psftp(&scene.server, &login, "put big\n"), TRANSFER);
    assert_one_line(&said);
    assert_stored_beginning(&scene, "big");
    scene.assert_exact_soon(&mut scene.log_in());
}

#[test]
fn the_df_of_a_mounted_home_shows_the_quota() {
    if !have(&["df"]) {
        return;
    }
    let scene = Scene::new();
    client_files(&scene);
    let server = &scene.server;
    let Some(mount) = Mount::sshfs(server) else {
        return;
    };
    let point = &mount.0;
    fs::copy(server.local("half"), point.join("half")).unwrap();
    wait_until("all of it is there", STEP, || {
        scene.size_of("half") == LIMIT / 2
    });
    let mut df = Command::new("df");
    df.args(["-B1", "--output=size,used,avail,itotal,iavail"]);
    let shown = run_ok(df.arg(point), STEP).out();
    let line = shown.lines().last().unwrap();
    let figures: Vec<u64> = line
        .split_whitespace()
        .map(|figure| figure.parse().unwrap())
        .collect();
    assert_eq!(figures, [LIMIT, LIMIT / 2, LIMIT / 2, 1000, 999]);
    // A program gets an error for data that does not fit if it checks at the end.
    let mut cp = Command::new("cp");
    cp.arg(server.local("big")).arg(point.join("big"));
    run(&mut cp, STEP).failed();
    assert!(below(&scene.at_home("")).bytes <= LIMIT);
    assert_same(&server.local("half"), &scene.at_home("half"));
}

#[test]
fn a_person_asks_for_the_quota_over_ssh() {
    let scene = Scene::new();
    client_files(&scene);
    // The first login counts the home.
    assert_eq!(scene.log_in().mkdir("/d"), crate::common::wire::code::OK);
    let ask = || run_ok(scene.server.ssh().args([HOST, "quota"]), STEP);
    let bar = |text: &str| {
        let full = text.chars().filter(|c| "#█=*".contains(*c)).count();
        assert!(text.contains('%') || full > 0, "{text}");
        full
    };
    let empty = ask();
    assert_eq!(empty.err(), "", "{}", empty.describe());
    let limit = |output: &Output| ["1MiB", "1.0 MiB"].iter().any(|l| output.out().contains(l));
    assert!(limit(&empty), "{}", empty.describe());
    let before = bar(&empty.out());
    run_ok(&mut scene.server.sftp_batch(&[], "put half\n"), TRANSFER);
    let half = ask();
    assert!(half.out().contains("512.0 KiB"), "{}", half.describe());
    assert!(limit(&half), "{}", half.describe());
    assert!(half.out().contains("50"), "{}", half.describe());
    assert!(bar(&half.out()) > before, "{}", half.describe());
    // Other commands are refused as usual.
    let other = run(scene.server.ssh().args([HOST, "ls"]), STEP).failed();
    assert!(!other.err().is_empty());
}

#[test]
fn an_upload_with_a_gap_is_never_taken_for_whole() {
    const SIZE: u64 = 8 * LIMIT;
    let scene = Scene::with(2 * SIZE, 10);
    let server = &scene.server;
    random_file(&server.local("f"), SIZE, 5);
    // Many WRITEs are under way while the quota is briefly smaller.
    let slow = ["user", "set", USER, "--upload-rate", "1MiB/s"];
    server.admin(&slow, "").ok();
    let upload = Running::start(&mut server.sftp_batch(&[], "put f\n"));
    let trail = server.path("data/audit-operations.jsonl");
    let refused = || fs::read_to_string(&trail).is_ok_and(|text| text.contains("\"refused\""));
    wait_until("some of it is there", STEP, || {
        below(&scene.at_home("")).bytes > LIMIT
    });
    scene.set_limits(LIMIT / 2, 10);
    wait_until("a WRITE is refused", STEP, refused);
    scene.set_limits(2 * SIZE, 10);
    let output = upload.wait(TRANSFER);
    let stored = fs::read(scene.at_home("f")).unwrap();
    let whole = fs::read(server.local("f")).unwrap();
    assert!(stored.len() < whole.len(), "{}", output.describe());
    output.failed();
    // The stored part is correct and can be resumed.
    assert!(whole.starts_with(&stored), "{} bytes", stored.len());
    scene.set(&["--upload-rate", "none"]);
    run_ok(&mut server.sftp_batch(&[], "put -a f\n"), TRANSFER);
    assert_same(&server.local("f"), &scene.at_home("f"));
    scene.assert_exact_soon(&mut scene.log_in());
}
