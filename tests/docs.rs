//! Checks the documents: tests that they name exist, and their commands parse.

use std::fs;
use std::path::Path;

/// Reads a file of this repository.
fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns every `file.rs::function` between backticks.
fn named_tests(text: &str) -> Vec<(&str, &str)> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter_map(|name| name.split_once(".rs::")).collect()
}

fn is_there(file: &str, function: &str) -> bool {
    let source = read(&format!("tests/{file}.rs"));
    let forms = ["#[test]\nfn", "#[tokio::test]\nasync fn"];
    let mut forms = forms.iter();
    forms.any(|form| source.contains(&format!("{form} {function}() {{")))
}

#[test]
fn every_test_that_the_page_about_clients_names_is_there() {
    let page = read("docs/clients.md");
    let named = named_tests(&page);
    assert!(named.len() > 100, "{} tests are named", named.len());
    for (file, function) in named {
        assert!(is_there(file, function), "tests/{file}.rs::{function}");
    }
}

#[test]
fn every_test_that_the_pages_about_security_name_is_there() {
    for (page, least) in [("SECURITY.md", 20), ("docs/threat-model.md", 40)] {
        let page_text = read(page);
        let named = named_tests(&page_text);
        assert!(named.len() > least, "{page}: {} tests", named.len());
        for (file, function) in named {
            assert!(
                is_there(file, function),
                "{page}: tests/{file}.rs::{function}"
            );
        }
    }
}

#[test]
fn every_promise_and_every_threat_has_its_test() {
    let security = read("SECURITY.md");
    let promised = security.split("## Promises").nth(1).unwrap();
    let promised = promised.split("\n## ").next().unwrap();
    let promises: Vec<_> = promised.split("\n- **").skip(1).collect();
    assert!(promises.len() > 10, "{}", promises.len());
    for promise in promises {
        assert!(!named_tests(promise).is_empty(), "no test: {promise}");
    }
    let mut threats = 0;
    for line in read("docs/threat-model.md").lines() {
        let is_row = line.starts_with('|') && !line.starts_with("|---");
        if is_row && !line.starts_with("| attack |") {
            let test = line.trim_end_matches('|').rsplit('|').next().unwrap();
            assert!(!named_tests(test).is_empty(), "no test: {line}");
            threats += 1;
        }
    }
    assert!(threats > 30, "{threats}");
}

#[test]
fn every_feature_on_the_page_about_clients_has_its_test() {
    let page = read("docs/clients.md");
    let mut rows = 0;
    let mut in_features = false;
    for line in page.lines() {
        if !line.starts_with('|') {
            in_features = false;
        } else if line.starts_with("| feature |") {
            in_features = true;
        } else if in_features && !line.starts_with("|---") {
            let test = line.trim_end_matches('|').rsplit('|').next().unwrap();
            let has_one = !named_tests(test).is_empty() || test.contains("`tests/scp.rs`");
            assert!(has_one, "no test: {line}");
            rows += 1;
        }
    }
    assert!(rows > 100, "{rows} features");
}

/// Returns the arguments of each `landfall ...` in the code blocks of a page.
fn commands(page: &str) -> Vec<Vec<String>> {
    let blocks = page.split("```").skip(1).step_by(2);
    let lines = blocks.flat_map(str::lines).filter_map(|line| {
        let line = line.trim();
        let command = ["", "-- ", "| "].iter().find_map(|before| {
            let (front, command) = line.split_once(&format!("{before}landfall "))?;
            (!before.is_empty() || front.is_empty()).then_some(command)
        })?;
        // An explanation follows after two spaces.
        let command = command.split("  ").next()?.split(" |").next()?;
        // Text between quotes is one argument.
        let parts = command.split('"').enumerate();
        let words = parts.flat_map(|(number, part)| match number % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect(),
            _ => vec![part.to_owned()],
        });
        Some(words.collect())
    });
    lines.collect()
}

#[test]
fn every_command_on_the_pages_for_operators_is_one() {
    let mut found = 0;
    for page in [
        "README.md",
        "docs/accounts.md",
        "docs/operations.md",
        "docs/audit.md",
        "docs/metrics.md",
    ] {
        for words in commands(&read(page)) {
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_landfall"));
            // With it nothing is done, except parsing.
            let told = command.args(&words).arg("--help").output().unwrap();
            assert!(
                told.status.success(),
                "{page}: landfall {}\n{}",
                words.join(" "),
                String::from_utf8_lossy(&told.stderr)
            );
            found += 1;
        }
    }
    assert!(found > 30, "{found}");
}
