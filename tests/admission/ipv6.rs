//! IPv6 sources, with addresses in a network namespace.

use std::net::{Ipv6Addr, SocketAddr};
use std::process::Command;

use crate::common::flood::{HTTP, knock_at};
use crate::common::{STEP, TestServer, against_openssh, have, run, run_ok, skip};

/// Two hosts of one network, and one of another.
const ADDRESSES: [&str; 3] = ["2001:db8:0:7::1", "2001:db8:0:7:aaaa::2", "2001:db8:0:8::1"];

#[test]
fn a_network_of_ipv6_is_one_source() {
    if against_openssh() || !have(&["unshare", "ip"]) {
        return;
    }
    if !run(Command::new("unshare").args(["-n", "true"]), STEP)
        .status
        .success()
    {
        return skip("this user may make no network of their own");
    }
    let mut script = "ip link set lo up".to_owned();
    for address in ADDRESSES {
        script.push_str(&format!(" && ip -6 addr add {address}/128 dev lo nodad"));
    }
    script.push_str(" && exec \"$0\" --exact --ignored admission::ipv6::inside_of_that_network");
    let this = std::env::current_exe().unwrap();
    let inside = run_ok(
        Command::new("unshare")
            .args(["-n", "sh", "-c", &script])
            .arg(this),
        STEP * 2,
    );
    assert!(inside.out().contains("1 passed"), "{}", inside.describe());
}

#[test]
#[ignore = "run by the one above, in a network of its own"]
fn inside_of_that_network() {
    let listen = ("server.listen", r#"["127.0.0.1:0", "[::1]:0"]"#);
    let server = TestServer::start_with(&[listen]);
    let lines = server.stdout_lines();
    let address = lines.iter().find_map(|line| {
        let address = line.strip_prefix("Listening on ")?.parse::<SocketAddr>();
        address.ok().filter(SocketAddr::is_ipv6)
    });
    let address = address.expect("it listens on ::1");
    let [one, same, other] = ADDRESSES.map(|text| text.parse::<Ipv6Addr>().unwrap());
    let is_banned = |from| knock_at(address, from, HTTP) == "Not allowed at this time\r\n";
    let tries = (0..50).find(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        is_banned(one)
    });
    assert_eq!(tries, Some(2));
    assert!(is_banned(same));
    assert!(!is_banned(other));
    let table = server.admin(&["ban", "list"], "").accepted();
    assert!(table.contains("2001:db8:0:7::/64 "), "{table}");
    let lifted = server.admin(&["ban", "lift", ADDRESSES[1]], "").accepted();
    assert_eq!(lifted, "Lifted the ban of 2001:db8:0:7::/64\n");
    assert!(!is_banned(one));
}
