//! A system limit on file sizes (`RLIMIT_FSIZE`): writes beyond it are refused, where by default the signal
//! would end the process.

use std::fs;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::common::wire::{Attrs, code, flag};
use crate::common::{HOST, STEP, bytes_of, run};
use crate::quota::scene::{NEW, Scene};

/// Enough for the files of the server itself.
const LIMIT: u64 = 8 << 20;

fn sized(size: u64) -> Attrs {
    Attrs {
        size: Some(size),
        ..Attrs::default()
    }
}

#[test]
fn what_lies_beyond_the_limit_is_refused_and_the_figures_stay_exact() {
    let mut scene = Scene::with(1 << 30, 1000);
    scene.server.stop();
    let limit = format!("--fsize={LIMIT}");
    scene.server.serve_under(&[&limit]);
    let mut s = scene.log_in();
    s.put("/f", &bytes_of(1 << 20, 1));
    assert_eq!(s.setstat("/f", &sized(LIMIT + 1)), code::FAILURE);
    assert_eq!(s.setstat("/f", &sized(1 << 40)), code::FAILURE);
    let open = s.opened("/f", flag::READ | flag::WRITE);
    assert_eq!(s.fsetstat(&open, &sized(LIMIT + 1)), code::FAILURE);
    scene.assert_exact(&mut s);
    assert_eq!(scene.size_of("f"), 1 << 20);

    // Everything within the limit is allowed, to its last byte.
    assert_eq!(s.fsetstat(&open, &sized(LIMIT)), code::OK);
    assert_eq!(s.write(&open, LIMIT - 10, &[1; 10]), code::OK);
    assert_eq!(s.write(&open, LIMIT, &[1; 10]), code::FAILURE);
    assert_eq!(s.fsetstat(&open, &sized(LIMIT - 5)), code::OK);
    assert_eq!(s.write(&open, LIMIT - 5, &[1; 10]), code::FAILURE);
    s.close(&open);
    scene.assert_exact(&mut s);

    let (from, to) = (s.opened("/f", flag::READ), s.opened("/copy", NEW));
    let copied = s.extended("copy-data", |body| {
        let source = body.string(&from).u64(0).u64(1 << 20);
        source.string(&to).u64(LIMIT - 1000)
    });
    assert_eq!(copied.code(), code::FAILURE);
    assert!(copied.message().contains("File too large"), "{copied:?}");
    s.close(&to);
    scene.assert_exact(&mut s);

    let large = scene.server.local("large");
    fs::write(&large, bytes_of(LIMIT as usize + 100, 2)).unwrap();
    for old in [true, false] {
        let mut scp = scene.server.scp();
        scp.args(old.then_some("-O")).arg(&large);
        let said = run(scp.arg(format!("{HOST}:large-{old}")), STEP)
            .failed()
            .err();
        assert!(said.contains("File too large"), "{said}");
    }
    scene.assert_exact_soon(&mut s);
    s.assert_alive();
}

#[test]
fn at_the_limit_the_servers_own_files_end_nothing() {
    let scene = Scene::new();
    let mut s = scene.log_in();
    s.put("/f", b"before");
    let id = scene.server.process_id();
    let process = Pid::from_raw(i32::try_from(id).unwrap());
    let set = |current| {
        let limit = Rlimit {
            current,
            maximum: None,
        };
        prlimit(process, Resource::Fsize, limit).unwrap();
    };
    set(Some(100));
    // The database and the audit log cannot grow any more.
    for number in 0..20 {
        let mut other = scene.log_in();
        other.mkdir(format!("/{number}"));
        assert_eq!(other.get("/f"), b"before");
        s.assert_alive();
    }
    let folder = scene.server.path("backup");
    let mut backup = std::process::Command::new("prlimit");
    let backup = backup
        .args(["--fsize=100", env!("CARGO_BIN_EXE_landfall"), "backup"])
        .arg(&folder)
        .current_dir(scene.server.path(""));
    let failed = run(backup, STEP).failed();
    assert_eq!(failed.status.code(), Some(1), "{}", failed.err());
    set(None);
    s.put("/g", &bytes_of(1000, 1));
    scene.assert_exact_soon(&mut s);
}
