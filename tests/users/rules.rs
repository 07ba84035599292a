//! The rules of an account: set, kept, shown in words and in JSON, and what is refused.

use super::*;

/// Each option with a value, what `show --json` has then, and a part of what `set` and `show` say.
fn settable() -> Vec<(
    &'static str,
    &'static str,
    &'static str,
    Value,
    &'static str,
)> {
    let set = |option, value, field, json, words| (option, value, field, json, words);
    vec![
        set(
            "--permissions",
            "read-only",
            "permissions",
            json!({"/": "read-only"}),
            "read-only",
        ),
        set(
            "--permissions",
            "list, upload",
            "permissions",
            json!({"/": "list,upload"}),
            "list,upload",
        ),
        set(
            "--permissions",
            "/in/box=upload-only",
            "permissions",
            json!({"/": "full", "/in/box": "upload-only"}),
            "/in/box upload-only",
        ),
        set(
            "--network",
            "10.0.0.0/8",
            "networks",
            json!(["10.0.0.0/8"]),
            "from 10.0.0.0/8",
        ),
        set(
            "--network",
            "::ffff:192.0.2.7",
            "networks",
            json!(["192.0.2.7"]),
            "from 192.0.2.7",
        ),
        set(
            "--expires",
            "2099-01-31",
            "expires",
            json!("2099-01-31T00:00:00Z"),
            "2099-01-31T00:00:00Z",
        ),
        set(
            "--expires",
            "2099-01-31T01:00:00+02:00",
            "expires",
            json!("2099-01-30T23:00:00Z"),
            "2099-01-30T23:00:00Z",
        ),
        set("--max-sessions", "3", "max_sessions", json!(3), "3"),
        set("--login", "publickey", "login", json!("publickey"), "a key"),
        set(
            "--login",
            "publickey+password",
            "login",
            json!("publickey+password"),
            "a key and then the password",
        ),
        set(
            "--upload-rate",
            "1MiB/s",
            "upload_rate",
            json!(1 << 20),
            "1MiB a second up",
        ),
        set(
            "--download-rate",
            "500k",
            "download_rate",
            json!(500_000),
            "500000 bytes a second down",
        ),
    ]
}

/// What takes each of them away.
const AS_BEFORE: [&str; 16] = [
    "--permissions",
    "full",
    "--permissions",
    "/in/box=none",
    "--network",
    "none",
    "--expires",
    "never",
    "--max-sessions",
    "none",
    "--login",
    "any",
    "--upload-rate",
    "none",
    "--download-rate",
    "none",
];

#[test]
fn rules_are_set_shown_and_taken_away() {
    let operator = operator();
    operator.add("ann");
    let plain = operator.json(&["user", "show", "ann"]);
    for (number, (option, value, field, expected, words)) in settable().into_iter().enumerate() {
        // There are warnings: the directory is not there.
        let said = operator.run(&["user", "set", "ann", option, value]);
        let said = said.ok().out();
        assert!(said.contains("ann") && said.contains(words), "{said}");
        let shown = operator.json(&["user", "show", "ann"]);
        let mut changed = plain.clone();
        changed[field] = expected;
        assert_eq!(shown, changed, "{option} {value}");
        let listed = operator.json(&["user", "list"]);
        let of_ann = listed
            .as_array()
            .unwrap()
            .iter()
            .find(|user| user["name"] == "ann");
        assert_eq!(of_ann.unwrap()[field], shown[field]);
        let text = operator.run(&["user", "show", "ann"]).accepted();
        assert!(text.contains(words), "{text}");
        operator
            .run(&[&["user", "set", "ann"], &AS_BEFORE[..]].concat())
            .accepted();
        assert_eq!(operator.json(&["user", "show", "ann"]), plain);

        let new = format!("new-{number}");
        operator
            .run(&["user", "add", &new, "--no-password", option, value])
            .ok();
        assert_eq!(operator.json(&["user", "show", &new])[field], shown[field]);
    }
}

#[test]
fn a_set_for_the_home_leaves_those_of_directories_and_the_other_way_round() {
    let operator = operator();
    operator.add("ann");
    let permissions = |rules: &[&str]| {
        let mut set = vec!["user", "set", "ann"];
        for rule in rules {
            set.extend(["--permissions", rule]);
        }
        operator.run(&set).ok();
        operator.json(&["user", "show", "ann"])["permissions"].clone()
    };
    assert_eq!(
        permissions(&["read-only", "/in=upload-only", "/in/old=nothing"]),
        json!({"/": "read-only", "/in": "upload-only", "/in/old": "nothing"})
    );
    assert_eq!(
        permissions(&["no-delete", "/in/old=none"]),
        json!({"/": "no-delete", "/in": "upload-only"})
    );
    assert_eq!(
        permissions(&["//in/.=full"]),
        json!({"/": "no-delete", "/in": "full"})
    );
    // Nothing else changed them.
    operator
        .run(&[
            "user",
            "set",
            "ann",
            "--quota",
            "1GiB",
            "--max-files",
            "5",
            "--disabled",
        ])
        .accepted();
    assert_eq!(permissions(&["/in=none"]), json!({"/": "no-delete"}));
    assert_eq!(
        operator.json(&["user", "show", "ann"])["quota"],
        json!(1 << 30)
    );
}

#[test]
fn a_user_is_disabled_and_enabled_again_and_the_list_says_who_can_log_in() {
    let operator = operator();
    operator.add("ann");
    operator
        .run(&["user", "add", "bob", "--no-password", "--disabled"])
        .accepted();
    operator
        .run(&[
            "user",
            "add",
            "old",
            "--no-password",
            "--expires",
            "2001-01-01",
        ])
        .ok();
    let states = || {
        let table = operator.run(&["user", "list"]).accepted();
        let rows = table.lines().skip(1);
        let states = rows.map(|row| row.split_whitespace().nth(1).unwrap().to_owned());
        states.collect::<Vec<_>>()
    };
    assert_eq!(states(), ["active", "disabled", "expired"]);
    let said = operator
        .run(&["user", "set", "ann", "--disabled"])
        .accepted();
    assert!(said.contains("nobody can log in"), "{said}");
    operator
        .run(&["user", "set", "bob", "--enabled"])
        .accepted();
    assert_eq!(states(), ["disabled", "active", "expired"]);
    assert_eq!(
        operator.json(&["user", "show", "ann"])["disabled"],
        json!(true)
    );
    operator
        .run(&["user", "set", "ann", "--max-files", "5"])
        .accepted();
    assert_eq!(
        operator.json(&["user", "show", "ann"])["disabled"],
        json!(true)
    );
}

#[test]
fn all_of_it_can_be_said_at_once() {
    let operator = operator();
    let all = [
        "--permissions",
        "read-only",
        "--network",
        "10.0.0.0/8",
        "--expires",
        "2099-01-01",
        "--login",
        "publickey",
        "--max-sessions",
        "2",
        "--quota",
        "1GiB",
        "--max-files",
        "5",
        "--disabled",
    ];
    operator
        .run(&[&["user", "add", "ann", "--no-password"], &all[..]].concat())
        .accepted();
    operator.add("bob");
    operator
        .run(&[&["user", "set", "bob"], &all[..]].concat())
        .accepted();
    let [mut ann, mut bob] = ["ann", "bob"].map(|name| operator.json(&["user", "show", name]));
    for shown in [&mut ann, &mut bob] {
        assert_eq!(
            (
                &shown["max_sessions"],
                &shown["max_files"],
                &shown["disabled"]
            ),
            (&json!(2), &json!(5), &json!(true))
        );
        for field in ["name", "home", "created", "logins_recorded_since"] {
            shown[field] = Value::Null;
        }
    }
    assert_eq!(ann, bob);
}

#[test]
fn nonsense_is_refused_in_one_line_that_says_what_would_be_right() {
    let operator = operator();
    operator.add("ann");
    let before = operator.json(&["user", "show", "ann"]);
    for (option, value, right) in [
        ("--permissions", "readonly", "read-only"),
        ("--permissions", "", "read-only"),
        ("--permissions", "in=full", "/incoming=upload-only"),
        ("--permissions", "/in/../..=full", "/incoming=upload-only"),
        ("--permissions", "/=none", "instead of \"none\""),
        ("--network", "10.0.0.1/8", "10.0.0.0/8"),
        ("--network", "example.org", "10.0.0.0/8"),
        ("--expires", "2027-02-31", "2027-01-31"),
        ("--expires", "tomorrow", "never"),
        ("--max-sessions", "0", "--disabled"),
        ("--max-sessions", "-1", "number"),
        ("--login", "password", "publickey+password"),
        ("--upload-rate", "0", "1KiB/s"),
        ("--download-rate", "fast", "500k/s"),
    ] {
        let given = format!("{option}={value}");
        let refused = operator.run(&["user", "set", "ann", &given]);
        assert_eq!(refused.status.code(), Some(2), "{}", refused.describe());
        assert!(refused.err().contains(right), "{}", refused.describe());
    }
    let both = [
        "user",
        "set",
        "ann",
        "--network",
        "none",
        "--network",
        "10.0.0.0/8",
    ];
    assert!(operator.run(&both).refused().contains("any address"));
    let both = ["user", "set", "ann", "--enabled", "--disabled"];
    assert_eq!(operator.run(&both).status.code(), Some(2));
    assert_eq!(operator.json(&["user", "show", "ann"]), before);
}

#[test]
fn changes_at_the_same_time_do_not_lose_each_other() {
    let operator = operator();
    operator.add("ann");
    let permissions: Vec<String> = (0..8)
        .map(|number| format!("/{number}=read-only"))
        .collect();
    let mut running = Vec::new();
    for rule in &permissions {
        let set = ["user", "set", "ann", "--permissions", rule];
        running.push(Running::start(&mut operator.command(&set)));
    }
    for command in running {
        command.wait(STEP).ok();
    }
    let shown = operator.json(&["user", "show", "ann"]);
    assert_eq!(
        shown["permissions"].as_object().unwrap().len(),
        9,
        "{shown}"
    );
}

#[test]
fn a_set_of_nothing_says_once_what_can_be_set() {
    let operator = operator();
    operator.add("ann");
    let said = operator.run(&["user", "set", "ann"]);
    assert_eq!(said.status.code(), Some(2));
    let said = said.err();
    for option in ["--quota", "--home", "--network", "--enabled", "--login"] {
        let bare = format!("{option}|");
        let valued = format!("{option} <");
        let count = said.matches(&bare).count() + said.matches(&valued).count();
        let last = said.matches(&format!("{option}>")).count();
        assert_eq!(count + last, 1, "{option}: {said}");
    }
    assert!(
        said.contains("Usage: landfall user set [OPTIONS] <NAME>"),
        "{said}"
    );
}

/// What it says on the standard error of a command that is done.
fn warned(operator: &Operator, input: &str, arguments: &[&str]) -> String {
    operator.run_with(input, arguments).ok().err()
}

#[test]
fn what_may_not_be_meant_is_done_with_a_warning() {
    let operator = operator();
    let key = make_key(&operator, "one");
    let key = key.to_str().unwrap();
    let add = ["user", "add", "ann", "--key", key, "--expires"];
    let said = warned(&operator, "", &[&add[..], &["2020-01-01"]].concat());
    assert!(said.contains("ann has already expired"), "{said}");
    let said = warned(
        &operator,
        "",
        &["user", "set", "ann", "--expires", "2021-01-01"],
    );
    assert!(said.contains("ann has already expired"), "{said}");
    let later = operator.run(&["user", "set", "ann", "--expires", "2099-01-01"]);
    later.accepted();

    let passwd = ["user", "passwd", "ann", "--password-stdin"];
    let said = warned(&operator, "x\n", &passwd);
    assert!(
        said.contains("a password of 1 characters is easy to guess"),
        "{said}"
    );
    let said = warned(&operator, "x\n", &["hash-password", "--password-stdin"]);
    assert!(said.contains("easy to guess"), "{said}");
    operator.run_with("long enough\n", &passwd).accepted();

    // The last way to log in, whichever it is.
    let nothing_left = "no credential to log in with any more";
    let take_password = ["user", "passwd", "ann", "--no-password"];
    operator.run(&take_password).accepted();
    let said = warned(
        &operator,
        "",
        &["user", "key", "rm", "ann", "one of a test"],
    );
    assert!(said.contains(nothing_left), "{said}");
    operator.run_with("long enough\n", &passwd).accepted();
    let said = warned(
        &operator,
        "",
        &["user", "set", "ann", "--login", "publickey"],
    );
    assert!(said.contains(nothing_left), "{said}");
    operator
        .run(&["user", "set", "ann", "--login", "any"])
        .accepted();
    let said = warned(&operator, "", &take_password);
    assert!(said.contains(nothing_left), "{said}");
}

#[test]
fn a_rule_for_a_directory_that_is_not_there_is_noticed_and_the_directory_made_if_asked() {
    let operator = operator();
    operator.add("ann");
    let home = operator.path("data/homes/ann");
    let set = ["user", "set", "ann", "--permissions", "/in/box=upload-only"];
    let said = warned(&operator, "", &set);
    assert!(
        said.contains("the home of ann has no directory /in/box"),
        "{said}"
    );
    assert!(!home.join("in").exists());
    let said = operator.run(&[&set[..], &["--mkdir"]].concat()).accepted();
    assert!(
        said.contains("Created /in/box in the home of ann"),
        "{said}"
    );
    assert!(home.join("in/box").is_dir());
    operator.run(&set).accepted();
    let add = [
        "user",
        "add",
        "bob",
        "--no-password",
        "--mkdir",
        "--permissions",
        "/out=read-only",
    ];
    operator.run(&add).accepted();
    assert!(operator.path("data/homes/bob/out").is_dir());
    let alone = operator.run(&["user", "set", "ann", "--quota", "1G", "--mkdir"]);
    assert_eq!(alone.status.code(), Some(2));
}

#[test]
fn directories_that_a_command_makes_are_counted() {
    let server = crate::common::TestServer::start();
    let user = crate::common::USER;
    let mut sftp = crate::common::connection::Connection::logged_in(&server).sftp();
    sftp.put("file", b"1");
    let set = [
        "user",
        "set",
        user,
        "--mkdir",
        "--permissions",
        "/a/b=read-only",
    ];
    server.admin(&set, "").accepted();
    wait_until("both are counted", STEP, || {
        let shown = server
            .admin(&["quota", "show", user, "--json"], "")
            .accepted();
        let shown: Value = serde_json::from_str(&shown).unwrap();
        shown[0]["used_files"] == 3
    });
}
