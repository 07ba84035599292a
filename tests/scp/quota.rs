//! At the limit: a file is refused at the line that announces it or at its first byte that does not
//! fit, the client gets the error after the data, and the usage stays exact.

use std::fs;

use super::raw::RawScp;
use crate::common::connection::Connection;
use crate::common::files::assert_same;
use crate::common::{
    HOST, MIB, Output, STEP, TRANSFER, against_openssh, bytes_of, random_file, run, wait_until,
};
use crate::quota::scene::{LIMIT, Scene, below};

fn scp(scene: &Scene, args: &[&str]) -> Output {
    run(scene.server.scp().args(["-O", "-T"]).args(args), TRANSFER)
}

#[test]
fn what_cannot_fit_is_refused_at_its_line_and_the_rest_arrives() {
    if against_openssh() {
        return;
    }
    let scene = Scene::new();
    let server = &scene.server;
    random_file(&server.local("big"), 3 * LIMIT, 1);
    random_file(&server.local("half"), LIMIT / 2, 2);
    fs::write(server.local("small"), "small").unwrap();
    fs::write(scene.at_home("big"), "old").unwrap();
    scene.server.admin(&["quota", "recount", "alice"], "").ok();
    let there = format!("{HOST}:.");
    let said = scp(&scene, &["small", "big", "half", &there]).failed();
    assert_eq!(
        said.err(),
        "scp: ./big: Quota exceeded: 8 bytes of 1.0 MiB used, 3.0 MiB more needed\n"
    );
    assert_eq!(fs::read(scene.at_home("big")).unwrap(), b"old");
    assert_eq!(fs::read(scene.at_home("small")).unwrap(), b"small");
    assert_same(&server.local("half"), &scene.at_home("half"));
    scene.assert_exact_soon(&mut scene.log_in());

    // The existing file's bytes count for its replacement.
    random_file(&server.local("half"), LIMIT - 1000, 3);
    scp(&scene, &["half", &there]).ok();
    assert_same(&server.local("half"), &scene.at_home("half"));
    scene.assert_exact_soon(&mut scene.log_in());
}

#[test]
fn one_name_too_many_is_refused_and_the_rest_arrives() {
    if against_openssh() {
        return;
    }
    let scene = Scene::with(LIMIT, 2);
    let server = &scene.server;
    fs::create_dir_all(server.local("tree/sub")).unwrap();
    fs::write(server.local("tree/sub/file"), "file").unwrap();
    for name in ["a", "b"] {
        fs::write(server.local(name), name).unwrap();
    }
    let there = format!("{HOST}:.");
    let said = scp(&scene, &["-r", "a", "tree", "b", "a", &there]).failed();
    assert_eq!(
        said.err(),
        "scp: ./tree/sub: Quota exceeded: 2 of 2 files used\n\
         scp: ./b: Quota exceeded: 2 of 2 files used\n"
    );
    assert_eq!(below(&scene.at_home("")).files, 2);
    scene.assert_exact_soon(&mut scene.log_in());
}

#[test]
fn of_two_uploads_that_both_seemed_to_fit_one_is_told_after_its_data() {
    if against_openssh() {
        return;
    }
    let scene = Scene::new();
    let mut figures = scene.log_in();
    let connection = Connection::logged_in(&scene.server);
    let data = bytes_of(700 << 10, 1);
    let mut first = RawScp::to(&connection, "scp -t first");
    let mut second = RawScp::to(&connection, "scp -p -t .");
    first.say(format!("C0644 {} x", data.len()));
    second.say("T1000000000 0 1000000000 0");
    second.say(format!("C0600 {} second", data.len()));
    first.send([&data[..], b"\0"].concat());
    first.well();
    second.send([&data[..], b"\0"].concat());
    let said = second.complaint();
    assert!(
        said.starts_with("scp: ./second: Quota exceeded: ") && said.contains("of 1.0 MiB used"),
        "{said}"
    );
    scene.assert_exact(&mut figures);
    // It continues with what fits.
    second.put("third", b"3");
    for scp in [&mut first, &mut second] {
        scp.send_eof();
    }
    assert_eq!((first.ended(), second.ended()), (0, 1));
    assert_eq!(fs::read(scene.at_home("first")).unwrap(), data);
    let stored = fs::read(scene.at_home("second")).unwrap();
    assert!(data.starts_with(&stored) && stored.len() < data.len());
    assert!(below(&scene.at_home("")).bytes <= LIMIT);
    scene.assert_exact(&mut figures);
}

#[test]
fn an_upload_that_is_cut_anywhere_leaves_exact_figures() {
    if against_openssh() {
        return;
    }
    let scene = Scene::with(64 << 20, 1000);
    let mut figures = scene.log_in();
    let data = bytes_of(4 * MIB, 2);
    for (number, length) in [1, 100_000, MIB, 3 * MIB + 7].into_iter().enumerate() {
        let connection = Connection::logged_in(&scene.server);
        let mut scp = RawScp::to(&connection, "scp -r -t .");
        let name = format!("d{number}/f");
        scp.say(format!("D0755 0 d{number}"));
        scp.say(format!("C0644 {} f", data.len()));
        scp.send(&data[..length]);
        drop((scp, connection));
        wait_until("the file is closed", STEP, || !open_in(&scene, &name));
        scene.assert_exact_soon(&mut figures);
        let stored = fs::read(scene.at_home(&name)).unwrap();
        assert!(data.starts_with(&stored), "{} bytes", stored.len());
    }
    // During the upload, and over an existing file that is longer.
    let connection = Connection::logged_in(&scene.server);
    let mut scp = RawScp::to(&connection, "scp -t d3/f");
    let old = fs::metadata(scene.at_home("d3/f")).unwrap().len();
    scp.say(format!("C0644 {} f", 2 * MIB));
    scp.send(&data[..MIB]);
    wait_until("some of it is stored", STEP, || {
        fs::read(scene.at_home("d3/f"))
            .unwrap()
            .starts_with(&data[..512 << 10])
    });
    scene.assert_exact(&mut figures);
    drop((scp, connection));
    wait_until("the file is closed", STEP, || !open_in(&scene, "d3/f"));
    scene.assert_exact_soon(&mut figures);
    assert_eq!(fs::metadata(scene.at_home("d3/f")).unwrap().len(), old);
}

/// Returns whether the server has this file of the home open.
fn open_in(scene: &Scene, name: &str) -> bool {
    let folder = format!("/proc/{}/fd", scene.server.process_id());
    let file = scene.at_home(name);
    fs::read_dir(folder)
        .unwrap()
        .flatten()
        .any(|entry| fs::read_link(entry.path()).is_ok_and(|path| path == file))
}
