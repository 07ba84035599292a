//! Draws the view. It fits any terminal size: whatever has no room is omitted.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Cell, Paragraph, Row as TableRow, Table, TableState};

use super::model::{Both, ShownAccount, TopRow, View};
use crate::control::{ActiveTransfer, FailedLoginEntry, OpenSession};
use crate::operator::output::{transferred_file, visible};
use crate::values::units::show_rounded;

/// Maximum number of rows for accounts, and for failed logins.
const PANEL: usize = 5;
/// Below this height, only sessions are shown.
const ROOM_FOR_PANELS: u16 = 18;
const BAR: usize = 12;

pub(super) fn all(frame: &mut Frame<'_>, view: &View) {
    let area = frame.area();
    let with_panels = area.height >= ROOM_FOR_PANELS;
    let panel = |lines: usize| {
        let lines = if with_panels { lines.min(PANEL) + 1 } else { 0 };
        Constraint::Length(u16::try_from(lines).unwrap_or(0))
    };
    let [head, sessions, accounts, failed, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(1),
        panel(view.accounts().len()),
        panel(view.failed().len()),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(head_line(view), head);
    draw_sessions(frame, view, sessions);
    if with_panels {
        draw_accounts(frame, view, accounts);
        draw_failed(frame, view, failed);
    }
    frame.render_widget(foot_line(view), foot);
}

fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

fn speed(bytes: u64) -> String {
    format!("{}/s", show_rounded(bytes))
}

fn head_line(view: &View) -> Paragraph<'static> {
    if let Some(why) = view.lost() {
        let text = format!("landfall   reconnecting: {}", visible(why));
        return Paragraph::new(Line::styled(text, bold().fg(Color::Red)));
    }
    let rows = view.rows().len();
    let Both { up, down } = view.speed();
    let (up, down) = (speed(up), speed(down));
    let sessions = if rows == 1 { "session" } else { "sessions" };
    let text = format!("landfall   {rows} {sessions}   up {up}   down {down}");
    Paragraph::new(Line::styled(text, bold()))
}

fn foot_line(view: &View) -> Paragraph<'static> {
    if let Some(OpenSession { id, user, peer, .. }) = view.asked_to_kill() {
        let question = format!("Close session {id} of {user} from {peer}? y/n");
        return Paragraph::new(Line::styled(question, bold().fg(Color::Red)));
    }
    let filter = visible(view.filter());
    let text = if view.is_typing() {
        format!("/{filter}_   Enter: done   Esc: no filter")
    } else {
        let sort = view.order().name();
        let shown = match filter.as_str() {
            "" => "/ filter".to_owned(),
            filter => format!("/{filter} (Esc: all)"),
        };
        format!("q quit   s sort: {sort}   {shown}   up/down choose   k kill")
    };
    Paragraph::new(text)
}

fn draw_sessions(frame: &mut Frame<'_>, view: &View, area: Rect) {
    // On a narrow terminal the least important columns are dropped first.
    let is_wide = area.width >= 120;
    let is_narrow = area.width < 60;
    let rows = view.rows();
    let longest = |text: fn(&OpenSession) -> usize| {
        let lengths = rows.iter().map(|row| text(&row.session));
        lengths.max().unwrap_or_default()
    };
    let user = longest(|session| length(&session.user));
    let peer = longest(|session| length(&session.peer));
    let client = longest(|session| length(software(session)));
    let done = if is_narrow { 4 } else { BAR + 5 };
    // Minimum and wanted width; FILE takes the rest.
    let mut columns = vec![("ID", 4, 4), ("USER", 9, user)];
    if !is_narrow {
        columns.push(("FROM", 21, peer));
    }
    if is_wide {
        columns.extend([("CLIENT", 16, client), ("SINCE", 8, 8)]);
    }
    let before_file = columns.len();
    let path = if is_narrow { 8 } else { 20 };
    columns.extend([
        ("FILE", path, path),
        ("DONE", done, done),
        ("SPEED", 11, 11),
    ]);
    let titles = columns.iter().map(|(title, ..)| *title);
    let titles = TableRow::new(titles).style(bold());
    let mut widths = fit(&columns, area.width);
    if let Some(file) = widths.get_mut(before_file) {
        *file = Constraint::Min(8);
    }
    let rows = rows.iter().map(|row| {
        let TopRow {
            session,
            speed: both,
        } = row;
        // The newest file is the most telling.
        let transfer = session.transfers.last();
        let mut cells = vec![session.id.to_string(), session.user.clone()];
        if !is_narrow {
            cells.push(session.peer.clone());
        }
        if is_wide {
            // The time of day is enough.
            let time = session.since.get(11..19).unwrap_or(&session.since);
            cells.extend([visible(software(session)), time.to_owned()]);
        }
        cells.extend([
            transfer.map_or_else(String::new, transferred_file),
            transfer.map_or_else(String::new, |transfer| progress(transfer, is_narrow)),
            speed(both.sum()),
        ]);
        TableRow::new(cells.into_iter().map(Cell::from))
    });
    let table = Table::new(rows, widths)
        .header(titles)
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut state = TableState::new().with_selected(view.choice());
    frame.render_stateful_widget(table, area, &mut state);
}

/// Returns the client's identification.
fn software(session: &OpenSession) -> &str {
    session.client.trim_start_matches("SSH-2.0-")
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// Returns the widths of columns, each with a title, its minimum and its preferred width: space beyond the
/// minimum goes to the first columns that prefer more.
fn fit(columns: &[(&str, usize, usize)], room: u16) -> Vec<Constraint> {
    let between = columns.len().saturating_sub(1);
    let least = columns.iter().map(|(_, least, _)| least).sum::<usize>();
    let mut left = usize::from(room).saturating_sub(least + between);
    let width = |(_, least, wanted): &(&str, usize, usize)| {
        let more = wanted.saturating_sub(*least).min(left);
        left -= more;
        Constraint::Length(u16::try_from(least + more).unwrap_or(u16::MAX))
    };
    columns.iter().map(width).collect()
}

fn progress(transfer: &ActiveTransfer, is_narrow: bool) -> String {
    match transfer.percent() {
        Some(percent) if is_narrow => format!("{percent}%"),
        Some(percent) => format!("{} {percent:>3}%", bar(percent)),
        None if is_narrow => String::new(),
        None => show_rounded(transfer.reached()),
    }
}

fn bar(percent: u64) -> String {
    let full = usize::try_from(percent).unwrap_or(100).min(100) * BAR / 100;
    "█".repeat(full) + &"░".repeat(BAR - full)
}

fn draw_accounts(frame: &mut Frame<'_>, view: &View, area: Rect) {
    let mut accounts: Vec<_> = view.accounts().iter().collect();
    accounts.sort_by_key(|(name, account)| (std::cmp::Reverse(account.speed.sum()), *name));
    let rows = accounts.into_iter().take(PANEL).map(|(name, account)| {
        let Both { up, down } = account.speed;
        let cells = [
            name.clone(),
            account.sessions.to_string(),
            speed(up),
            speed(down),
            quota(account),
        ];
        TableRow::new(cells.map(Cell::from))
    });
    let name = view.accounts().keys().map(|name| length(name)).max();
    let columns = [
        ("ACCOUNT", 10, name.unwrap_or_default()),
        ("SESSIONS", 8, 8),
        ("UP", 11, 11),
        ("DOWN", 11, 11),
        ("QUOTA", BAR + 18, 60),
    ];
    frame.render_widget(table(&columns, rows, area.width), area);
}

fn quota(account: &ShownAccount) -> String {
    let Some(home) = &account.home else {
        return String::new();
    };
    let used = home
        .used
        .map_or_else(|| "being counted".to_owned(), show_rounded);
    match (home.used, home.quota) {
        (Some(bytes), Some(quota)) => {
            let percent = u128::from(bytes) * 100 / u128::from(quota.max(1));
            let percent = u64::try_from(percent).unwrap_or(u64::MAX).min(999);
            format!("{} {percent:>3}% of {}", bar(percent), show_rounded(quota))
        }
        _ => used,
    }
}

fn draw_failed(frame: &mut Frame<'_>, view: &View, area: Rect) {
    let failed = view.failed().iter().take(PANEL);
    let rows = failed.map(|failed| {
        let time = failed.at.get(11..19).unwrap_or(&failed.at);
        let cells = [
            time.to_owned(),
            visible(&failed.user),
            failed.peer.clone(),
            failed.method.clone(),
            visible(&failed.reason),
        ];
        TableRow::new(cells.map(Cell::from))
    });
    let longest = |text: fn(&FailedLoginEntry) -> &str| {
        let shown = view.failed().iter().take(PANEL);
        shown.map(|failed| length(text(failed))).max().unwrap_or(0)
    };
    let columns = [
        ("FAILED LOGINS", 13, 13),
        ("NAME", 8, longest(|failed| &failed.user)),
        ("FROM", 15, longest(|failed| &failed.peer)),
        ("BY", 9, longest(|failed| &failed.method)),
        ("WHY", 20, longest(|failed| &failed.reason)),
    ];
    frame.render_widget(table(&columns, rows, area.width), area);
}

fn table<'a>(
    columns: &[(&'a str, usize, usize)],
    rows: impl Iterator<Item = TableRow<'a>>,
    width: u16,
) -> Table<'a> {
    let titles = columns.iter().map(|(title, ..)| *title);
    Table::new(rows, fit(columns, width)).header(TableRow::new(titles).style(bold()))
}
