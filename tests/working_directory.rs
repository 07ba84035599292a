//! Where commands work: what they make in the wrong folder (nothing), which config they trust, and what they say
//! about both.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};

use rustix::process::geteuid;
use serde_json::{Value, json};

use crate::common::operator::Operator;
use crate::common::{TestServer, skip};

const CONFIG: &str = "[login]\nargon2_memory = \"8MiB\"\nargon2_passes = 1\n";

/// Commands that need state, each with what would make some if it could.
const COMMANDS: &[&[&str]] = &[
    &["user", "list"],
    &["user", "rm", "ann"],
    &["user", "key", "list", "ann"],
    &["quota", "show"],
    &["quota", "recount"],
    &["audit"],
    &["backup", "copy"],
    &["session", "list"],
    &["ban", "list"],
    &["reload"],
    &["top"],
];

fn set_mode(operator: &Operator, name: &str, mode: u32) {
    fs::set_permissions(operator.path(name), Permissions::from_mode(mode)).unwrap();
}

#[test]
fn in_a_wrong_folder_no_command_makes_anything() {
    let empty = Operator::new();
    let add: &[&str] = &["user", "add", "ann", "--no-password"];
    for command in COMMANDS.iter().chain([&add]) {
        let refused = empty.run(command).refused();
        assert!(
            refused.contains("no configuration and no data folder here"),
            "{command:?} {refused}"
        );
        assert_eq!(empty.names("."), [""; 0], "{command:?}");
    }
    // Some other program's folder of that name.
    fs::create_dir(empty.path("data")).unwrap();
    for command in COMMANDS.iter().chain([&add]) {
        let refused = empty.run(command).refused();
        assert!(refused.contains("there is no database in"), "{refused}");
    }
    assert_eq!(empty.names("data"), [""; 0]);
    // With a config, the first user may come before the first start.
    let operator = Operator::with_config(CONFIG);
    for command in COMMANDS {
        let refused = operator.run(command).refused();
        assert!(refused.contains("there is no database in"), "{refused}");
    }
    assert_eq!(operator.names("."), ["config.toml"]);
    operator.run(add).accepted();
    assert!(operator.path("data/landfall.db").is_file());
    let listed = operator.run(&["user", "list"]).accepted();
    assert!(listed.contains("ann"), "{listed}");
}

#[test]
fn an_error_names_the_config_and_the_data() {
    let operator = Operator::with_config("[server]\ndata = \"state\"\n");
    operator.run(&["user", "add", "ann", "--no-password"]).ok();
    let refused = operator.run(&["user", "show", "bob"]).refused();
    let place = format!(
        "landfall: config: {}; data: {}\n",
        operator.path("config.toml").display(),
        operator.path("state").display()
    );
    assert!(refused.ends_with(&place), "{refused}");
}

#[test]
fn a_config_that_others_can_write_is_not_used() {
    let operator = Operator::with_config(CONFIG);
    operator.run(&["user", "add", "ann", "--no-password"]).ok();
    let list: &[&str] = &["user", "list"];
    let named: &[&str] = &["user", "list", "--config", "config.toml"];
    set_mode(&operator, "config.toml", 0o646);
    for command in [list, named, &["serve"], &["check"]] {
        let refused = operator.run(command).refused();
        assert_eq!(
            refused,
            "config.toml: this file is writable by others (mode 646): run chmod go-w config.toml\n"
        );
    }
    set_mode(&operator, "config.toml", 0o644);
    operator.run(list).accepted();
    // The folder matters only for a config that was not named.
    set_mode(&operator, "", 0o777);
    let refused = operator.run(list).refused();
    assert!(
        refused.starts_with("config.toml: the folder is writable by others (mode 777)"),
        "{refused}"
    );
    operator.run(named).accepted();
    // In a sticky folder, as /tmp, nobody takes the place of the operator's file.
    set_mode(&operator, "", 0o1777);
    operator.run(list).accepted();
    set_mode(&operator, "", 0o700);

    if !geteuid().is_root() {
        return skip("root, to give files to others");
    }
    // Root's own group is private; another one is not.
    set_mode(&operator, "config.toml", 0o664);
    operator.run(list).accepted();
    chown(operator.path("config.toml"), None, Some(1)).unwrap();
    let refused = operator.run(list).refused();
    assert!(
        refused.contains("this file is writable by others (mode 664)"),
        "{refused}"
    );
    set_mode(&operator, "config.toml", 0o644);
    chown(operator.path("config.toml"), Some(1), None).unwrap();
    let refused = operator.run(list).refused();
    assert!(
        refused.starts_with("config.toml: it belongs to user id 1, but this is user id 0"),
        "{refused}"
    );
    operator.run(named).accepted();
}

#[test]
fn a_data_folder_that_others_can_replace_is_not_used_without_a_config() {
    let operator = Operator::with_config(CONFIG);
    operator.run(&["user", "add", "ann", "--no-password"]).ok();
    fs::remove_file(operator.path("config.toml")).unwrap();
    operator.run(&["user", "list"]).accepted();
    set_mode(&operator, "", 0o777);
    let refused = operator.run(&["user", "list"]).refused();
    assert!(
        refused.starts_with("data: the folder is writable by others (mode 777)"),
        "{refused}"
    );
}

/// A partner uploads a config, and a database with an account of the operator's: the next command of an operator
/// who stands there must not write a password hash into it.
#[test]
fn what_a_client_has_put_into_a_home_is_not_used() {
    let operator = Operator::with_config("[server]\ndata = \"state\"\n");
    let elsewhere = operator.path("elsewhere/bob");
    fs::create_dir(operator.path("elsewhere")).unwrap();
    operator.run(&["user", "add", "ann", "--no-password"]).ok();
    let add = ["user", "add", "bob", "--no-password", "--home"];
    let add = [&add[..], &[elsewhere.to_str().unwrap()]].concat();
    operator.run(&add).ok();

    let partner = Operator::with_config(CONFIG);
    partner.run(&["user", "add", "admin", "--no-password"]).ok();
    let set = &["user", "passwd", "admin", "--password-stdin"];
    // The state of this server is found in the folders above a home, wherever the home lies.
    std::os::unix::fs::symlink("state", operator.path("data")).unwrap();
    for home in [operator.path("state/homes/ann"), elsewhere] {
        for folder in [home.clone(), home.join("in/it")] {
            fs::create_dir_all(folder.join("data")).unwrap();
            let put = |name: &str| fs::copy(partner.path(name), folder.join(name)).unwrap();
            put("config.toml");
            put("data/landfall.db");
            fs::set_permissions(folder.join("data"), Permissions::from_mode(0o700)).unwrap();
            let before = fs::read(folder.join("data/landfall.db")).unwrap();
            for with_config in [true, false] {
                for command in [&set[..], &["user", "list"], &["check"], &["serve"]] {
                    let mut there = operator.command(command);
                    let said = crate::common::run(there.current_dir(&folder), crate::common::STEP);
                    let refused = said.refused();
                    assert!(
                        refused.contains("the current directory is in")
                            && refused.contains("a client may have put the configuration there"),
                        "{refused}"
                    );
                }
                if with_config {
                    fs::remove_file(folder.join("config.toml")).unwrap();
                }
            }
            let after = fs::read(folder.join("data/landfall.db")).unwrap();
            assert_eq!(before, after);
        }
        // The operator's own config is used there, if it is named.
        let config = operator.path("config.toml");
        let mut there = operator.command(&["user", "list", "--config", config.to_str().unwrap()]);
        let said = crate::common::run(there.current_dir(&home), crate::common::STEP).accepted();
        assert!(said.contains("ann") && said.contains("bob"), "{said}");
    }
}

#[test]
fn status_shows_what_is_used_and_the_server_that_runs() {
    let mut server = TestServer::start();
    let shown = server.admin(&["status"], "").accepted();
    let config = server.path("config.toml").display().to_string();
    let data = server.path("data").display().to_string();
    for part in [
        &config,
        &data,
        "running since 20",
        "Listening on  127.0.0.1:",
    ] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
    let json = |server: &TestServer, code: i32| -> Value {
        let said = server.admin(&["status", "--json"], "");
        assert_eq!(said.status.code(), Some(code), "{}", said.describe());
        serde_json::from_slice(&said.stdout).unwrap()
    };
    let running = json(&server, 0);
    assert_eq!(running["config"], json!(config));
    assert_eq!(running["data"], json!(data));
    assert_eq!(running["server"]["sessions"], 0);
    assert_eq!(running["server"]["version"], env!("CARGO_PKG_VERSION"));
    let listen = running["server"]["listen"][0].as_str().unwrap();
    assert_eq!(listen, format!("127.0.0.1:{}", server.port()));
    server.stop();
    assert_eq!(json(&server, 3)["server"], Value::Null);

    let nowhere = Operator::new().run(&["status"]);
    assert_eq!(nowhere.status.code(), Some(3));
    assert!(
        nowhere.out().contains("none (neither config.toml here"),
        "{}",
        nowhere.out()
    );
    let faulty = Operator::with_config("[sever]\n").run(&["status"]);
    assert_eq!(faulty.status.code(), Some(1));
}
