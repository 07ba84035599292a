//! The data shown: the server's last answer, sorted and filtered. Independent of the terminal.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use crate::control::{ControlReply, FailedLoginEntry, OpenSession, UsedHome};

/// Maximum length of a filter, in characters.
const MAX_FILTER: usize = 64;

/// The sort order of sessions; the key s switches to the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Order {
    #[default]
    Speed,
    User,
    Since,
    Moved,
}

impl Order {
    fn next(self) -> Self {
        match self {
            Self::Speed => Self::User,
            Self::User => Self::Since,
            Self::Since => Self::Moved,
            Self::Moved => Self::Speed,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Speed => "speed",
            Self::User => "user",
            Self::Since => "since",
            Self::Moved => "moved",
        }
    }
}

/// Bytes, or bytes per second, in both directions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Both {
    pub(super) up: u64,
    pub(super) down: u64,
}

impl Both {
    fn of(session: &OpenSession) -> Self {
        Self {
            up: session.uploaded,
            down: session.downloaded,
        }
    }

    pub(super) fn sum(self) -> u64 {
        self.up.saturating_add(self.down)
    }

    fn add(&mut self, other: Self) {
        self.up = self.up.saturating_add(other.up);
        self.down = self.down.saturating_add(other.down);
    }

    /// Returns the rate of growth since `before`.
    fn since(self, before: Self, seconds: f64) -> Self {
        let speed = |now: u64, before: u64| {
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss
            )]
            let speed = (now.saturating_sub(before) as f64 / seconds.max(0.001)) as u64;
            speed
        };
        Self {
            up: speed(self.up, before.up),
            down: speed(self.down, before.down),
        }
    }
}

/// A session with its current rates.
pub(super) struct TopRow {
    pub(super) session: OpenSession,
    pub(super) speed: Both,
}

/// An account with open sessions.
#[derive(Default)]
pub(super) struct ShownAccount {
    pub(super) sessions: usize,
    pub(super) speed: Both,
    pub(super) home: Option<UsedHome>,
}

/// The view; see the module documentation.
#[derive(Default)]
pub(super) struct View {
    rows: Vec<TopRow>,
    accounts: BTreeMap<String, ShownAccount>,
    failed: Vec<FailedLoginEntry>,
    taken_at: Option<Instant>,
    order: Order,
    filter: String,
    is_typing: bool,
    /// The id of the selected session, which stays selected when rows move.
    chosen: Option<u64>,
    asked_to_kill: Option<u64>,
    /// Why the server does not answer.
    lost: Option<String>,
}

impl View {
    /// Records that the server does not answer. The next answer may come from another process, with counters at 0.
    pub(super) fn lose(&mut self, why: String) {
        self.rows.clear();
        self.accounts.clear();
        self.failed.clear();
        self.taken_at = None;
        self.chosen = None;
        self.asked_to_kill = None;
        self.lost = Some(why);
    }

    /// Why the server does not answer.
    pub(super) fn lost(&self) -> Option<&str> {
        self.lost.as_deref()
    }

    /// Takes an answer of the server.
    pub(super) fn take(&mut self, replies: Vec<ControlReply>, now: Instant) {
        self.lost = None;
        let seconds = self.taken_at.replace(now);
        let seconds = seconds.map_or(1.0, |before| (now - before).as_secs_f64());
        let before: HashMap<u64, (Both, Both)> = self
            .rows
            .iter()
            .map(|row| (row.session.id, (Both::of(&row.session), row.speed)))
            .collect();
        self.rows.clear();
        self.accounts.clear();
        self.failed.clear();
        for reply in replies {
            match reply {
                ControlReply::Session(session) => {
                    let now = Both::of(&session);
                    let speed = match before.get(&session.id) {
                        // Two answers at the same instant give no rate.
                        Some((_, speed)) if seconds < 0.2 => *speed,
                        Some((before, _)) => now.since(*before, seconds),
                        None => Both::default(),
                    };
                    let account = self.accounts.entry(session.user.clone()).or_default();
                    account.sessions += 1;
                    account.speed.add(speed);
                    self.rows.push(TopRow { session, speed });
                }
                ControlReply::Home(home) => {
                    let account = self.accounts.entry(home.user.clone()).or_default();
                    account.home = Some(home);
                }
                ControlReply::FailedLogin(failed) => self.failed.push(failed),
                _ => {}
            }
        }
        self.sort();
        // A closed session is deselected, and a question about it withdrawn.
        let is_there = |id: &u64| self.rows.iter().any(|row| row.session.id == *id);
        self.chosen = self.chosen.filter(is_there);
        self.asked_to_kill = self.asked_to_kill.filter(is_there);
    }

    fn sort(&mut self) {
        match self.order {
            Order::Speed => self
                .rows
                .sort_by_key(|row| (Reverse(row.speed.sum()), row.session.id)),
            Order::User => self
                .rows
                .sort_by_cached_key(|row| (row.session.user.clone(), row.session.id)),
            Order::Since => self.rows.sort_by_key(|row| row.session.id),
            Order::Moved => self
                .rows
                .sort_by_key(|row| (Reverse(Both::of(&row.session).sum()), row.session.id)),
        }
    }

    /// Returns the sessions that match the filter, sorted.
    pub(super) fn rows(&self) -> Vec<&TopRow> {
        let wanted = self.filter.to_lowercase();
        let matches = |row: &&TopRow| {
            let session = &row.session;
            let files = session.transfers.iter().map(|moving| &moving.path);
            let mut texts = [&session.user, &session.peer, &session.client]
                .into_iter()
                .chain(files);
            texts.any(|text| text.to_lowercase().contains(&wanted))
        };
        self.rows.iter().filter(matches).collect()
    }

    pub(super) fn accounts(&self) -> &BTreeMap<String, ShownAccount> {
        &self.accounts
    }

    pub(super) fn failed(&self) -> &[FailedLoginEntry] {
        &self.failed
    }

    /// Returns the rates of all sessions together.
    pub(super) fn speed(&self) -> Both {
        let mut speed = Both::default();
        self.rows.iter().for_each(|row| speed.add(row.speed));
        speed
    }

    pub(super) fn order(&self) -> Order {
        self.order
    }

    pub(super) fn sort_otherwise(&mut self) {
        self.order = self.order.next();
        self.sort();
    }

    pub(super) fn filter(&self) -> &str {
        &self.filter
    }

    pub(super) fn is_typing(&self) -> bool {
        self.is_typing
    }

    pub(super) fn start_typing(&mut self) {
        self.is_typing = true;
    }

    pub(super) fn end_typing(&mut self) {
        self.is_typing = false;
    }

    pub(super) fn forget_filter(&mut self) {
        self.filter.clear();
        self.is_typing = false;
    }

    pub(super) fn type_letter(&mut self, letter: char) {
        if self.filter.chars().count() < MAX_FILTER {
            self.filter.push(letter);
        }
    }

    pub(super) fn untype(&mut self) {
        self.filter.pop();
    }

    /// Returns the index of the selected session in [`View::rows`].
    pub(super) fn choice(&self) -> Option<usize> {
        let chosen = self.chosen?;
        let rows = self.rows();
        rows.iter().position(|row| row.session.id == chosen)
    }

    pub(super) fn move_choice(&mut self, by: isize) {
        let rows = self.rows();
        let last = rows.len().saturating_sub(1);
        let place = match self.choice() {
            Some(place) => place.saturating_add_signed(by).min(last),
            None if by < 0 => last,
            None => 0,
        };
        self.chosen = rows.get(place).map(|row| row.session.id);
    }

    pub(super) fn ask_to_kill(&mut self) {
        let place = self.choice();
        let rows = self.rows();
        let row = place.and_then(|place| rows.get(place));
        self.asked_to_kill = row.map(|row| row.session.id);
    }

    pub(super) fn asked_to_kill(&self) -> Option<&OpenSession> {
        let asked = self.asked_to_kill?;
        let row = self.rows.iter().find(|row| row.session.id == asked)?;
        Some(&row.session)
    }

    pub(super) fn answered(&mut self) {
        self.asked_to_kill = None;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn session(id: u64, user: &str, uploaded: u64) -> ControlReply {
        ControlReply::Session(OpenSession {
            id,
            user: user.to_owned(),
            peer: "192.0.2.1:1".to_owned(),
            client: "SSH-2.0-x".to_owned(),
            since: "2026-01-01T00:00:00Z".to_owned(),
            uploaded,
            downloaded: 0,
            transfers: Vec::new(),
        })
    }

    fn ids(view: &View) -> Vec<u64> {
        view.rows().iter().map(|row| row.session.id).collect()
    }

    #[test]
    fn speeds_are_of_the_time_between_two_looks() {
        let (mut view, began) = (View::default(), Instant::now());
        view.take(vec![session(1, "a", 5000), session(2, "b", 0)], began);
        assert_eq!(view.speed(), Both::default());
        let later = began + Duration::from_secs(2);
        view.take(vec![session(1, "a", 7000), session(2, "b", 3000)], later);
        assert_eq!(view.speed(), Both { up: 2500, down: 0 });
        assert_eq!(ids(&view), [2, 1]);
        assert_eq!(view.accounts()["b"].speed.up, 1500);
    }

    #[test]
    fn a_server_that_is_started_again_is_another_one() {
        let (mut view, began) = (View::default(), Instant::now());
        view.take(vec![session(1, "a", 5000)], began);
        view.move_choice(1);
        view.lose("gone".to_owned());
        assert_eq!((view.rows().len(), view.lost()), (0, Some("gone")));
        let later = began + Duration::from_secs(2);
        view.take(vec![session(1, "b", 9000)], later);
        assert_eq!((view.lost(), view.choice()), (None, None));
        assert_eq!(view.speed(), Both::default());
    }

    #[test]
    fn the_chosen_session_stays_chosen_wherever_it_moves() {
        let (mut view, now) = (View::default(), Instant::now());
        view.take(
            vec![session(1, "c", 1), session(2, "b", 2), session(3, "a", 3)],
            now,
        );
        view.move_choice(1);
        view.move_choice(1);
        assert_eq!((ids(&view), view.choice()), (vec![1, 2, 3], Some(1)));
        view.sort_otherwise();
        assert_eq!((ids(&view), view.choice()), (vec![3, 2, 1], Some(1)));
        "C".chars().for_each(|letter| view.type_letter(letter));
        assert_eq!((ids(&view), view.choice()), (vec![1], None));
        let asked = |view: &View| view.asked_to_kill().map(|session| session.id);
        view.ask_to_kill();
        assert_eq!(asked(&view), None);
        view.forget_filter();
        view.ask_to_kill();
        assert_eq!(asked(&view), Some(2));
        view.take(vec![session(1, "c", 1)], now);
        assert_eq!((view.choice(), asked(&view)), (None, None));
        view.move_choice(-1);
        assert_eq!(view.choice(), Some(0));
    }
}
