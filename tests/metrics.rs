//! The metrics, compared with the actions of a real client.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use crate::common::command::run_with_input;
use crate::common::connection::{Connection, Options};
use crate::common::metrics::{ON, address, ask, page};
use crate::common::missing::unpacked;
use crate::common::wire::{code, flag};
use crate::common::{
    HOST, MIB, PASSWORD, Running, STEP, TRANSFER, TestServer, USER, random_file, run_ok, wait_until,
};

/// Returns every sample by its name with labels. Fails if the page violates the exposition format 0.0.4.
fn scrape(server: &TestServer) -> BTreeMap<String, f64> {
    let answer = ask(
        server,
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: text/plain\r\n\r\n",
    );
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(
        head.contains("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8"),
        "{head}"
    );
    assert!(
        head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())),
        "{head}"
    );
    let mut samples = BTreeMap::new();
    let mut family = String::new();
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            rest.split_once(' ').unwrap().0.clone_into(&mut family);
            let heads = body.matches(&format!("# HELP {family} ")).count();
            assert_eq!(heads, 1, "{family} is torn apart");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(name, family);
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
        } else {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let bare = name.split('{').next().unwrap();
            let fits = bare
                .strip_prefix(family.as_str())
                .is_some_and(|rest| ["", "_bucket", "_sum", "_count"].contains(&rest));
            assert!(
                fits && (!name.contains('{') || name.ends_with("\"}")),
                "{line}"
            );
            let known = samples.insert(name.to_owned(), value.parse().unwrap());
            assert_eq!(known, None, "{line} is there twice");
        }
    }
    assert!(body.ends_with('\n') && samples.len() > 50);
    samples
}

#[test]
fn they_tell_what_a_real_client_did() {
    let settings = [ON, ("metrics.accounts", "true")];
    let server = TestServer::start_with(&settings);
    assert_eq!(address(&server).ip().to_string(), "127.0.0.1");
    // The connection of the readiness check has closed.
    wait_until("nobody is there", STEP, || {
        let now = scrape(&server);
        now["landfall_connections_total"] >= 1.0 && now["landfall_connections"] == 0.0
    });
    let before = scrape(&server);
    assert_eq!(
        before["landfall_file_bytes_total{direction=\"upload\"}"],
        0.0
    );
    server
        .admin(&["user", "set", USER, "--quota", "1MiB"], "")
        .ok();
    random_file(&server.local("f"), 300_000, 1);
    let batch = "put f a\nget a b\nget a c\nmkdir d\nrename d e\nls\n";
    run_ok(&mut server.sftp_batch(&[], batch), STEP);
    run_ok(server.scp().args(["-O", "f", &format!("{HOST}:g")]), STEP);
    // Refused: a password, and bytes that do not fit.
    let connection = Connection::open(&server, &Options::default());
    assert!(!connection.password(USER, "wrong").unwrap().success());
    assert!(connection.password(USER, PASSWORD).unwrap().success());
    let mut sftp = connection.sftp();
    let file = sftp.opened("/h", flag::WRITE | flag::CREAT);
    assert_eq!(sftp.write(&file, 2 * MIB as u64, b"x"), code::FAILURE);
    wait_until("the others have left", STEP, || {
        scrape(&server)["landfall_sessions"] == 1.0
    });
    // The usage is in the database after a second.
    let used = format!("landfall_account_used_bytes{{account=\"{USER}\"}}");
    wait_until("it is told what is used", STEP, || {
        let now = scrape(&server);
        let files = now.get(&format!(
            "landfall_account_used_files{{account=\"{USER}\"}}"
        ));
        (now.get(&used), files) == (Some(&600_000.0), Some(&4.0))
    });

    let now = scrape(&server);
    for (name, value) in [
        ("landfall_connections", 1.0),
        (
            "landfall_connections_total",
            before["landfall_connections_total"] + 3.0,
        ),
        (
            "landfall_logins_total{method=\"publickey\",result=\"accepted\"}",
            2.0,
        ),
        (
            "landfall_logins_total{method=\"password\",result=\"accepted\"}",
            1.0,
        ),
        (
            "landfall_logins_total{method=\"password\",result=\"refused\"}",
            1.0,
        ),
        ("landfall_file_bytes_total{direction=\"upload\"}", 600_000.0),
        (
            "landfall_file_bytes_total{direction=\"download\"}",
            600_000.0,
        ),
        ("landfall_refusals_total{reason=\"quota\"}", 1.0),
        ("landfall_refusals_total{reason=\"permission\"}", 0.0),
        (
            "landfall_request_duration_seconds_count{request=\"mkdir\"}",
            1.0,
        ),
        (
            "landfall_request_duration_seconds_count{request=\"rename\"}",
            0.0,
        ),
        (
            "landfall_request_duration_seconds_count{request=\"open\"}",
            4.0,
        ),
        (
            "landfall_request_duration_seconds_count{request=\"init\"}",
            2.0,
        ),
        ("landfall_backlog_bytes", 0.0),
        ("landfall_audit_lost_total", 0.0),
        ("landfall_audit_folded_total", 0.0),
        (
            "landfall_account_quota_bytes{account=\"alice\"}",
            1_048_576.0,
        ),
        ("landfall_account_used_files{account=\"alice\"}", 4.0),
    ] {
        // OpenSSH renames by an extension.
        assert_eq!(now[name], value, "{name}");
    }
    // The buckets add up.
    let writes = |part: &str| now[&format!("landfall_request_duration_seconds_{part}")];
    assert!(writes("count{request=\"write\"}") >= 2.0);
    assert_eq!(
        writes("bucket{request=\"write\",le=\"+Inf\"}"),
        writes("count{request=\"write\"}")
    );
    assert!(writes("sum{request=\"write\"}") > 0.0);
    let ends = [
        "0.00005", "0.0002", "0.001", "0.005", "0.02", "0.1", "0.5", "2", "10", "+Inf",
    ];
    let counts = ends.map(|end| writes(&format!("bucket{{request=\"read\",le=\"{end}\"}}")));
    assert!(counts.is_sorted(), "{counts:?}");
    drop((sftp, connection));
    wait_until("all have left", STEP, || {
        let now = scrape(&server);
        now["landfall_sessions"] == 0.0 && now["landfall_connections"] == 0.0
    });
}

#[test]
fn every_account_is_in_them_also_after_a_restart() {
    let mut server = TestServer::start_with(&[ON, ("metrics.accounts", "true")]);
    server.add_user("bob", PASSWORD, &[]);
    fs::write(server.path("data/homes/bob/f"), "content").unwrap();
    drop(Connection::logged_in(&server));
    let login = format!("landfall_account_last_login_timestamp_seconds{{account=\"{USER}\"}}");
    let used = |name: &str| format!("landfall_account_used_bytes{{account=\"{name}\"}}");
    wait_until("all are told of", STEP, || {
        let now = scrape(&server);
        now.contains_key(&used(USER)) && now.contains_key(&used("bob")) && now.contains_key(&login)
    });
    let before = scrape(&server);
    server.stop();
    server.serve();
    let after = scrape(&server);
    for name in [used(USER), used("bob"), login] {
        assert_eq!(after[&name], before[&name], "{name}");
    }
    // An uncounted home is counted, without a login.
    server.stop();
    server.add_user("eve", PASSWORD, &[]);
    fs::write(server.path("data/homes/eve/f"), "content").unwrap();
    server.serve();
    wait_until("it is counted", STEP, || {
        scrape(&server).get(&used("eve")) == Some(&7.0)
    });
}

#[test]
fn they_can_be_read_while_much_is_moved() {
    let server = TestServer::start_with(&[ON]);
    let size = 128 * MIB as u64;
    random_file(&server.local("f"), size, 1);
    let uploads: Vec<_> = (0..2)
        .map(|number| {
            let mut scp = server.scp();
            Running::start(scp.args(["f", &format!("{HOST}:{number}")]))
        })
        .collect();
    let mut last = 0.0;
    let mut slowest = Duration::ZERO;
    let bytes = "landfall_file_bytes_total{direction=\"upload\"}";
    while last < 2.0 * size as f64 {
        let began = Instant::now();
        let now = scrape(&server);
        slowest = slowest.max(began.elapsed());
        assert!(now[bytes] >= last);
        last = now[bytes];
        assert!(now["landfall_blocking_tasks"] <= 16.0);
    }
    for upload in uploads {
        upload.wait(TRANSFER).ok();
    }
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    assert_eq!(last, 2.0 * size as f64);
    wait_until("nothing waits any more", STEP, || {
        let now = scrape(&server);
        now["landfall_backlog_bytes"] == 0.0 && now["landfall_blocking_tasks"] == 0.0
    });
}

#[test]
fn scrapers_that_dawdle_hold_up_nobody_and_are_sent_away() {
    let server = TestServer::start_with(&[ON]);
    let mut slow: Vec<_> = (0..8)
        .map(|_| TcpStream::connect(address(&server)).unwrap())
        .collect();
    slow[0]
        .write_all(b"GET /metrics HTTP/1.1\r\nHost:")
        .unwrap();
    // This one sends a request and never reads.
    slow[1].write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
    let began = Instant::now();
    scrape(&server);
    Connection::logged_in(&server).sftp().put("/f", b"content");
    // Neither waits for the slow clients.
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    for stream in &mut slow {
        stream.set_read_timeout(Some(STEP)).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    }
    // The slow clients are disconnected after their time limit.
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn other_requests_are_told_what_there_is() {
    let server = TestServer::start_with(&[ON]);
    for (request, status) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], "404 Not Found"),
        (b"GET /metricsx HTTP/1.1\r\n\r\n", "404 Not Found"),
        (b"GET /healthz/ HTTP/1.1\r\n\r\n", "404 Not Found"),
        (b"POST /healthz HTTP/1.1\r\n\r\n", "405 Method Not Allowed"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", "405 Method Not Allowed"),
        (b"GET /metrics?x=1 HTTP/1.0\r\n\r\n", "200 OK"),
        (b"GET /metrics HTTP/2\r\n\r\n", "400 Bad Request"),
        (b"SSH-2.0-x\r\n\r\n", "400 Bad Request"),
        (b"\x16\x03\x01\x00\r\n\r\n", "400 Bad Request"),
    ] {
        let answer = ask(&server, request);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{request:?}: {answer}"
        );
    }
    let head = ask(&server, b"HEAD /metrics HTTP/1.1\r\n\r\n");
    assert!(
        head.starts_with("HTTP/1.1 200 OK") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    // A request that is too long is not read to its end.
    let mut stream = TcpStream::connect(address(&server)).unwrap();
    let long = vec![b'a'; 1 << 20];
    let _ = stream.write_all(&long);
    stream.set_read_timeout(Some(STEP)).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    scrape(&server);
    assert!(server.memory_kib("VmRSS") < 200 * 1024);
}

/// Checks something with Prometheus's promtool, which must succeed.
fn promtool(arguments: &[&str], input: &str) -> bool {
    let Some(promtool) = unpacked("prometheus", "promtool") else {
        return false;
    };
    let mut check = Command::new(promtool);
    let checked = run_with_input(check.args(arguments), input.as_bytes(), STEP);
    assert!(
        checked.status.success() && checked.err().is_empty(),
        "{arguments:?}: {}{}",
        checked.out(),
        checked.err()
    );
    true
}

/// Returns words that start like Landfall's metrics.
fn names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = |word: &&str| {
        let rest = word
            .strip_prefix("landfall_")
            .or(word.strip_prefix("process_"));
        rest.is_some_and(|rest| !rest.is_empty())
    };
    words.filter(ours).collect()
}

#[test]
fn prometheus_likes_them_and_the_rules_and_the_dashboard_know_them() {
    let settings = [ON, ("metrics.accounts", "true")];
    let server = TestServer::start_with(&settings);
    let limits = ["user", "set", USER, "--quota", "1MiB", "--max-files", "9"];
    server.admin(&limits, "").ok();
    drop(Connection::logged_in(&server));
    let login = format!("landfall_account_last_login_timestamp_seconds{{account=\"{USER}\"}}");
    wait_until("all metrics are there", STEP, || {
        scrape(&server).contains_key(&login)
    });
    let page = page(&server);
    promtool(&["check", "metrics"], &page);
    let there = names(&page);
    let read = |path: &str| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/");
        fs::read_to_string(format!("{folder}{path}")).unwrap()
    };
    let rules = read("packaging/prometheus/rules.yml");
    promtool(&["check", "rules", "/dev/stdin"], &rules);
    let dashboard = read("packaging/prometheus/grafana.json");
    let parsed: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    let panels = parsed["panels"].as_array().unwrap();
    let mut expressions = String::new();
    for panel in panels {
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap();
            // The text that Grafana inserts before it queries.
            let asked = expression.replace("$__rate_interval", "5m");
            expressions.push_str(&format!("      - record: a:b\n        expr: {asked:?}\n"));
        }
    }
    let as_rules = format!("groups:\n  - name: all\n    rules:\n{expressions}");
    promtool(&["check", "rules", "--lint=none", "/dev/stdin"], &as_rules);
    for (text, least) in [(&rules, 10), (&dashboard, 15)] {
        let named = names(text);
        assert!(named.len() >= least, "{named:?}");
        let unknown: Vec<_> = named.difference(&there).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
    // The page about metrics lists every one, except parts of histograms.
    let documented = read("docs/metrics.md");
    for name in there {
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|part| name.strip_suffix(part));
        let name = family.unwrap_or(name);
        assert!(documented.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn transfers_are_counted_by_how_they_ended() {
    let server = TestServer::start_with(&[ON]);
    let count = |direction: &str, result: &str| {
        let labels = format!("{{direction=\"{direction}\",result=\"{result}\"}}");
        scrape(&server)[&format!("landfall_transfers_total{labels}")]
    };
    for direction in ["upload", "download"] {
        for result in ["complete", "partial", "failed", "cut"] {
            assert_eq!(count(direction, result), 0.0);
        }
    }
    server
        .admin(&["user", "set", USER, "--quota", "1MiB"], "")
        .ok();
    let connection = Connection::logged_in(&server);
    let mut sftp = connection.sftp();
    sftp.put("/whole", &[1; 100_000]);
    sftp.get("/whole");
    // A part of it, closed.
    let file = sftp.opened("/whole", flag::READ);
    sftp.read(&file, 0, 10);
    sftp.close(&file);
    // One that does not fit.
    let file = sftp.opened("/large", flag::WRITE | flag::CREAT);
    assert_eq!(sftp.write(&file, 0, b"some"), code::OK);
    assert_eq!(sftp.write(&file, 2 * MIB as u64, b"x"), code::FAILURE);
    sftp.close(&file);
    // One that is cut by the end of the connection.
    let file = sftp.opened("/cut", flag::WRITE | flag::CREAT);
    assert_eq!(sftp.write(&file, 0, b"some"), code::OK);
    drop((sftp, connection));
    wait_until("all have ended", STEP, || count("upload", "cut") == 1.0);
    assert_eq!(count("upload", "complete"), 1.0);
    assert_eq!(count("upload", "failed"), 1.0);
    assert_eq!(count("download", "complete"), 1.0);
    assert_eq!(count("download", "partial"), 1.0);
    assert_eq!(count("download", "cut"), 0.0);
}

#[test]
fn the_process_the_disks_and_the_limits_are_in_them() {
    let elsewhere = tempfile::tempdir().unwrap();
    let folder = format!("[{:?}]", elsewhere.path().to_str().unwrap());
    let server = TestServer::start_with(&[
        ON,
        ("sandbox.homes", &folder),
        ("server.max_connections", "123"),
    ]);
    let now = scrape(&server);
    let held: Vec<_> = (0..10).map(|_| Connection::logged_in(&server)).collect();
    let later = scrape(&server);
    let open = "process_open_fds";
    assert!(
        later[open] >= now[open] + 10.0,
        "{} {}",
        now[open],
        later[open]
    );
    drop(held);
    let soft = fs::read_to_string(format!("/proc/{}/limits", server.process_id())).unwrap();
    let soft = soft.lines().find(|line| line.starts_with("Max open files"));
    let soft: f64 = soft
        .unwrap()
        .split_whitespace()
        .nth(3)
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(now["process_max_fds"], soft);
    let resident = server.memory_kib("VmRSS") as f64 * 1024.0;
    let told = later["process_resident_memory_bytes"];
    assert!(
        told > resident / 2.0 && told < resident * 2.0,
        "{told} {resident}"
    );
    let cpu = "process_cpu_seconds_total";
    assert!(later[cpu] > now[cpu] && later[cpu] <= server.cpu_time().as_secs_f64() + 1.0);
    let began = now["process_start_time_seconds"];
    let age = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    assert!((0.0..600.0).contains(&(age.as_secs_f64() - began)));
    assert_eq!(now["landfall_max_connections"], 123.0);
    assert!(now["landfall_max_waiting_connections"] > 0.0);
    // One sample for each file system, whatever the number of folders on it.
    let size = "landfall_filesystem_size_bytes";
    let sizes = now.iter().filter(|(name, _)| name.starts_with(size));
    let sizes: Vec<f64> = sizes.map(|(_, size)| *size).collect();
    assert!(
        !sizes.is_empty() && sizes.iter().all(|size| *size > 1e6),
        "{sizes:?}"
    );
    let hang = now
        .iter()
        .filter(|(name, _)| name.contains("filesystem_device_error"));
    assert_eq!(hang.map(|(_, hangs)| hangs).sum::<f64>(), 0.0);
}

#[test]
fn the_last_reload_is_in_them() {
    let server = TestServer::start_with(&[ON]);
    let (applied, at) = (
        "landfall_config_last_reload_successful",
        "landfall_config_last_reload_success_timestamp_seconds",
    );
    let first = scrape(&server);
    assert_eq!(first[applied], 1.0);
    let config = fs::read_to_string(server.path("config.toml")).unwrap();
    fs::write(
        server.path("config.toml"),
        format!("{config}\nnonsense = 1\n"),
    )
    .unwrap();
    server.admin(&["reload"], "").failed();
    let refused = scrape(&server);
    assert_eq!((refused[applied], refused[at]), (0.0, first[at]));
    let more = config.replace(
        "metrics.listen",
        "server.max_connections = 77\nmetrics.listen",
    );
    fs::write(server.path("config.toml"), more).unwrap();
    // The time is in whole seconds.
    std::thread::sleep(Duration::from_millis(1100));
    server.admin(&["reload"], "").ok();
    let again = scrape(&server);
    assert_eq!(again[applied], 1.0);
    assert!(again[at] > first[at]);
    assert_eq!(again["landfall_max_connections"], 77.0);
}

#[test]
fn a_health_check_is_answered_until_the_server_stops() {
    let mut server = TestServer::start_with(&[ON, ("server.stop_grace", "\"30s\"")]);
    let health = |server: &TestServer| ask(server, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    let well = health(&server);
    assert!(
        well.starts_with("HTTP/1.1 200 OK") && well.ends_with("\r\n\r\nok\n"),
        "{well}"
    );
    let head = ask(&server, b"HEAD /healthz HTTP/1.1\r\n\r\n");
    assert!(
        head.starts_with("HTTP/1.1 200 OK") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    // A transfer delays the end of the server.
    let mut sftp = Connection::logged_in(&server).sftp();
    let file = sftp.opened("/f", flag::WRITE | flag::CREAT);
    assert_eq!(sftp.write(&file, 0, b"some"), code::OK);
    server.terminate();
    wait_until("it says that it stops", STEP, || {
        let ill = health(&server);
        ill.starts_with("HTTP/1.1 503") && ill.contains("the server is stopping")
    });
    drop(sftp);
    server.stop();
}

#[test]
fn they_are_off_unless_asked_for_and_nonsense_is_refused() {
    let server = TestServer::start();
    assert!(!server.log().contains("metrics at"), "{}", server.log());
    for (listen, complaint) in [
        ("\"nonsense\"", "must be a port such as"),
        ("\"localhost:9422\"", "must be a port such as"),
        ("\"99999\"", "must be a port such as"),
        ("9422", "is a number, but must be a string"),
        ("\"127.0.0.1:2022\"", "which server.listen uses"),
    ] {
        let config = format!("[metrics]\nlisten = {listen}\n");
        fs::write(server.path("other.toml"), config).unwrap();
        let refused = server
            .admin(&["--config", "other.toml", "check"], "")
            .failed();
        assert!(
            refused.err().contains(complaint),
            "{listen}: {}",
            refused.err()
        );
    }
    for listen in ["", "0", "9422", "[::1]:9422", "0.0.0.0:9422"] {
        let config = format!("[metrics]\nlisten = \"{listen}\"\n");
        fs::write(server.path("other.toml"), config).unwrap();
        server.admin(&["--config", "other.toml", "check"], "").ok();
    }
}
