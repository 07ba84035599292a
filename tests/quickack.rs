//! Clients whose kernel delays packets until the last one is acknowledged. A file of its own, so that
//! no other test runs at the same time.

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
    // Without the acknowledgement, every fiftieth packet is slow: paramiko's window adjustments, which get
    // no reply.
    assert!(slow <= 6, "{slow}");
}
