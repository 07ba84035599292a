//! The user commands without a server: what each makes, what it refuses, and the disk afterwards.

mod keys;
mod list;
mod rules;
mod terminal;

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::common::operator::Operator;
use crate::common::{Output, Running, STEP, run_ok, wait_until};

/// As little work for a hash as the config allows.
const CHEAP: &str = "[login]\nargon2_memory = \"8MiB\"\nargon2_passes = 1\n";

fn operator() -> Operator {
    Operator::with_config(CHEAP)
}

/// Has OpenSSH make a key pair; the path of its public half, which says whose it is.
fn make_key(operator: &Operator, name: &str) -> PathBuf {
    let file = operator.path(name);
    crate::common::server::make_key(&file, &["-t", "ed25519"]);
    let public = file.with_extension("pub");
    let line = fs::read_to_string(&public).unwrap();
    fs::write(
        &public,
        line.replace("throw-away", &format!("{name} of a test")),
    )
    .unwrap();
    public
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// What only these tests ask.
impl Operator {
    fn json(&self, arguments: &[&str]) -> Value {
        let said = self.run(&[arguments, &["--json"]].concat()).accepted();
        serde_json::from_str(&said).unwrap()
    }

    fn users(&self) -> Vec<String> {
        let list = self.json(&["user", "list"]);
        let names = list.as_array().unwrap().iter();
        names
            .map(|user| user["name"].as_str().unwrap().to_owned())
            .collect()
    }

    fn add(&self, name: &str) {
        self.run(&["user", "add", name, "--no-password"]).accepted();
    }

    fn has_password(&self, name: &str) -> bool {
        self.json(&["user", "show", name])["password"]
            .as_bool()
            .unwrap()
    }

    fn fingerprints(&self, name: &str) -> Vec<String> {
        let list = self.json(&["user", "key", "list", name]);
        let keys = list.as_array().unwrap().iter();
        keys.map(|key| key["fingerprint"].as_str().unwrap().to_owned())
            .collect()
    }
}

#[test]
fn add_makes_a_user_and_a_home_that_others_cannot_enter() {
    let operator = operator();
    let home = operator.path("data/homes/ann");
    let said = operator
        .run_with("a secret\n", &["user", "add", "ann", "--password-stdin"])
        .accepted();
    assert_eq!(
        said,
        format!("Added ann with the home {}\n", home.display())
    );
    assert_eq!(mode(&home), 0o700);
    assert_eq!(mode(&operator.path("data")), 0o700);
    assert_eq!(mode(&operator.path("data/landfall.db")), 0o600);
    let shown = operator.json(&["user", "show", "ann"]);
    let created = shown["created"].as_str().unwrap();
    assert!(
        created.starts_with("20") && created.ends_with('Z'),
        "{created}"
    );
    assert_eq!(
        shown,
        json!({
            "name": "ann", "home": home, "password": true, "keys": [], "created": created,
            "quota": null, "max_files": null, "used_bytes": null, "used_files": null,
            "safe_overwrite": null, "permissions": {"/": "full"}, "networks": [], "expires": null,
            "disabled": false, "max_sessions": null, "login": "any", "upload_rate": null,
            "download_rate": null, "declared": false, "state": "active", "last_login": null,
            "logins_recorded_since": created,
        })
    );
    for file in operator
        .names("data")
        .iter()
        .filter(|name| name.starts_with("landfall.db"))
    {
        let bytes = fs::read(operator.path("data").join(file)).unwrap();
        assert!(
            !bytes.windows(8).any(|bytes| bytes == b"a secret"),
            "{file}"
        );
    }
}

#[test]
fn how_files_are_overwritten_is_a_users_own_choice_or_that_of_the_config() {
    let operator = operator();
    let shown = |name: &str| {
        let text = operator.run(&["user", "show", name]).accepted();
        let line = text.lines().find(|line| line.starts_with("Uploads"));
        let words = line.unwrap().split_once("overwrite ").unwrap().1;
        let listed = operator.json(&["user", "list"]);
        let of_all = listed.as_array().unwrap().iter();
        let user = of_all.clone().find(|user| user["name"] == name).unwrap();
        let alone = operator.json(&["user", "show", name])["safe_overwrite"].clone();
        assert_eq!(user["safe_overwrite"], alone);
        (words.to_owned(), alone)
    };
    for (choice, words, value) in [
        ("on", "safely", json!(true)),
        ("off", "in place", json!(false)),
        ("default", "as configured", Value::Null),
    ] {
        let new = format!("new-{choice}");
        let add = ["user", "add", &new, "--no-password"];
        let option = ["--safe-overwrite", choice];
        operator.run(&[&add[..], &option].concat()).accepted();
        assert_eq!(shown(&new), (words.to_owned(), value.clone()));
        let set = [&["user", "set", "new-on"][..], &option].concat();
        let said = operator.run(&set).accepted();
        assert!(said.contains(&format!("overwrite {words}\n")));
        assert_eq!(shown("new-on"), (words.to_owned(), value));
    }
    let unknown = operator.run(&["user", "set", "new-on", "--safe-overwrite", "maybe"]);
    assert_eq!(unknown.status.code(), Some(2));
    let nobody = operator.run(&["user", "set", "nobody", "--safe-overwrite", "on"]);
    assert!(nobody.refused().contains("no user nobody"));
}

#[test]
fn add_takes_a_home_elsewhere_and_keys() {
    let operator = operator();
    let one = make_key(&operator, "one");
    let two = make_key(&operator, "two");
    let both = fs::read_to_string(&two).unwrap() + "# nothing\n";
    let home = operator.path("else/where/bob");
    let add = || {
        let command = ["user", "add", "bob", "--home", "else/../else/where/bob"];
        let keys = ["--key", one.to_str().unwrap(), "--key", "-"];
        operator.run_with(both.clone(), &[&command[..], &keys[..]].concat())
    };
    add().refused();
    fs::create_dir(operator.path("else")).unwrap();
    add().accepted();
    assert_eq!(mode(&home), 0o700);
    let shown = operator.json(&["user", "show", "bob"]);
    assert_eq!(
        (&shown["home"], &shown["password"]),
        (&json!(home), &json!(false))
    );
    let comments: Vec<_> = shown["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["comment"].clone())
        .collect();
    assert_eq!(comments.len(), 2);
    assert!(
        comments.contains(&json!("one of a test")) && comments.contains(&json!("two of a test"))
    );
    let told = Command::new("ssh-keygen")
        .arg("-lf")
        .arg(&one)
        .output()
        .unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    let fingerprint = told.split(' ').nth(1).unwrap().to_owned();
    assert!(operator.fingerprints("bob").contains(&fingerprint));
}

#[test]
fn what_add_refuses_leaves_nothing_behind() {
    let operator = operator();
    operator.add("ann");
    fs::write(operator.path("file"), "").unwrap();
    fs::write(
        operator.path("bad.pub"),
        "command=\"ls\" ssh-ed25519 AAAA\n",
    )
    .unwrap();
    symlink(operator.path("data/homes/ann"), operator.path("link")).unwrap();
    symlink(
        operator.path("elsewhere"),
        operator.path("data/homes/linked"),
    )
    .unwrap();
    let data = operator.path("data");
    let (data, parent) = (data.to_str().unwrap().to_owned(), operator.path(""));
    let parent = parent.to_str().unwrap().to_owned();
    let before = (operator.names("."), operator.names("data/homes"));
    for (arguments, text) in [
        (vec!["ann"], "user ann already exists"),
        (vec!["../up"], "a user name has 1 to 64 letters"),
        (vec![".."], "a user name has"),
        (vec![""], "a user name has"),
        (vec!["a b"], "a user name has"),
        (
            vec!["bob", "--home", "data/homes/ann"],
            "overlaps the home of ann",
        ),
        (
            vec!["bob", "--home", "data/homes/ann/inner"],
            "overlaps the home of ann",
        ),
        (
            vec!["bob", "--home", "link/inner"],
            "overlaps the home of ann",
        ),
        (
            vec!["bob", "--home", "data/homes"],
            "it would contain the homes of others",
        ),
        (
            vec!["bob", "--home", "data/other"],
            "homes inside the data folder belong in",
        ),
        (
            vec!["bob", "--home", &data],
            "it would contain the database",
        ),
        (
            vec!["bob", "--home", &parent],
            "it would contain the database",
        ),
        (vec!["bob", "--home", "/"], "it would contain the database"),
        (
            vec!["bob", "--home", "keys"],
            "it would contain the host keys",
        ),
        (vec!["bob", "--home", "keys/bob"], "host keys"),
        (vec!["bob", "--home", "file"], "is not a folder"),
        (vec!["bob", "--home", "file/bob"], "Not a directory"),
        (vec!["bob", "--home", "a\nb"], "control characters"),
        (vec!["linked"], "is a broken link"),
        (
            vec!["bob", "--key", "bad.pub"],
            "\"command\" is not supported",
        ),
        (
            vec!["bob", "--key", "missing.pub"],
            "cannot read missing.pub: No such file",
        ),
        (vec!["bob", "--key", "."], "cannot read ."),
    ] {
        let refused = operator
            .run(&[&["user", "add", "--no-password"], arguments.as_slice()].concat())
            .refused();
        assert!(
            refused.starts_with("landfall: ") && refused.contains(text),
            "{text}\n{refused}"
        );
        // The second one names the config and the data.
        assert_eq!(refused.lines().count(), 2, "{refused}");
    }
    for (input, text) in [
        (String::new(), "empty"),
        ("\n".into(), "empty"),
        ("one\ntwo\n".into(), "line break"),
        ("nul\0\n".into(), "NUL"),
        ("x".repeat(1025) + "\n", "longer than 1024"),
        ("x".repeat(100_000), "longer than 1024"),
    ] {
        let refused = operator
            .run_with(input, &["user", "add", "bob", "--password-stdin"])
            .refused();
        assert!(refused.contains(text), "{text}\n{refused}");
    }
    let refused = operator
        .run_with(b"\xff\xfe\n", &["user", "add", "bob", "--password-stdin"])
        .refused();
    assert!(refused.contains("UTF-8"), "{refused}");
    let refused = operator.run(&["user", "add", "bob"]).refused();
    assert!(
        refused.contains("--password-stdin") && refused.contains("--no-password"),
        "{refused}"
    );
    let refused = operator
        .run(&["user", "add", "bob", "--key", "-", "--password-stdin"])
        .refused();
    assert!(refused.contains("only one"), "{refused}");
    assert_eq!(operator.users(), ["ann"]);
    assert_eq!((operator.names("."), operator.names("data/homes")), before);
}

#[test]
fn a_password_never_stands_in_an_argument() {
    let operator = operator();
    for arguments in [
        vec!["user", "add", "ann", "--password", "secret"],
        vec!["user", "add", "ann", "secret"],
        vec!["user", "passwd", "ann", "secret"],
        vec!["user", "add", "ann", "--password-stdin", "--no-password"],
        vec!["user", "set", "ann"],
        vec!["user"],
        vec![],
        vec!["frobnicate"],
    ] {
        assert_eq!(
            operator.run(&arguments).status.code(),
            Some(2),
            "{arguments:?}"
        );
    }
    assert_eq!(operator.names("."), ["config.toml"]);
}

#[test]
fn set_gives_another_home_and_leaves_the_files() {
    let operator = operator();
    operator.add("ann");
    operator.add("bob");
    fs::write(operator.path("data/homes/ann/file"), "kept").unwrap();
    let new = operator.path("new");
    let said = operator
        .run(&["user", "set", "ann", "--home", "new"])
        .accepted();
    assert!(
        said.contains(new.to_str().unwrap()) && said.contains("stay there"),
        "{said}"
    );
    assert_eq!(mode(&new), 0o700);
    assert_eq!(operator.json(&["user", "show", "ann"])["home"], json!(new));
    assert_eq!(
        fs::read(operator.path("data/homes/ann/file")).unwrap(),
        b"kept"
    );
    for home in ["data/homes/bob", "data/homes/bob/x", "data", "keys"] {
        operator
            .run(&["user", "set", "ann", "--home", home])
            .refused();
    }
    operator
        .run(&["user", "set", "bob", "--home", "new/inner"])
        .refused();
    let refused = operator
        .run(&["user", "set", "eve", "--home", "eve"])
        .refused();
    assert!(refused.contains("no user eve"), "{refused}");
    assert_eq!(operator.json(&["user", "show", "ann"])["home"], json!(new));
    assert!(!operator.path("eve").exists() && !new.join("inner").exists());
    // Back to its own folder: that one moves along with the data.
    operator
        .run(&["user", "set", "ann", "--home", "data/homes/ann"])
        .accepted();
    let moved = Operator::with_config(CHEAP);
    fs::rename(operator.path("data"), moved.path("data")).unwrap();
    let home = moved.path("data/homes/ann");
    assert_eq!(moved.json(&["user", "show", "ann"])["home"], json!(home));
}

#[test]
fn rm_keeps_the_files_unless_told_otherwise() {
    let operator = operator();
    for name in ["ann", "bob", "eve"] {
        operator.add(name);
        fs::write(operator.path("data/homes").join(name).join("file"), "kept").unwrap();
    }
    let refused = operator
        .run(&["user", "rm", "ann", "--delete-home"])
        .refused();
    assert!(refused.contains("--yes"), "{refused}");
    assert_eq!(operator.users(), ["ann", "bob", "eve"]);
    let said = operator.run(&["user", "rm", "ann"]).accepted();
    assert!(
        said.contains(operator.path("data/homes/ann").to_str().unwrap()),
        "{said}"
    );
    assert_eq!(operator.users(), ["bob", "eve"]);
    assert_eq!(
        fs::read(operator.path("data/homes/ann/file")).unwrap(),
        b"kept"
    );
    let refused = operator.run(&["user", "rm", "ann"]).refused();
    assert!(refused.contains("no user ann"), "{refused}");

    let outside = operator.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "kept").unwrap();
    symlink(&outside, operator.path("data/homes/bob/link")).unwrap();
    fs::create_dir(operator.path("data/homes/bob/folder")).unwrap();
    operator
        .run(&["user", "rm", "bob", "--yes", "--delete-home"])
        .accepted();
    assert_eq!(operator.names("data/homes"), ["ann", "eve"]);
    assert_eq!(
        fs::read(outside.join("file")).unwrap(),
        b"kept",
        "a link was followed"
    );

    // A home that was moved aside and linked to is not deleted, and its user not removed.
    fs::rename(operator.path("data/homes/eve"), operator.path("aside")).unwrap();
    symlink(operator.path("aside"), operator.path("data/homes/eve")).unwrap();
    let refused = operator
        .run(&["user", "rm", "eve", "--yes", "--delete-home"])
        .refused();
    assert!(refused.contains("link"), "{refused}");
    assert_eq!(operator.users(), ["eve"]);
    assert_eq!(fs::read(operator.path("aside/file")).unwrap(), b"kept");
}

#[test]
fn passwd_sets_and_takes_away_a_password() {
    let operator = operator();
    operator.add("ann");
    assert!(!operator.has_password("ann"));
    operator
        .run_with(
            "the first\n",
            &["user", "passwd", "ann", "--password-stdin"],
        )
        .accepted();
    assert!(operator.has_password("ann"));
    operator
        .run_with("the second", &["user", "passwd", "ann", "--password-stdin"])
        .accepted();
    operator.run(&["user", "passwd", "ann"]).refused();
    operator
        .run_with("\n", &["user", "passwd", "ann", "--password-stdin"])
        .refused();
    assert!(operator.has_password("ann"));
    operator
        .run(&["user", "passwd", "ann", "--no-password"])
        .ok();
    assert!(!operator.has_password("ann"));
    let refused = operator
        .run_with("x\n", &["user", "passwd", "bob", "--password-stdin"])
        .refused();
    assert!(refused.contains("no user bob"), "{refused}");
}

/// The first of them makes the database; none may see it half made, or lose what another wrote.
#[test]
fn twenty_users_can_be_added_at_the_same_time() {
    let operator = operator();
    let names: Vec<_> = (10..30).map(|number| format!("user{number}")).collect();
    let start =
        |name: &str| Running::start(&mut operator.command(&["user", "add", name, "--no-password"]));
    let running: Vec<_> = names.iter().map(|name| start(name)).collect();
    for running in running {
        running.wait(STEP).accepted();
    }
    assert_eq!(operator.users(), names);
    assert_eq!(operator.names("data/homes"), names);

    // Of twenty that want the same name, one gets it.
    let running: Vec<_> = (0..20).map(|_| start("same")).collect();
    let (added, refused): (Vec<Output>, Vec<Output>) = running
        .into_iter()
        .map(|running| running.wait(STEP))
        .partition(|said| said.status.success());
    assert_eq!((added.len(), refused.len()), (1, 19));
    for said in refused {
        assert!(said.refused().contains("already"));
    }
}
