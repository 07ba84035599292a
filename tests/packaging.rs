//! What is installed with the program: completions, manual pages, the Debian package.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::operator::Operator;
use crate::common::{STEP, TRANSFER, have, run_ok};

#[test]
fn shells_complete_commands_options_and_names_of_users() {
    let operator = Operator::with_config("");
    operator
        .run(&["user", "add", "anna", "--no-password"])
        .accepted();
    operator
        .run(&["user", "add", "bob", "--no-password"])
        .accepted();
    let script = operator.run(&["completions", "bash"]).accepted();
    fs::write(operator.path("script"), script).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_landfall")).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    // Readline does this when a user presses Tab.
    let words = |line: &str| {
        let ask = format!(
            "source ./script\nCOMP_WORDS=({line})\nCOMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n\
             COMP_TYPE=9\n_clap_complete_landfall landfall \"${{COMP_WORDS[COMP_CWORD]}}\" ''\necho \"${{COMPREPLY[@]}}\""
        );
        let mut bash = Command::new("bash");
        bash.args(["--norc", "-c", &ask]);
        bash.env("PATH", format!("{}:{path}", program.display()));
        bash.env("LANDFALL_CONFIG", operator.path("config.toml"));
        run_ok(bash.current_dir(operator.path("")), STEP).out()
    };
    let commands = words("landfall ''");
    for command in ["serve", "check", "user", "quota", "session"] {
        assert!(commands.contains(command), "{commands}");
    }
    assert!(words("landfall user add --q").contains("--quota"));
    assert_eq!(words("landfall user show a").trim(), "anna");
    for shell in ["zsh", "fish"] {
        let script = operator.run(&["completions", shell]).accepted();
        assert!(script.contains("COMPLETE"), "{shell}: {script}");
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let operator = Operator::new();
    operator.run(&["man", "pages"]).accepted();
    let mut found = 0;
    for page in fs::read_dir(operator.path("pages")).unwrap() {
        let page = page.unwrap().path();
        if page.extension().is_some_and(|section| section == "5") {
            continue;
        }
        let name = page.file_stem().unwrap().to_str().unwrap().to_owned();
        // One command has a hyphen in its name.
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
fn the_configuration_and_the_files_have_manual_pages() {
    let operator = Operator::new();
    operator.run(&["man", "pages"]).accepted();
    let shown = |page: &str| {
        let page = operator.path("pages").join(page);
        let mut man = Command::new("man");
        man.args(["--warnings", "-l", "-P", "cat"]).arg(&page);
        let shown = run_ok(man.env("MANWIDTH", "200"), STEP);
        assert_eq!(shown.err(), "", "warnings about {}", page.display());
        shown.out()
    };
    let config = shown("landfall-config.5");
    let shipped = include_str!("../config.toml");
    for line in shipped.lines().filter(|line| !line.starts_with('#')) {
        if let Some((key, default)) = line.split_once(" = ") {
            assert!(
                config.contains(&format!("{key} = {default}")),
                "{line}\n{config}"
            );
        }
    }
    assert!(config.contains("password_hash"), "{config}");
    let files = shown("landfall-files.5");
    for word in [
        "landfall.db",
        "audit.jsonl",
        "control.sock",
        "EXIT STATUS",
        "EXAMPLES",
    ] {
        assert!(files.contains(word), "{word}\n{files}");
    }
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
        "./usr/share/doc/landfall/copyright",
        "./usr/share/doc/landfall/docs/operations.md",
        "./usr/share/doc/landfall/packaging/prometheus/rules.yml",
    ] {
        assert!(list.contains(path), "{path}\n{list}");
    }
    let config = list
        .lines()
        .find(|line| line.ends_with("/etc/landfall/config.toml"));
    assert!(config.unwrap().starts_with("-rw-r----- "), "{config:?}");
    // Its configuration is valid, and its program runs.
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
    let documents = root.join("usr/share/doc/landfall");
    assert_every_link_leads_somewhere(&documents);
    let copyright = fs::read_to_string(documents.join("copyright")).unwrap();
    assert!(
        copyright.contains("\nLicense: MIT or Apache-2.0\n"),
        "{copyright}"
    );
    assert!(
        copyright.contains("Permission is hereby granted"),
        "{copyright}"
    );
    for library in ["\n tokio v", "\n russh v", "\n sqlx v"] {
        let line = copyright
            .lines()
            .find(|line| line.starts_with(&library[1..]));
        assert!(
            line.is_some_and(|line| line.contains(" MIT") || line.contains(" Apache-2.0")),
            "{copyright}"
        );
    }
}

/// Expects that each link in the documents to another file leads to an existing file.
fn assert_every_link_leads_somewhere(documents: &Path) {
    let pages = run_ok(
        Command::new("find").arg(documents).args(["-name", "*.md"]),
        STEP,
    )
    .out();
    let mut links = 0;
    for page in pages.lines().map(Path::new) {
        let text = fs::read_to_string(page).unwrap();
        for rest in text.split("](").skip(1) {
            let link = rest.split([')', '#']).next().unwrap();
            if link.is_empty() || link.contains("://") {
                continue;
            }
            links += 1;
            assert!(
                page.parent().unwrap().join(link).exists(),
                "{}: {link}",
                page.display()
            );
        }
    }
    assert!(links > 50, "{links}");
}
