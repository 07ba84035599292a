//! The message that each client gets at the limit, so that its user knows the reason.

use crate::common::bytes_of;
use crate::common::raw::InFlight;
use crate::common::wire::{self, Attrs, Reply, code};
use crate::quota::scene::{LIMIT, NEW, Scene, Session, sized};

const QUOTA_EXCEEDED: u32 = 15;

/// Client version, the status code for an exceeded quota, and whether a line on stderr explains it.
const CLIENTS: &[(&str, u32, bool)] = &[
    ("SSH-2.0-WinSCP_release_6.5.1", QUOTA_EXCEEDED, false),
    ("SSH-2.0-libssh2_1.10.0", QUOTA_EXCEEDED, false),
    (
        "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3",
        code::FAILURE,
        true,
    ),
    ("SSH-2.0-PuTTY_Release_0.78", code::FAILURE, true),
    ("SSH-2.0-FileZilla_3.63.0", code::FAILURE, true),
    ("SSH-2.0-paramiko_3.4.0", code::FAILURE, false),
    ("SSH-2.0-LandfallTest_1.0", code::FAILURE, false),
];

#[track_caller]
fn assert_told(reply: &Reply, code: u32, words: &[&str]) {
    assert_eq!(reply.code(), code, "{reply:?}");
    for word in words {
        assert!(reply.message().contains(word), "{word}: {reply:?}");
    }
    assert!(reply.message().starts_with("Quota exceeded"), "{reply:?}");
}

/// Returns the new lines on stderr. Replies and stderr are in order on the channel.
fn stderr_lines(s: &mut Session) -> Vec<String> {
    s.assert_alive();
    let lines = String::from_utf8(std::mem::take(&mut s.stderr)).unwrap();
    lines.lines().map(str::to_owned).collect()
}

#[test]
fn each_client_is_told_in_its_own_way() {
    let scene = Scene::with(LIMIT, 2);
    scene
        .log_in()
        .put("/filler", &bytes_of(LIMIT as usize * 3 / 4, 1));
    for &(client, code, on_stderr) in CLIENTS {
        let mut s = scene.log_in_as(client);
        let figures = ["768.0 KiB", "1.0 MiB"];
        // During an upload, with many WRITEs after the first one that does not fit.
        let file = s.opened("/f", NEW);
        let mut in_flight = InFlight::default();
        for number in 0..32 {
            let body = s.body(wire::WRITE).string(&file);
            let body = body.u64(LIMIT / 4 + number * 1000).string([1; 1000]);
            in_flight.send(&mut s, &body);
        }
        while !in_flight.0.is_empty() {
            assert_told(&in_flight.reply(&mut s), code, &figures);
        }
        let lines = stderr_lines(&mut s);
        assert_eq!(lines.len(), usize::from(on_stderr), "{client}: {lines:?}");
        for line in &lines {
            assert!(line.starts_with("landfall: Quota exceeded: "), "{line}");
            assert!(figures.iter().all(|word| line.contains(word)), "{line}");
        }
        // Through a size, an announced size, and one name too many.
        assert_told(&s.try_resize("/f", LIMIT), code, &figures);
        assert_told(&s.open("/f", NEW, &sized(LIMIT)), code, &figures);
        assert_told(&s.try_mkdir("/d"), code, &["2 of 2", "files"]);
        let create = s.open("/g", NEW, &Attrs::default());
        assert_told(&create, code, &["2 of 2", "files"]);
        let lines = stderr_lines(&mut s);
        assert_eq!(!lines.is_empty(), on_stderr, "{client}: {lines:?}");
        assert!(lines.len() <= 4, "no more than one for each: {lines:?}");
        assert_eq!(s.close(&file), code::FAILURE);
        assert!(
            stderr_lines(&mut s).is_empty(),
            "the refusal was shown before"
        );
        assert_eq!(s.remove("/f"), code::OK);
        scene.assert_exact(&mut s);
    }
}

#[test]
fn each_upload_that_is_refused_is_told_of_anew() {
    let scene = Scene::with(1000, 100);
    let mut s = scene.log_in_as("SSH-2.0-OpenSSH_9.2p1");
    for name in ["/a", "/b", "/c"] {
        let file = s.opened(name, NEW);
        assert_eq!(s.try_write(&file, 0, &[1; 2000]).code(), code::FAILURE);
        assert_eq!(s.close(&file), code::FAILURE);
        let lines = stderr_lines(&mut s);
        assert_eq!(lines.len(), 1, "{name}: {lines:?}");
    }
}

/// statvfs and space-available agree.
#[test]
fn the_space_that_is_told_is_the_tighter_of_quota_and_disk() {
    let limit = 3 * LIMIT + 77;
    let scene = Scene::with(limit, 10);
    let mut s = scene.log_in();
    assert_eq!(s.mkdir("/d"), code::OK);
    for length in [0, 1, 4095, 4096, 4097, 1_000_000] {
        s.put("/d/f", &bytes_of(length, 1));
        let left = limit - length as u64;
        let space = s.space_available();
        assert_eq!((space.user_total, space.user_free), (limit, left));
        assert!(space.total >= limit && space.free >= left && space.unit > 0);
        assert!(space.total > limit, "of the whole disk: {space:?}");

        let values = s.statvfs();
        let [
            bsize,
            frsize,
            blocks,
            bfree,
            bavail,
            files,
            ffree,
            favail,
            ..,
        ] = values[..]
        else {
            panic!()
        };
        assert_eq!((bsize, bfree, ffree), (frsize, bavail, favail));
        assert_eq!((blocks, bavail), (limit / bsize, left / bsize));
        assert!(limit - blocks * bsize < bsize && bsize <= 4096, "{bsize}");
        assert_eq!((files, favail), (10, 8));
        // By path and by handle.
        let file = s.opened("/d/f", crate::common::wire::flag::READ);
        let by_handle = s
            .extended("fstatvfs@openssh.com", |body| body.string(&file))
            .extended();
        let by_path = s
            .extended("statvfs@openssh.com", |body| body.string("/d/f"))
            .extended();
        assert_eq!(by_handle, by_path);
        assert_eq!(s.close(&file), code::OK);
        let directory = s.with_string(wire::OPENDIR, "/d").handle();
        let by_handle = s
            .extended("fstatvfs@openssh.com", |body| body.string(&directory))
            .extended();
        assert_eq!(by_handle, by_path);
        assert_eq!(s.close(&directory), code::OK);
    }
    assert_ne!(
        s.extended("space-available", |body| body.string("/missing"))
            .code(),
        code::OK
    );
}
