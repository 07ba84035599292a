//! Printing for people and for programs.

use std::io::{self, ErrorKind, Write as _};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Prints to the standard output, at once. Nobody reading it (`| head -1`) is no error.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(failure) if failure.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Prints a line to the standard error, if that can take it: it may be a file on a full disk. A reader
/// that does not read holds up the end of the process no longer than two seconds.
pub fn complain(text: &str) {
    const PATIENCE: Duration = Duration::from_secs(2);
    let line = text.to_owned();
    let (done, printed) = mpsc::channel();
    thread::spawn(move || {
        let _ = writeln!(io::stderr(), "{line}");
        // A caller that no longer waits does not need to know.
        let _ = done.send(());
    });
    let _ = printed.recv_timeout(PATIENCE);
}

/// What a stranger has chosen, for a terminal: nothing in it steers that.
pub(crate) fn visible(text: &str) -> String {
    let shown = |c: char| {
        if c.is_control() {
            char::REPLACEMENT_CHARACTER
        } else {
            c
        }
    };
    text.chars().map(shown).collect()
}

/// Rows in aligned columns, two spaces between them.
pub(super) fn table<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let mut widths = [0; COLUMNS];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_end_without_spaces() {
        let rows =
            [["NAME", "HOME"], ["li", "/x"], ["ångström", ""]].map(|row| row.map(str::to_owned));
        assert_eq!(table(&rows), "NAME      HOME\nli        /x\nångström\n");
    }
}
