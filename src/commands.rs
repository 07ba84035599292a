//! The small commands that a person can run over SSH: `ssh NAME@HOST quota`.

use crate::session::Session;
use crate::units::{show_rounded, show_size};

/// Characters of a whole bar.
const BAR: u64 = 30;

/// What can be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Prints what is used, and what may be.
    Quota,
}

impl Command {
    /// The command of this line; `None` if there is none.
    pub fn parse(line: &[u8]) -> Option<Self> {
        (line.trim_ascii() == b"quota").then_some(Self::Quota)
    }

    /// Runs it; gives what to print.
    pub fn run(self, session: &Session) -> String {
        match self {
            Self::Quota => quota(session),
        }
    }
}

fn quota(session: &Session) -> String {
    let ledger = session.ledger();
    let Some(used) = ledger.used() else {
        return "Your files are being counted; try again in a moment\n".to_owned();
    };
    let limits = ledger.limits();
    let mut text = line(
        "Space",
        (used.bytes, limits.bytes),
        &show_rounded(used.bytes),
        limits.bytes.map(show_size),
    );
    text.push_str(&line(
        "Files",
        (used.files, limits.files),
        &used.files.to_string(),
        limits.files.map(|files| files.to_string()),
    ));
    text
}

fn line(what: &str, (used, limit): (u64, Option<u64>), shown: &str, of: Option<String>) -> String {
    match (limit, of) {
        (Some(limit), Some(of)) => {
            let part = |whole: u64| {
                let part =
                    u128::from(used.min(limit)) * u128::from(whole) / u128::from(limit.max(1));
                u64::try_from(part).unwrap_or(whole)
            };
            let filled = if limit == 0 { BAR } else { part(BAR) };
            let bar: String = (0..BAR)
                .map(|at| if at < filled { '#' } else { '-' })
                .collect();
            let percent = if limit == 0 { 100 } else { part(100) };
            format!("{what}  [{bar}] {percent}%  {shown} of {of} used\n")
        }
        _ => format!("{what}  {shown} used, unlimited\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_full_at_the_limit_and_not_before() {
        let bar = |used, limit| line("Space", (used, Some(limit)), "x", Some("y".to_owned()));
        let half = format!(
            "Space  [{}{}] 50%  x of y used\n",
            "#".repeat(15),
            "-".repeat(15)
        );
        assert_eq!(bar(50, 100), half);
        assert!(bar(99, 100).contains("#-]") && bar(99, 100).contains(" 99%"));
        for full in [
            bar(100, 100),
            bar(300, 100),
            bar(0, 0),
            bar(u64::MAX, u64::MAX),
        ] {
            assert!(
                full.contains(&"#".repeat(30)) && full.contains(" 100%"),
                "{full}"
            );
        }
    }

    #[test]
    fn only_whole_commands_are_known() {
        assert_eq!(Command::parse(b" quota\n"), Some(Command::Quota));
        for other in [&b""[..], b"quota x", b"quotas", b"/usr/bin/quota"] {
            assert_eq!(Command::parse(other), None);
        }
    }
}
