//! Clients whose system holds packets back until the last one is known to have come. In a file of its own, so
//! that no other test runs beside it.

use std::process::Command;

use crate::common::{STEP, TestServer, python, run_ok};

#[test]
fn paramiko_does_not_wait_again_and_again_for_what_has_no_reply() {
    let Some(python) = python() else { return };
    let server = TestServer::start();
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/clients/paramiko_small.py"
    );
    let mut small = Command::new(python);
    small
        .arg(script)
        .args([&server.port().to_string(), server.user()]);
    let slow: u32 = run_ok(small.arg(server.key()), STEP * 2)
        .out()
        .trim()
        .parse()
        .unwrap();
    // Else every fiftieth: when paramiko gives window back, which nobody answers.
    assert!(slow <= 6, "{slow}");
}
