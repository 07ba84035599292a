//! config.toml from the operator's side: `landfall check` and `landfall serve`.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;

use crate::common::operator::Operator;
use crate::common::{STEP, run, skip};

/// Returns all faults that `check` finds; `serve` must find the same and not start.
fn faults(config: impl AsRef<[u8]>) -> Vec<String> {
    let operator = Operator::with_config(config);
    let faults = operator.run(&["check"]).refused();
    assert_eq!(operator.run(&["serve"]).refused(), faults);
    assert_eq!(
        operator.names("."),
        ["config.toml"],
        "nothing is made with a faulty config"
    );
    faults.lines().map(str::to_owned).collect()
}

#[test]
fn all_faults_are_reported_together_with_their_places() {
    let faults = faults(
        "listen = [\"127.0.0.1:2022\"]\n\
         [server]\n\
         lisen = [\"127.0.0.1:2022\"]\n\
         listen = [\"127.0.0.1:2022\", \"localhost:2022\"]\n\
         data = 5\n\
         keys = \"config.toml/keys\"\n\
         shards = -1\n\
         max_connections = 0\n\
         umask = \"022\"\n\
         [login]\n\
         grace_time = \"5 parsecs\"\n\
         max_attempts = \"ten\"\n\
         argon2_memory = \"1MiB\"\n\
         \x20 argon2_passes =    1.5\n\
         argon2_lanes = 0\n\
         parallel_hashes = true\n\
         [sftp]\n\
         max_handles = 0\n\
         max_channels = []\n\
         umask = \"999\"\n\
         [uploads]\n\
         safe_overwrite = 1\n\
         fsync_on_close = \"yes\"\n\
         sweep_after = \"30m\"\n\
         [log]\n\
         level = \"loud\"\n\
         [sever]\n\
         listen = 5\n",
    );
    let expected = [
        ("1:1", "listen belongs below [server]"),
        ("3:1", "unknown key lisen in [server]; did you mean listen?"),
        (
            "4:29",
            "listen contains \"localhost:2022\", which is not an IP address and a port",
        ),
        ("5:8", "data is a number, but must be a string"),
        ("6:8", "keys is \"config.toml/keys\", but"),
        (
            "7:10",
            "shards is -1, but must be a whole number from 0 to 1024",
        ),
        (
            "8:19",
            "max_connections is 0, but must be a whole number from 1 to",
        ),
        ("9:1", "[server] has no key umask; it belongs below [sftp]"),
        (
            "11:14",
            "grace_time is \"5 parsecs\", which is not a duration such as",
        ),
        (
            "12:16",
            "max_attempts is a string, but must be a whole number",
        ),
        (
            "13:17",
            "argon2_memory is \"1MiB\", but must be from 8MiB to 1GiB",
        ),
        (
            "14:22",
            "argon2_passes is a number with a fraction, but must be a whole number",
        ),
        ("15:16", "argon2_lanes is 0"),
        (
            "16:19",
            "parallel_hashes is true or false, but must be a whole number",
        ),
        ("18:15", "max_handles is 0"),
        ("19:16", "max_channels is a list"),
        ("20:9", "umask is \"999\", which is not an octal number"),
        (
            "22:18",
            "safe_overwrite is a number, but must be true or false",
        ),
        (
            "23:18",
            "fsync_on_close is a string, but must be true or false",
        ),
        ("24:15", "sweep_after is \"30m\", but must be from 3600s to"),
        (
            "26:9",
            "level is \"loud\", but must be \"error\", \"warn\", \"info\", \"debug\" or \"trace\"",
        ),
        ("27:2", "unknown section [sever]; did you mean [server]?"),
    ];
    for (fault, (place, text)) in faults.iter().zip(expected) {
        assert!(
            fault.starts_with(&format!("config.toml:{place}: {text}")),
            "{place} {text}\n{fault}"
        );
    }
    assert_eq!(faults.len(), expected.len(), "{faults:#?}");
}

#[test]
fn single_faults_say_what_would_be_right() {
    for (config, expected) in [
        (
            "[server]\nlisten = []\n",
            "config.toml:2:10: listen is empty",
        ),
        (
            "[server]\nlisten = [\"[::1]:22\", \"[::1]:22\"]\n",
            "config.toml:2:23: listen contains \"[::1]:22\" twice",
        ),
        (
            "[server]\nlisten = \"127.0.0.1:22\"\n",
            "config.toml:2:10: listen is a string, but must be a list",
        ),
        ("[server]\ndata = \"\"\n", "config.toml:2:8: data is \"\""),
        (
            "[server]\ndata = \"config.toml\"\n",
            "config.toml:2:8: data is \"config.toml\", but",
        ),
        (
            "[server]\nkeys = \"data/homes/k\"\n",
            "config.toml:2:8: keys must not be inside the homes",
        ),
        (
            "[sftp]\numask = \"700\"\n",
            "config.toml:2:9: umask is \"700\", which would lock users out of their own files",
        ),
        (
            "[sftp]\numask = 22\n",
            "config.toml:2:9: umask is a number, but must be a string such as \"022\"",
        ),
        (
            "[sftp]\numask = \"+22\"\n",
            "config.toml:2:9: umask is \"+22\"",
        ),
        (
            "[login]\ngrace_time = \"2h\"\n",
            "config.toml:2:14: grace_time is \"2h\", but must be from 1s to 3600s",
        ),
        (
            "[login]\nargon2_lanes = 4\n",
            "config.toml:2:16: argon2_memory must be at least 8MiB for each of argon2_lanes: 32MiB",
        ),
        (
            "[login]\nargon2_memory = \"1GiB\"\nparallel_hashes = 5\n",
            "config.toml:3:19: parallel_hashes times argon2_memory must not exceed 4GiB: at most 4",
        ),
        (
            "[login]\nuser_ca_keys = \"missing.pub\"\n",
            "config.toml:2:16: user_ca_keys is \"missing.pub\", which cannot be read: No such file",
        ),
        (
            "[login]\nrevoked_keys = \".\"\n",
            "config.toml:2:16: revoked_keys is \".\", which is not a file",
        ),
        (
            "[guest]\nname = \"-x\"\n",
            "config.toml:2:8: name is \"-x\", but a user name has 1 to 64 letters",
        ),
        (
            "[guest]\npermissions = \"full\"\n",
            "config.toml:2:15: permissions is a string, but must be a list such as [\"read-only\"",
        ),
        (
            "[guest]\npermissions = [\"full\", \"/in=ful\"]\n",
            "config.toml:2:24: permissions contains \"/in=ful\", but there is no permission \"ful\": use full",
        ),
        (
            "[guest]\nquota = 5\n",
            "config.toml:2:9: quota is a number, but must be a string",
        ),
        (
            "[admission]\nmax_startups = \"30:100\"\n",
            "config.toml:2:16: max_startups is \"30:100\", but must be START:PERCENT:FULL such as",
        ),
        (
            "[admission]\nmax_startups = \"100:30:10\"\n",
            "config.toml:2:16: max_startups is \"100:30:10\", but must be START:PERCENT:FULL",
        ),
        (
            "[admission]\nmax_ban = \"5s\"\n",
            "config.toml:2:11: max_ban must not be shorter than min_ban",
        ),
        (
            "server = 5\n",
            "config.toml:1:1: server must be a section: write [server]",
        ),
        (
            "[[server]]\n",
            "config.toml:1:3: server must be a section: write [server]",
        ),
        (
            "[frobnication]\n",
            "config.toml:1:2: unknown section [frobnication]; there are [server], [admission], [login], [ssh], [sandbox], [guest], [sftp], [uploads], [log]",
        ),
        (
            "[server.tls]\n",
            "config.toml:1:9: unknown key tls; [server] has listen, data, keys, shards, max_connections",
        ),
    ] {
        let faults = faults(config);
        assert_eq!(faults.len(), 1, "{config}{faults:#?}");
        assert!(
            faults[0].starts_with(expected),
            "{config}{expected}\n{}",
            faults[0]
        );
    }
}

#[test]
fn syntax_errors_are_reported_beside_the_rest() {
    let faults = faults(
        "[server]\nshards = = 3\nlisen = 1\n\n[login\ngrace_time = \"1s\"\n[sftp]\numask = \"888\"\numask = \"022\"\n",
    );
    let at = |place: &str| {
        faults
            .iter()
            .filter(|f| f.starts_with(&format!("config.toml:{place}")))
            .count()
    };
    for place in [
        "2:",
        "3:1: unknown key lisen",
        "5:",
        "8:9: umask is \"888\"",
        "9:",
    ] {
        assert_eq!(at(place), 1, "{place}\n{faults:#?}");
    }
    let not_utf8 = self::faults(b"[log]\n# caf\xe9\n");
    assert!(not_utf8[0].starts_with("config.toml:2:6: "), "{not_utf8:?}");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let operator = Operator::new();
    for (file, text) in [("missing.toml", "No such file"), (".", "Is a directory")] {
        let refused = operator.run(&["check", "--config", file]).refused();
        assert!(
            refused.starts_with(&format!("{file}: cannot read this file: {text}")),
            "{refused}"
        );
    }
    let mut command = operator.command(&["check"]);
    let refused = run(command.env("LANDFALL_CONFIG", "env.toml"), STEP).refused();
    assert!(refused.starts_with("env.toml: "), "{refused}");
}

#[test]
fn the_shipped_config_is_right() {
    let operator = Operator::with_config(include_bytes!("../config.toml"));
    assert_eq!(
        operator.run(&["check"]).accepted(),
        "config OK: landfall will listen on 127.0.0.1:2022\n"
    );
    assert_eq!(
        operator.names("."),
        ["config.toml"],
        "a check makes nothing"
    );
}

#[test]
fn without_a_config_every_setting_has_its_default() {
    let said = Operator::new().run(&["check"]).accepted();
    assert!(
        said.starts_with("config OK: landfall will listen on 127.0.0.1:2022\n"),
        "{said}"
    );
    assert!(said.contains("using defaults"), "{said}");
}

#[test]
fn paths_are_relative_to_the_config_and_not_to_the_caller() {
    let operator = Operator::new();
    fs::create_dir(operator.path("conf")).unwrap();
    fs::write(
        operator.path("conf/my.toml"),
        "[server]\ndata = \"state\"\n",
    )
    .unwrap();
    operator
        .run(&[
            "--config",
            "conf/my.toml",
            "user",
            "add",
            "ann",
            "--no-password",
        ])
        .accepted();
    assert_eq!(operator.names("."), ["conf"]);
    assert!(operator.path("conf/state/homes/ann").is_dir());
    assert!(operator.path("conf/state/landfall.db").is_file());
}

/// Returns the error of `landfall serve` for an address it cannot listen on, without the privilege for low
/// ports.
fn refused_to_listen(address: &str) -> String {
    let operator = Operator::with_config(format!("server.listen = [{address:?}]\n"));
    let serve = operator.command(&["serve"]);
    let mut program = if rustix::process::geteuid().is_root() {
        let mut without = Command::new("setpriv");
        without.args(["--bounding-set", "-net_bind_service"]);
        without.args(["--inh-caps", "-net_bind_service"]);
        without.arg(serve.get_program()).args(serve.get_args());
        without.current_dir(operator.path(""));
        without.env_remove("LANDFALL_CONFIG");
        without
    } else {
        serve
    };
    run(&mut program, STEP).failed().err()
}

#[test]
fn why_it_cannot_listen_is_said() {
    let busy = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let said = refused_to_listen(&busy.local_addr().unwrap().to_string());
    assert!(said.contains("is another server running there?"), "{said}");
    let said = refused_to_listen("192.0.2.1:2022");
    assert!(
        said.contains("no network interface of this machine"),
        "{said}"
    );
    let first = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    if first.unwrap().trim().parse::<u16>().unwrap() <= 23 {
        return skip("every port is free for all here (net.ipv4.ip_unprivileged_port_start)");
    }
    let said = refused_to_listen("127.0.0.1:23");
    assert!(said.contains("ermission denied"), "{said}");
    assert!(
        said.contains("ports below 1024 need CAP_NET_BIND_SERVICE"),
        "{said}"
    );
    assert!(!said.contains("another server"), "{said}");
}
