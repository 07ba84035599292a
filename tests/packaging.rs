//! What is installed beside the program: completions, manual pages, the Debian package.

use std::fs;
use std::process::Command;

use crate::common::operator::Operator;
use crate::common::{STEP, TRANSFER, have, run_ok};

#[test]
fn bash_completes_the_commands() {
    let operator = Operator::new();
    let script = operator.run(&["completions", "bash"]).accepted();
    fs::write(operator.path("script"), script).unwrap();
    // What readline does when somebody presses Tab.
    let words = |line: &str| {
        let ask = format!(
            "source ./script\nCOMP_WORDS=({line} '')\nCOMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n\
             _landfall landfall '' ''\necho \"${{COMPREPLY[@]}}\""
        );
        let answer = run_ok(
            Command::new("bash")
                .args(["--norc", "-c", &ask])
                .current_dir(operator.path("")),
            STEP,
        );
        answer.out()
    };
    for command in ["serve", "check", "user", "quota", "session"] {
        assert!(words("landfall").contains(command), "{}", words("landfall"));
    }
    assert!(words("landfall user add").contains("--quota"));
    for shell in ["zsh", "fish"] {
        let script = operator.run(&["completions", shell]).accepted();
        assert!(script.contains("max-files"), "{shell}");
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let operator = Operator::new();
    operator.run(&["man", "pages"]).accepted();
    let mut found = 0;
    for page in fs::read_dir(operator.path("pages")).unwrap() {
        let page = page.unwrap().path();
        let name = page.file_stem().unwrap().to_str().unwrap().to_owned();
        // One command has a hyphen of its own.
        let spaced = name.replace("hash-password", "hash_password");
        let words: Vec<String> = spaced
            .split('-')
            .skip(1)
            .map(|word| word.replace('_', "-"))
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let help = operator.run(&[&words[..], &["--help"]].concat()).accepted();
        let shown = run_ok(
            Command::new("man").args(["-l", "-P", "cat"]).arg(&page),
            STEP,
        );
        let summary = help.lines().next().unwrap();
        let first: Vec<&str> = summary.split_whitespace().take(4).collect();
        let text = shown.out().split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(&first.join(" ")), "{name}: {summary}\n{text}");
        found += 1;
    }
    assert!(found > 10, "{found}");
}

#[test]
fn a_debian_package_can_be_made() {
    if !have(&["dpkg-deb"]) {
        return;
    }
    let operator = Operator::new();
    let made = run_ok(
        Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/deb"))
            .args(["--program", env!("CARGO_BIN_EXE_landfall")])
            .arg(operator.path("")),
        TRANSFER,
    );
    let file = made.out().trim().to_owned();
    let list = run_ok(Command::new("dpkg-deb").args(["--contents", &file]), STEP).out();
    for path in [
        "./usr/bin/landfall",
        "./etc/landfall/config.toml",
        "./usr/lib/systemd/system/landfall.service",
        "./usr/share/man/man1/landfall-user-add.1.gz",
        "./usr/share/bash-completion/completions/landfall",
        "./usr/share/doc/landfall/operations.md",
    ] {
        assert!(list.contains(path), "{path}\n{list}");
    }
    // Its config is valid, and its program runs.
    let root = operator.path("root");
    run_ok(
        Command::new("dpkg-deb")
            .args(["--extract", &file])
            .arg(&root),
        STEP,
    );
    let config = fs::read_to_string(root.join("etc/landfall/config.toml")).unwrap();
    assert!(config.contains("data = \"/var/lib/landfall\""));
    run_ok(
        Command::new(root.join("usr/bin/landfall"))
            .args(["check", "--config"])
            .arg(root.join("etc/landfall/config.toml")),
        STEP,
    );
}
