//! Which events `landfall audit` shows.

use std::net::SocketAddr;

use serde_json::Value;

use crate::operator::cli;
use crate::values::path::VPath;

/// The fields of an event that are paths.
const PATHS: [&str; 4] = ["path", "from", "to", "target"];

/// What the operator has asked for.
pub(super) struct EventFilter<'a> {
    command: &'a cli::AuditFilter,
    /// Was there an event of the user, whether it was shown or not?
    has_seen_user: bool,
}

impl<'a> EventFilter<'a> {
    pub(super) fn new(command: &'a cli::AuditFilter) -> Self {
        Self {
            command,
            has_seen_user: false,
        }
    }

    /// The user that was asked for, if no event has had this name until now.
    pub(super) fn missing_user(&self) -> Option<&'a str> {
        let user = self.command.user.as_deref();
        user.filter(|_| !self.has_seen_user)
    }

    /// Is an event of this kind and time to be shown?
    pub(super) fn wants(&mut self, event: &Value, kind: &str, time: i64) -> bool {
        let command = self.command;
        let text = |name| event.get(name).and_then(Value::as_str);
        let number = |name| event.get(name).and_then(Value::as_u64);
        let is_of_user = command.user.as_deref().is_none_or(|user| {
            let is_of_user = text("user") == Some(user) || text("name") == Some(user);
            self.has_seen_user |= is_of_user;
            is_of_user
        });
        let one_of = |names: &[String], name: Option<&str>| {
            name.is_some_and(|name| names.iter().any(|one| one == name))
        };
        is_of_user
            && command.since.is_none_or(|since| time >= since)
            && command.until.is_none_or(|until| time < until)
            && (command.event.is_empty() || one_of(&command.event, Some(kind)))
            && (command.result.is_empty() || one_of(&command.result, text("result")))
            && command.session.is_none_or(|session| {
                let numbers = [number("session"), number("killed")];
                numbers.contains(&Some(session))
            })
            && command.path.as_ref().is_none_or(|wanted| {
                let mut paths = PATHS.into_iter().filter_map(text);
                paths.any(|path| is_at(path, wanted))
            })
            && command.source.is_none_or(|network| {
                let peer = text("peer").and_then(|peer| peer.parse::<SocketAddr>().ok());
                let source = text("source").and_then(|source| source.parse().ok());
                peer.is_some_and(|peer| network.contains(peer.ip()))
                    || source.is_some_and(|source| network.overlaps(&source))
            })
    }
}

/// Is it the wanted path, or within it? Paths are compared as the audit log writes them.
fn is_at(path: &str, wanted: &cli::WantedPath) -> bool {
    let Ok(path) = VPath::parse(path.as_bytes()) else {
        return false;
    };
    if wanted.is_anywhere {
        // Both begin with a slash.
        let end = wanted.path.absolute();
        path.with_parents()
            .any(|path| path.absolute().ends_with(&end))
    } else {
        path.is_within(&wanted.path)
    }
}
