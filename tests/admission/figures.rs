//! The figures of docs/reliability.md, "Floods of connections": for Landfall, and for OpenSSH's server with
//! its defaults.

use crate::common::flood::{Flood, beside, sftp_from, source};
use crate::common::{STEP, TestServer, have, run_ok};

/// Number of connections, unless `KNOCKS` is set.
const KNOCKS: usize = 5000;
const LOGINS: usize = 100;

#[test]
#[ignore = "takes minutes, and asserts nothing; --nocapture shows the figures"]
fn floods_beside_openssh() {
    if !have(&["sshd"]) {
        return;
    }
    let knocks = std::env::var("KNOCKS").map_or(KNOCKS, |text| text.parse().unwrap());
    let logins = std::env::var("LOGINS").map_or(LOGINS, |text| text.parse().unwrap());
    for (flood, connections, sources) in [
        (None, 0, 1),
        (Some(Flood::Silent), knocks, 1),
        (Some(Flood::Silent), knocks, 500),
        (Some(Flood::Stuck), knocks, 1),
        (Some(Flood::Stuck), knocks, 500),
        (Some(Flood::Failing), knocks, 1),
        (Some(Flood::Failing), knocks, 500),
    ] {
        for is_known in [false, true] {
            for (name, server) in [
                ("Landfall", TestServer::start()),
                ("OpenSSH", TestServer::start_reference()),
            ] {
                let from = source(151);
                if is_known {
                    run_ok(&mut sftp_from(&server, from), STEP);
                }
                let kind = flood.unwrap_or(Flood::Silent);
                let outcome = beside(&server, kind, (connections, sources), (from, logins));
                println!(
                    "{flood:?} {connections} from {sources}; known: {is_known}; {name}: \
                     came in {:.1?}; {} logins, {} refused, p50 {:.0?}, p99 {:.0?}",
                    outcome.flood,
                    outcome.logins.len(),
                    outcome.failures,
                    outcome.percentile(50),
                    outcome.percentile(99),
                );
            }
        }
    }
}
