//! Draws the view. Everything fits into any size: what there is no room for is left out.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Cell, Paragraph, Row as TableRow, Table, TableState};

use super::model::{Account, Both, Row, View};
use crate::admin::control::{Moving, Way};
use crate::admin::visible;
use crate::units::show_rounded;

/// Rows that the accounts and the failed logins have, at most.
const PANEL: usize = 5;
/// Below this height there is only room for the sessions.
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
    let rows = view.rows().len();
    let Both { up, down } = view.speed();
    let (up, down) = (speed(up), speed(down));
    let sessions = if rows == 1 { "session" } else { "sessions" };
    let text = format!("landfall   {rows} {sessions}   up {up}   down {down}");
    Paragraph::new(Line::styled(text, bold()))
}

fn foot_line(view: &View) -> Paragraph<'static> {
    if let Some(id) = view.asked_to_kill() {
        let question = format!("End session {id}? y/n");
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
    // On a narrow terminal what says least goes first.
    let is_wide = area.width >= 120;
    let is_narrow = area.width < 60;
    let mut titles = vec!["ID", "USER"];
    let names = view.rows();
    let names = names.iter().map(|row| row.session.user.chars().count());
    let longest = if is_narrow { 9 } else { 20 };
    let name = names.max().unwrap_or_default().clamp(4, longest);
    let name = u16::try_from(name).unwrap_or(4);
    let mut widths = vec![Constraint::Length(4), Constraint::Length(name)];
    if !is_narrow {
        titles.push("FROM");
        widths.push(Constraint::Length(21));
    }
    if is_wide {
        titles.extend(["CLIENT", "SINCE"]);
        widths.extend([Constraint::Length(16), Constraint::Length(8)]);
    }
    titles.extend(["FILE", "DONE", "SPEED"]);
    widths.push(Constraint::Min(8));
    let done = if is_narrow { 4 } else { BAR + 5 };
    widths.push(Constraint::Length(u16::try_from(done).unwrap_or(4)));
    widths.push(Constraint::Length(11));
    let rows = view.rows();
    let rows = rows.iter().map(|row| {
        let Row {
            session,
            speed: both,
        } = row;
        // The newest file says best what goes on.
        let moving = session.transfers.last();
        let mut cells = vec![session.id.to_string(), session.user.clone()];
        if !is_narrow {
            cells.push(session.peer.clone());
        }
        if is_wide {
            let client = session.client.trim_start_matches("SSH-2.0-");
            // The time of day is enough beside the other ones.
            let time = session.since.get(11..19).unwrap_or(&session.since);
            cells.extend([visible(client), time.to_owned()]);
        }
        cells.extend([
            moving.map_or_else(String::new, file),
            moving.map_or_else(String::new, |moving| progress(moving, is_narrow)),
            speed(both.sum()),
        ]);
        TableRow::new(cells.into_iter().map(Cell::from))
    });
    let table = Table::new(rows, widths)
        .header(TableRow::new(titles).style(bold()))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut state = TableState::new().with_selected(view.choice());
    frame.render_stateful_widget(table, area, &mut state);
}

fn file(moving: &Moving) -> String {
    let way = match moving.direction {
        Way::Upload => "up",
        Way::Download => "down",
    };
    format!("{way} {}", visible(&moving.path))
}

fn progress(moving: &Moving, is_narrow: bool) -> String {
    match moving.percent() {
        Some(percent) if is_narrow => format!("{percent}%"),
        Some(percent) => format!("{} {percent:>3}%", bar(percent)),
        None if is_narrow => String::new(),
        None => show_rounded(moving.offset.saturating_add(moving.bytes)),
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
    let widths = [10, 8, 11, 11, 60].map(Constraint::Length);
    let titles = ["ACCOUNT", "SESSIONS", "UP", "DOWN", "QUOTA"];
    let table = Table::new(rows, widths).header(TableRow::new(titles).style(bold()));
    frame.render_widget(table, area);
}

fn quota(account: &Account) -> String {
    let Some(home) = &account.home else {
        return String::new();
    };
    let used = home.used.map_or_else(|| "?".to_owned(), show_rounded);
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
        ];
        TableRow::new(cells.map(Cell::from))
    });
    let widths = [13, 20, 28, 20].map(Constraint::Length);
    let titles = ["FAILED LOGINS", "NAME", "FROM", "BY"];
    let table = Table::new(rows, widths).header(TableRow::new(titles).style(bold()));
    frame.render_widget(table, area);
}
