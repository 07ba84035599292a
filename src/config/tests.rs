//! The shipped config.toml, and the messages about faulty ones.

use super::Config;
use super::table::KEYS;
use super::users::{self, USER_KEYS};

const SHIPPED: &str = include_str!("../../config.toml");

fn faults(text: &str) -> Vec<String> {
    let folder = std::env::temp_dir();
    match Config::parse("c.toml".to_owned(), text, &folder) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.to_string().lines().map(str::to_owned).collect(),
    }
}

#[test]
fn the_shipped_config_holds_every_key_with_its_default_and_its_comment() {
    let mut expected = String::new();
    let mut section = "";
    for key in KEYS {
        if key.section != section {
            section = key.section;
            expected.push_str(&format!("\n[{section}]\n"));
        }
        expected.push_str(&format!("# {}\n{} = {}\n", key.doc, key.name, key.default));
    }
    expected.push_str(users::EXAMPLE_HEAD);
    for key in USER_KEYS {
        expected.push_str(&format!(
            "# # {}\n# {} = {}\n",
            key.doc, key.name, key.example
        ));
    }
    let (_, keys) = SHIPPED.split_at(SHIPPED.find("\n[").unwrap());
    assert_eq!(keys, expected);
    assert_eq!(faults(SHIPPED), [""; 0]);
}

#[test]
fn all_faults_are_told_at_once_each_with_its_place() {
    let text = "[server]\nlisten = [\"127.0.0.1\"]\nlisen = 1\n\n[login]\nmax_attempts = 0\nargon2_memory = \"1KiB\"\n[sftp]\numask = 22\n[nonsense]\nx = 1\n";
    let faults = faults(text);
    let starts = [
        "c.toml:2:11: ",
        "c.toml:3:1: ",
        "c.toml:6:16: ",
        "c.toml:7:17: ",
        "c.toml:9:9: ",
        "c.toml:10:2: ",
    ];
    assert_eq!(faults.len(), starts.len(), "{faults:#?}");
    for (fault, start) in faults.iter().zip(starts) {
        assert!(fault.starts_with(start), "{fault} at {start}");
    }
    assert!(
        faults.iter().any(|f| f.contains("did you mean listen?")),
        "{faults:#?}"
    );
}

#[test]
fn a_syntax_error_does_not_hide_the_other_faults() {
    let faults = faults("[server]\nshards = = 3\n[sftp]\nmax_handles = 0\n");
    assert_eq!(faults.len(), 2, "{faults:#?}");
    assert!(faults[0].starts_with("c.toml:2:"), "{faults:#?}");
    assert!(
        faults[1].starts_with("c.toml:4:15: max_handles"),
        "{faults:#?}"
    );
}

#[test]
fn rules_about_several_keys_are_checked() {
    let lanes = faults("[login]\nargon2_lanes = 4\n");
    assert_eq!(lanes.len(), 1, "{lanes:#?}");
    assert!(
        lanes[0].starts_with("c.toml:2:16: argon2_memory must be at least 8MiB"),
        "{lanes:#?}"
    );
    let memory = faults("[login]\nargon2_memory = \"1GiB\"\nparallel_hashes = 5\n");
    assert!(
        memory[0].contains("at most 4 parallel_hashes"),
        "{memory:#?}"
    );
}

#[test]
fn paths_come_out_absolute() {
    let folder = std::env::temp_dir();
    let config = Config::parse("c".into(), "[server]\ndata = \"d\"\n", &folder).unwrap();
    assert_eq!(config.server.data, folder.join("d"));
    assert_eq!(config.server.keys, folder.join("keys"));
}
