//! `quota`: usage and quota of the account.

use std::time::Duration;

use tokio::time::sleep;

use crate::quota::{Ledger, Usage};
use crate::session::Session;
use crate::values::units::show_rounded;

/// Width of a full bar, in characters.
const BAR: u64 = 30;

/// A user rather waits a little than tries again.
const COUNTING_PAUSE: Duration = Duration::from_millis(50);
const COUNTING_LOOKS: u32 = 60;

/// Formats two lines, with a bar for each limit.
pub(super) async fn quota(session: &Session) -> String {
    let ledger = session.ledger();
    let Some(used) = counted(ledger).await else {
        return "Your files are being counted; try again in a moment\n".to_owned();
    };
    let limits = ledger.limits();
    let mut text = line(
        "Space",
        (used.bytes, limits.bytes),
        &show_rounded(used.bytes),
        limits.bytes.map(show_rounded),
    );
    text.push_str(&line(
        "Files",
        (used.files, limits.files),
        &used.files.to_string(),
        limits.files.map(|files| files.to_string()),
    ));
    text
}

/// Returns the usage. The first login after a start may have to wait until the home is counted.
async fn counted(ledger: &Ledger) -> Option<Usage> {
    for _ in 0..COUNTING_LOOKS {
        if let Some(used) = ledger.used() {
            return Some(used);
        }
        sleep(COUNTING_PAUSE).await;
    }
    ledger.used()
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
}
