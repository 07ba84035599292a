//! Output for people and for programs: tables, and text that cannot control a terminal.

use std::io::{self, IsTerminal as _};

use ratatui::crossterm::terminal;

use crate::control::ActiveTransfer;
use crate::observe::outcome::Direction;

pub(super) use crate::io::standard_streams::{complain, print};

/// Returns whether a terminal interprets the character: a control character (C0, DEL, C1), a line
/// separator, or one that changes the direction of the text around it (bidi).
fn steers(c: char) -> bool {
    let is_bidi = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    is_bidi || c.is_control()
}

/// Replaces everything in a text of unknown origin that a terminal would interpret.
pub(crate) fn visible(text: &str) -> String {
    let shown = |c: char| {
        if steers(c) {
            char::REPLACEMENT_CHARACTER
        } else {
            c
        }
    };
    text.chars().map(shown).collect()
}

/// Escapes everything in JSON that a terminal would interpret. JSON itself escapes C0 in texts, and has line ends
/// between them.
pub(super) fn visible_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        if steers(c) && !('\0'..' ').contains(&c) {
            shown.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Returns the direction and path of a transfer, for a table.
pub(super) fn transferred_file(transfer: &ActiveTransfer) -> String {
    let direction = match transfer.direction {
        Direction::Upload => "up",
        Direction::Download => "down",
    };
    format!("{direction} {}", visible(&transfer.path))
}

/// Formats rows in aligned columns, two spaces apart.
pub(super) fn table<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let all: Vec<usize> = (0..COLUMNS).collect();
    let widths = widths(rows);
    let lines = rows.iter().map(|row| aligned(row, &widths, &all) + "\n");
    lines.collect()
}

/// Returns the width of the longest cell of each column, in characters.
fn widths<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> [usize; COLUMNS] {
    let mut widths = [0; COLUMNS];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    widths
}

/// Formats the shown columns of a row as one line.
fn aligned(row: &[String], widths: &[usize], shown: &[usize]) -> String {
    let mut line = String::new();
    for at in shown {
        if let (Some(cell), Some(width)) = (row.get(*at), widths.get(*at)) {
            line.push_str(&format!("{cell:<width$}  "));
        }
    }
    line.trim_end().to_owned()
}

/// Returns the width of the terminal on standard output; `None` if it is not one.
pub(super) fn terminal_width() -> Option<usize> {
    let size = io::stdout().is_terminal().then(terminal::size)?;
    // A terminal of unknown width reports 0.
    let width = size.ok().map(|(columns, _)| usize::from(columns));
    width.filter(|width| *width > 0)
}

/// A column of a table that fits a terminal.
pub(super) struct Column {
    pub(super) title: &'static str,
    /// Where there is no room, the column with the highest rank is dropped first.
    pub(super) rank: usize,
}

/// Formats rows with titles in aligned columns. With a width, columns and cell ends without room are
/// omitted, and a last line names the omitted columns.
pub(super) fn fitted<const COLUMNS: usize>(
    columns: &[Column; COLUMNS],
    rows: &[[String; COLUMNS]],
    width: Option<usize>,
) -> String {
    let mut all = vec![columns.each_ref().map(|column| column.title.to_owned())];
    all.extend_from_slice(rows);
    let Some(width) = width else {
        return table(&all);
    };
    let mut shown: Vec<usize> = (0..COLUMNS).collect();
    let widths = widths(&all);
    let mut missing = Vec::new();
    loop {
        let sum: usize = shown.iter().filter_map(|at| widths.get(*at)).sum();
        let between = 2 * shown.len().saturating_sub(1);
        let rank = |at: &usize| columns.get(*at).map(|column| column.rank);
        match shown.iter().copied().max_by_key(rank) {
            Some(last) if sum + between > width && shown.len() > 1 => {
                shown.retain(|at| *at != last);
                missing.push(last);
            }
            _ => break,
        }
    }
    let lines = all.iter().map(|row| aligned(row, &widths, &shown));
    let mut text: String = lines.map(|line| cut(&line, width) + "\n").collect();
    if !missing.is_empty() {
        missing.sort_unstable();
        let titles = missing.iter().filter_map(|at| columns.get(*at));
        let titles: Vec<_> = titles.map(|column| column.title).collect();
        text.push_str(&format!("No room for: {}\n", titles.join(", ")));
    }
    text
}

fn cut(line: &str, width: usize) -> String {
    if line.chars().count() <= width {
        return line.to_owned();
    }
    let kept = line.chars().take(width.saturating_sub(1));
    kept.chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_without_room_are_left_out_by_their_rank() {
        let columns = [("NAME", 0), ("PATH", 2), ("SIZE", 1)];
        let columns = columns.map(|(title, rank)| Column { title, rank });
        let rows = [["ann", "/a/long/path", "12"], ["ångström", "/", "1"]];
        let rows = rows.map(|row| row.map(str::to_owned));
        let at = |width| fitted(&columns, &rows, width);
        let all =
            "NAME      PATH          SIZE\nann       /a/long/path  12\nångström  /             1\n";
        assert_eq!(at(None), all);
        assert_eq!(at(Some(28)), all);
        assert_eq!(
            at(Some(27)),
            "NAME      SIZE\nann       12\nångström  1\nNo room for: PATH\n"
        );
        assert_eq!(at(Some(5)), "NAME\nann\nångs…\nNo room for: PATH, SIZE\n");
    }

    #[test]
    fn no_text_steers_a_terminal() {
        let text = "caf\u{e9} \u{1b}[2J\u{7f}\u{9b}1m\u{202e}fdp\u{2066}\u{200f}\u{61c}\u{2028}";
        assert_eq!(
            visible(text),
            "caf\u{e9} \u{fffd}[2J\u{fffd}\u{fffd}1m\u{fffd}fdp\u{fffd}\u{fffd}\u{fffd}\u{fffd}"
        );
        let json = serde_json::to_string_pretty(&[text]).unwrap_or_default();
        let shown = visible_json(&json);
        assert!(shown.contains(
            "caf\u{e9} \\u001b[2J\\u007f\\u009b1m\\u202efdp\\u2066\\u200f\\u061c\\u2028"
        ));
        assert!(shown.chars().all(|c| c == '\n' || !steers(c)));
        let again: Vec<String> = serde_json::from_str(&shown).unwrap_or_default();
        assert_eq!(again, [text]);
    }

    #[test]
    fn columns_are_aligned_and_lines_end_without_spaces() {
        let rows =
            [["NAME", "HOME"], ["li", "/x"], ["ångström", ""]].map(|row| row.map(str::to_owned));
        assert_eq!(table(&rows), "NAME      HOME\nli        /x\nångström\n");
    }
}
