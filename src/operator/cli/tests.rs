//! Every command has examples, and each of them parses.

use clap::{CommandFactory as _, Parser as _};

use super::Cli;

/// Returns the commands without subcommands, each with its path.
fn leaves(command: &clap::Command, path: &str) -> Vec<(String, clap::Command)> {
    let name = format!("{path} {}", command.get_name()).trim().to_owned();
    if command.get_subcommands().next().is_none() {
        return vec![(name, command.clone())];
    }
    let below = command.get_subcommands();
    below.flat_map(|command| leaves(command, &name)).collect()
}

/// Splits a line as a shell does; the examples use only quotes.
fn words(line: &str) -> Vec<String> {
    let parts = line.split('"').enumerate();
    parts
        .flat_map(|(number, part)| match number % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect(),
            _ => vec![part.to_owned()],
        })
        .collect()
}

#[test]
fn every_command_has_examples_that_can_be_typed() {
    let commands = leaves(&Cli::command(), "");
    assert!(commands.len() > 20, "{}", commands.len());
    for (name, command) in commands {
        let help = command.get_after_help().map(ToString::to_string);
        let help = help.unwrap_or_else(|| panic!("{name} has no examples"));
        let lines: Vec<_> = help.lines().filter(|line| line.starts_with("  ")).collect();
        assert!(!lines.is_empty(), "{name} has no examples");
        for line in lines {
            // The text behind a gap is a remark; the text before a pipe is another program.
            let line = line.trim_start().split("   ").next().unwrap_or_default();
            for one in line
                .split("&&")
                .map(|one| one.rsplit('|').next().unwrap_or(one))
            {
                let one = one.split('>').next().unwrap_or_default();
                let typed = words(one);
                let parsed = Cli::try_parse_from(&typed);
                assert!(parsed.is_ok(), "{name}: {one}: {parsed:?}");
            }
            let mut parts = name.split(' ');
            assert!(parts.all(|part| line.contains(part)), "{name}: {line}");
        }
    }
}
