//! The events of the audit log and their format. Programs rely on these names: docs/audit.md and
//! docs/audit.schema.json, against which tests/audit.rs checks every event of a real run.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::text::{self, Length};
use crate::observe::outcome::{LoginMethod, RefusalReason, TransferResult};
use crate::values::label::labels;
use crate::values::time::rfc3339_millis;

/// The names of all events, as in the field `event`.
pub const KINDS: &[&str] = &[
    "login", "logout", "upload", "download", "rename", "remove", "mkdir", "rmdir", "setstat",
    "link", "symlink", "copy", "refused", "command", "account", "reload", "kill", "ban", "lift",
    "start", "stop", "lost",
];

/// The audit log has two streams, each with its own files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AuditStream {
    /// Logins, operator actions and the state of the server. Clients cannot flood it.
    Access,
    /// Operations of clients.
    Operations,
}

impl AuditStream {
    /// Both, in the order of their numbers.
    pub(super) const ALL: [Self; 2] = [Self::Access, Self::Operations];

    /// Returns the name of its current file, without the extension.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Access => "audit",
            Self::Operations => "audit-operations",
        }
    }
}

/// The user of an event.
#[derive(Debug, Clone, Serialize)]
pub struct Actor {
    /// The account; before a login, the user name of the attempt.
    pub user: String,
    /// Client address.
    pub peer: SocketAddr,
    /// The number of the session, the same in all its events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<u64>,
}

/// The system user who runs an operator's command.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Operator {
    /// User id.
    pub uid: u32,
    /// User name, if the system knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The original user of sudo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sudo_user: Option<String>,
}

labels! {
    /// How an account was changed.
    pub enum AccountAction {
        /// It was added.
        Add = "add",
        /// Its settings were changed.
        Set = "set",
        /// It was removed.
        Remove = "remove",
        /// Its password was set or removed.
        Password = "password",
        /// It was given keys.
        KeyAdd = "key_add",
        /// One of its keys was removed.
        KeyRemove = "key_remove",
    }
}

/// An event.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event<'a> {
    /// A login, successful or not.
    Login(LoginEvent<'a>),
    /// The end of a session.
    Logout {
        /// Since the login.
        duration_ms: u64,
        /// Bytes of uploaded files.
        uploaded_bytes: u64,
        /// Uploaded files.
        uploaded_files: u64,
        /// Bytes of downloaded files.
        downloaded_bytes: u64,
        /// Downloaded files.
        downloaded_files: u64,
        /// Why; missing if the server was killed.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
    },
    /// A file was created or written, and closed.
    Upload(TransferEvent<'a>),
    /// A file was read and closed.
    Download(TransferEvent<'a>),
    /// A rename.
    Rename {
        /// The old name.
        from: Cow<'a, str>,
        /// The new one.
        to: Cow<'a, str>,
    },
    /// A file or link was removed.
    Remove {
        /// Its path.
        path: Cow<'a, str>,
    },
    /// A directory was created.
    Mkdir {
        /// Its path.
        path: Cow<'a, str>,
    },
    /// A directory was removed.
    Rmdir {
        /// Its path.
        path: Cow<'a, str>,
    },
    /// Size, permissions or times of a file were changed.
    Setstat {
        /// Its path.
        path: Cow<'a, str>,
        /// The new size in bytes.
        #[serde(skip_serializing_if = "Option::is_none")]
        size: Option<u64>,
        /// The new permission bits, in octal.
        #[serde(skip_serializing_if = "Option::is_none")]
        mode: Option<String>,
        /// The new modification time, in seconds since 1970.
        #[serde(skip_serializing_if = "Option::is_none")]
        mtime: Option<u32>,
    },
    /// A hard link was created.
    Link {
        /// The existing name.
        from: Cow<'a, str>,
        /// The new name.
        to: Cow<'a, str>,
    },
    /// A symbolic link was created.
    Symlink {
        /// Its path.
        path: Cow<'a, str>,
        /// Its target.
        target: Cow<'a, str>,
    },
    /// A file, or a part of one, was copied on the server.
    Copy {
        /// The source.
        from: Cow<'a, str>,
        /// The target.
        to: Cow<'a, str>,
    },
    /// An operation was refused.
    Refused {
        /// The operation.
        action: &'a str,
        /// The path.
        path: Cow<'a, str>,
        /// Why.
        reason: RefusalReason,
        /// The message to the client.
        message: String,
    },
    /// An exec request.
    Command {
        /// The parsed command line; an unknown command as it was sent.
        line: String,
        /// The command is unknown.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        refused: bool,
    },
    /// An account was changed.
    Account {
        /// The kind of change.
        action: AccountAction,
        /// The account.
        name: &'a str,
        /// The message to the operator.
        message: &'a str,
        /// Who did it; missing for the server itself and config.toml.
        #[serde(skip_serializing_if = "Option::is_none")]
        operator: Option<Operator>,
    },
    /// The configuration was reloaded.
    Reload {
        /// The message to the operator.
        message: &'a str,
        /// Who did it; missing for a signal.
        #[serde(skip_serializing_if = "Option::is_none")]
        operator: Option<Operator>,
    },
    /// An operator has closed a session.
    Kill {
        /// Its number.
        killed: u64,
        /// Its account.
        name: &'a str,
        /// The reason that the client received, if any.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
        /// Who did it.
        operator: Operator,
    },
    /// A source was banned.
    Ban {
        /// An address or a network.
        source: &'a str,
        /// End of the ban (RFC 3339).
        until: String,
        /// Its duration.
        seconds: u64,
        /// The last offence: "failed_login", "no_login", "scan", "late" or "abuse".
        reason: &'a str,
    },
    /// An operator has lifted a ban.
    Lift {
        /// The banned source.
        source: &'a str,
        /// Who did it.
        operator: Operator,
    },
    /// The server has started.
    Start {
        /// Its version.
        version: &'a str,
    },
    /// The server stops.
    Stop,
    /// Events before this one could not be written.
    Lost {
        /// Their number.
        count: u64,
    },
}

impl Event<'_> {
    /// Returns the event's stream, before flood control.
    pub(super) fn stream(&self) -> AuditStream {
        match self {
            Self::Login(_)
            | Self::Logout { .. }
            | Self::Account { .. }
            | Self::Reload { .. }
            | Self::Kill { .. }
            | Self::Ban { .. }
            | Self::Lift { .. }
            | Self::Start { .. }
            | Self::Stop
            | Self::Lost { .. } => AuditStream::Access,
            Self::Upload(_)
            | Self::Download(_)
            | Self::Rename { .. }
            | Self::Remove { .. }
            | Self::Mkdir { .. }
            | Self::Rmdir { .. }
            | Self::Setstat { .. }
            | Self::Link { .. }
            | Self::Symlink { .. }
            | Self::Copy { .. }
            | Self::Refused { .. }
            | Self::Command { .. } => AuditStream::Operations,
        }
    }
}

/// A login or a failed attempt.
#[derive(Debug, Serialize)]
pub struct LoginEvent<'a> {
    /// Whether it succeeded.
    pub ok: bool,
    /// The authentication method.
    pub method: LoginMethod,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
    /// Fingerprint of the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<&'a str>,
    /// The client's identification.
    pub client: Cow<'a, str>,
}

/// A transfer of a file, complete or not.
#[derive(Debug, Serialize)]
pub struct TransferEvent<'a> {
    /// The path it was opened with.
    pub path: Cow<'a, str>,
    /// Bytes transferred.
    pub bytes: u64,
    /// Offset of the first transferred byte.
    pub offset: u64,
    /// From OPEN to CLOSE.
    pub duration_ms: u64,
    /// How it ended.
    pub result: TransferResult,
    /// Hash of the whole file, if configured and the transfer is complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

#[derive(Serialize)]
struct EventLine<'a> {
    time: String,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    who: Option<&'a Actor>,
    #[serde(flatten)]
    event: &'a Event<'a>,
}

/// Returns one line including its end.
pub(super) fn line(who: Option<&Actor>, event: &Event<'_>) -> Vec<u8> {
    let length = match event {
        Event::Refused { .. } | Event::Command { refused: true, .. } => Length::Refused,
        _ => Length::Whole,
    };
    line_of(who, event, length)
}

/// Returns the line of an event that represents many: [`folded`] completes it.
pub(super) fn brief_line(who: Option<&Actor>, event: &Event<'_>) -> Vec<u8> {
    line_of(who, event, Length::Brief)
}

fn line_of(who: Option<&Actor>, event: &Event<'_>, length: Length) -> Vec<u8> {
    let time = now();
    let mut line = text::json(&EventLine { time, who, event }, length);
    line.push(b'\n');
    line
}

fn now() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    rfc3339_millis(now.unwrap_or(Duration::ZERO))
}

/// The beginning of every line: the key, and a time of fixed length.
const BEGINNING: usize = r#"{"time":"2026-11-21T00:00:00.000Z""#.len();
const KEY: usize = r#"{"time":""#.len();

/// Turns the line of the first of many events into one for all: with the current time, and the first one's
/// in `since`. `same` are their common fields.
pub(super) fn folded(first: &[u8], count: u64, same: &[&str]) -> Vec<u8> {
    let (beginning, rest) = first.split_at_checked(BEGINNING).unwrap_or((first, &[]));
    let since = beginning.get(KEY..).unwrap_or_default();
    let rest = rest.strip_suffix(b"}\n").unwrap_or(rest);
    let mut line = format!("{{\"time\":\"{}\",\"since\":\"", now()).into_bytes();
    line.extend_from_slice(since);
    line.extend_from_slice(rest);
    line.extend_from_slice(format!(",\"count\":{count},\"same\":[").as_bytes());
    for (number, field) in same.iter().enumerate() {
        let before = if number == 0 { "" } else { "," };
        line.extend_from_slice(format!("{before}\"{field}\"").as_bytes());
    }
    line.extend_from_slice(b"]}\n");
    line
}

/// Converts a name to text without loss: bytes that are not UTF-8 become `\xNN`, and a backslash `\\`.
pub fn shown(name: &[u8]) -> Cow<'_, str> {
    match str::from_utf8(name) {
        Ok(text) if !text.contains('\\') => Cow::Borrowed(text),
        _ => {
            let mut text = String::with_capacity(name.len() + 8);
            for chunk in name.utf8_chunks() {
                text.push_str(&chunk.valid().replace('\\', "\\\\"));
                for byte in chunk.invalid() {
                    text.push_str(&format!("\\x{byte:02x}"));
                }
            }
            Cow::Owned(text)
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_without_loss() {
        for (name, text) in [
            (&b"plain \xc3\xa9"[..], "plain é"),
            (b"back\\slash", "back\\\\slash"),
            (b"caf\xe9\xff", "caf\\xe9\\xff"),
            (b"\\xe9", "\\\\xe9"),
            (b"\n", "\n"),
            (b"", ""),
        ] {
            assert_eq!(shown(name), text);
        }
    }

    #[test]
    fn a_line_is_one_json_object_with_time_who_and_event() {
        let who = Actor {
            user: "anna".to_owned(),
            peer: ([127, 0, 0, 1], 40_000).into(),
            session: Some(7),
        };
        let event = Event::Upload(TransferEvent {
            path: shown(b"/a\nb"),
            bytes: 10,
            offset: 0,
            duration_ms: 3,
            result: TransferResult::Complete,
            sha256: None,
        });
        let line = line(Some(&who), &event);
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        let mut value: serde_json::Value = serde_json::from_slice(&line).unwrap();
        let time = value.as_object_mut().unwrap().remove("time").unwrap();
        assert!(time.as_str().unwrap().ends_with('Z'));
        let expected = serde_json::json!({
            "user": "anna", "peer": "127.0.0.1:40000", "session": 7, "event": "upload",
            "path": "/a\nb", "bytes": 10, "offset": 0, "duration_ms": 3, "result": "complete",
        });
        assert_eq!(value, expected);
    }
    #[test]
    fn a_folded_line_has_the_fields_of_the_first_and_both_times() {
        let first = brief_line(
            None,
            &Event::Remove {
                path: "/a".repeat(1000).into(),
            },
        );
        let value: serde_json::Value = serde_json::from_slice(&first).unwrap();
        let text = folded(&first, 12, &["user", "reason"]);
        assert!(text.len() < 400 && text.ends_with(b"\n"));
        let folded: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(folded["since"], value["time"]);
        assert!(folded["time"].as_str() >= value["time"].as_str());
        assert_eq!(folded["count"], 12);
        assert_eq!(folded["same"], serde_json::json!(["user", "reason"]));
        assert_eq!(
            (&folded["event"], &folded["path"]),
            (&value["event"], &value["path"])
        );
    }
}
