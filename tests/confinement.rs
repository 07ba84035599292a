//! Nobody leaves home: every request, by every way that could lead out, through the real server.
//!
//! Beside the home lies a neighbour's tree that must stay as it is, to the nanosecond of its times,
//! and of which no byte, name or attribute may be shown. Each way is tried twice: where it leads
//! nowhere in the home, and where the home has a place of the same name. In the second case every
//! request must succeed: that is what shows that the requests of the first are the right ones.

mod requests;
mod scene;

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::common::connection::Connection;
use crate::common::wire::{self, code, flag};
use crate::common::{TRANSFER, run_ok};
use requests::{CHANGES, FSETSTAT_OF_A_DIRECTORY, HARDLINK, POSIX_RENAME, REQUESTS, Trial};
use scene::{NEIGHBOURS_FILE, NEIGHBOURS_TIME, OWN_CONTENT, OWN_TARGET, Scene, make_tree};

fn try_all(scene: &Scene, own_places: bool) {
    let connection = Connection::logged_in(&scene.server);
    let mut sftp = connection.sftp();
    for way in scene.lay_out(false) {
        scene.lay_out(own_places);
        let mut trial = Trial::new(&mut sftp, &way);
        for (name, request) in REQUESTS {
            let succeeded = request(&mut trial);
            let possible =
                own_places && !(*name == FSETSTAT_OF_A_DIRECTORY && scene.server.is_reference());
            assert_eq!(succeeded, possible, "{name} by {way}");
        }
        trial.act_on_the_place_itself();
        scene.assert_untouched(&way);
    }
    sftp.assert_alive();
}

#[test]
fn no_request_reaches_the_neighbour() {
    try_all(&Scene::new(), false);
}

#[test]
fn every_request_reaches_the_homes_own_places_by_the_same_ways() {
    try_all(&Scene::new(), true);
}

#[test]
fn above_the_home_is_the_home() {
    let scene = Scene::new();
    scene.lay_out(false);
    fs::write(scene.server.at_home("only-here"), OWN_CONTENT).unwrap();
    let connection = Connection::logged_in(&scene.server);
    let mut sftp = connection.sftp();
    for way in [
        "..",
        "/..",
        "../../..",
        "a/../..",
        "up",
        "root",
        "root/up/..",
    ] {
        assert_eq!(sftp.realpath(way), b"/", "{way}");
        assert_eq!(sftp.get(&format!("{way}/only-here")), OWN_CONTENT, "{way}");
        let listed = sftp.list(way);
        assert!(
            listed.iter().any(|entry| entry.name == b"only-here"),
            "{way}"
        );
        for entry in &listed {
            assert_ne!(
                entry.attrs.times.unwrap().1,
                NEIGHBOURS_TIME,
                "{way}: {entry:?}"
            );
        }
        assert_ne!(sftp.stat(way).attrs().mtime(), NEIGHBOURS_TIME, "{way}");
    }
    if scene.server.is_reference() {
        return;
    }
    // The server knows other users' homes; clients cannot ask for them.
    for other in ["~neighbour", "~root", "~neighbour/read"] {
        let reply = sftp.extended("expand-path@openssh.com", |body| body.string(other));
        assert_ne!(reply.code(), code::OK, "{other}");
    }
    for user in ["neighbour", "root"] {
        let reply = sftp.extended("home-directory", |body| body.string(user));
        assert_ne!(reply.code(), code::OK, "{user}");
    }
    let own = sftp.extended("expand-path@openssh.com", |body| body.string("~/../up"));
    assert_eq!(own.names()[0].name, b"/");
    scene.assert_untouched("names of homes");
}

#[test]
fn openssh_gets_and_puts_nothing_outside() {
    let scene = Scene::new();
    let server = &scene.server;
    fs::write(server.local("upload"), OWN_CONTENT).unwrap();
    for own_places in [false, true] {
        for way in scene.lay_out(false) {
            scene.lay_out(own_places);
            let _ = fs::remove_dir_all(server.local("down"));
            fs::create_dir(server.local("down")).unwrap();
            // Where the path exists in the home, each command must succeed; otherwise each is tried.
            let go_on = if own_places { "" } else { "-" };
            let mut batch = String::new();
            for line in [
                format!("get {way}/read down/"),
                format!("get -r {way}/deep down/"),
                format!("reget {way}/copy down/copy"),
                format!("put upload {way}/put"),
                format!("put -p upload {way}/write"),
                format!("cp {way}/copy {way}/copied"),
                format!("mkdir {way}/made"),
                format!("rmdir {way}/empty"),
                format!("rm {way}/remove"),
                format!("rename {way}/rename {way}/renamed"),
                format!("ln {way}/hardlink {way}/hardlinked"),
                format!("ln -s read {way}/symlink"),
                format!("chmod 600 {way}/setstat"),
                format!("ls -la {way}"),
                format!("df {way}/read"),
                format!("cd {way}"),
            ] {
                batch.push_str(&format!("{go_on}{line}\n"));
            }
            let said = run_ok(&mut server.sftp_batch(&[], batch), TRANSFER);
            assert!(!said.out().contains(NEIGHBOURS_FILE), "{}", said.describe());
            for got in ["down/read", "down/deep/read", "down/copy"] {
                match fs::read(server.local(got)) {
                    Ok(content) => assert_eq!(content, OWN_CONTENT, "{got} by {way}"),
                    Err(_) => assert!(!own_places, "{got} by {way}"),
                }
            }
            scene.assert_untouched(&way);
        }
    }
}

/// One session replaces a link again and again while another uses it.
#[test]
fn a_link_that_another_session_swaps_leads_nowhere_else() {
    let scene = Scene::new();
    scene.lay_out(false);
    make_tree(&scene.server.at_home("inside"), OWN_CONTENT, OWN_TARGET);
    let absolute = scene.neighbour.to_str().unwrap();
    for outside in ["../neighbour", absolute] {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let swapping = scope.spawn(|| {
                let connection = Connection::logged_in(&scene.server);
                let mut sftp = connection.sftp();
                let mut swaps = 0_u32;
                while !stop.load(Ordering::Relaxed) {
                    let target = if swaps.is_multiple_of(2) {
                        "inside"
                    } else {
                        outside
                    };
                    let body = sftp.body(wire::SYMLINK).string(target).string("next");
                    assert_eq!(sftp.ask(&body).code(), code::OK);
                    let swapped =
                        sftp.extended(POSIX_RENAME, |body| body.string("next").string("swapped"));
                    assert_eq!(swapped.code(), code::OK);
                    swaps += 1;
                }
                swaps
            });
            let used = std::panic::catch_unwind(|| use_while_swapped(&scene));
            stop.store(true, Ordering::Relaxed);
            let swaps = swapping.join().unwrap();
            used.unwrap_or_else(|cause| std::panic::resume_unwind(cause));
            assert!(swaps > 100, "only {swaps} swaps");
        });
        scene.assert_untouched(outside);
    }
}

/// Opens, examines, creates and renames until both states of the link were met often.
fn use_while_swapped(scene: &Scene) {
    let connection = Connection::logged_in(&scene.server);
    let mut sftp = connection.sftp();
    let mut trial = Trial::new(&mut sftp, "swapped");
    let began = Instant::now();
    let (mut met, mut missed) = (0, 0);
    while met < 1000 || missed < 1000 {
        assert!(began.elapsed() < TRANSFER, "met {met}, missed {missed}");
        let own = "/own";
        trial.sftp.put(own, OWN_CONTENT);
        let there = trial.at("renamed");
        for outcome in [
            trial.with_file("read", flag::READ, |_, _| true),
            trial.with_file("made-file", flag::WRITE | flag::CREAT, |t, handle| {
                t.write(handle)
            }),
            trial.attrs_of(wire::STAT, "swapped/deep/read"),
            trial.sftp.setstat("swapped/setstat", &CHANGES) == code::OK,
            trial.sftp.mkdir("swapped/made") == code::OK,
            trial.sftp.with_string(wire::RMDIR, "swapped/made").code() == code::OK,
            trial.two(HARDLINK, "swapped/hardlink", "/linked"),
            trial.two(POSIX_RENAME, own, &there),
        ] {
            if outcome {
                met += 1;
            } else {
                missed += 1;
            }
        }
        trial.sftp.remove("/linked");
        trial.sftp.remove(own);
    }
}
