//! What is noted, and its form. Programs rely on these names: docs/audit.md and
//! docs/audit.schema.json, to which tests/audit.rs holds every event of a real run.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::text::{self, Length};
use crate::observe::outcome::{LoginMethod, RefusalReason, TransferResult};
use crate::values::label::labels;
use crate::values::time::rfc3339_millis;

/// The names of all events, as they stand in `event`.
pub const KINDS: &[&str] = &[
    "login", "logout", "upload", "download", "rename", "remove", "mkdir", "rmdir", "setstat",
    "link", "symlink", "copy", "refused", "command", "account", "reload", "kill", "ban", "lift",
    "start", "stop", "lost",
];

/// The events of the audit log go to two streams, each with files of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AuditStream {
    /// Who came, what the operator did, and how the server is. Clients cannot flood it.
    Access,
    /// What clients did.
    Operations,
}

impl AuditStream {
    /// Both, in the order of their numbers.
    pub(super) const ALL: [Self; 2] = [Self::Access, Self::Operations];

    /// The name of its current file, without the ending.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Access => "audit",
            Self::Operations => "audit-operations",
        }
    }
}

/// Whose doing it is.
#[derive(Debug, Clone, Serialize)]
pub struct Actor {
    /// The account; where nobody is logged in, the name that was tried.
    pub user: String,
    /// Where the client is.
    pub peer: SocketAddr,
    /// The number of the session, the same in all its events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<u64>,
}

/// Who runs a command of the operator's.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Operator {
    /// The user of the system.
    pub uid: u32,
    /// The name of that, if the system knows one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Who became that by sudo, as sudo says.
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
    /// Somebody logs in, or fails to.
    Login(LoginEvent<'a>),
    /// A session ends.
    Logout {
        /// Since the login.
        duration_ms: u64,
        /// Bytes of files.
        uploaded_bytes: u64,
        /// Files of which bytes came.
        uploaded_files: u64,
        /// Bytes of files.
        downloaded_bytes: u64,
        /// Files of which bytes went.
        downloaded_files: u64,
        /// Why; missing if the server went down before it was known.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
    },
    /// A file was made or written to, and is closed.
    Upload(Moved<'a>),
    /// A file was read, and is closed.
    Download(Moved<'a>),
    /// A name became another.
    Rename {
        /// The old name.
        from: Cow<'a, str>,
        /// The new one.
        to: Cow<'a, str>,
    },
    /// A file or link was removed.
    Remove {
        /// Which one.
        path: Cow<'a, str>,
    },
    /// A directory was made.
    Mkdir {
        /// Which one.
        path: Cow<'a, str>,
    },
    /// A directory was removed.
    Rmdir {
        /// Which one.
        path: Cow<'a, str>,
    },
    /// Size, permissions or times were changed.
    Setstat {
        /// Of which file.
        path: Cow<'a, str>,
        /// The new size in bytes.
        #[serde(skip_serializing_if = "Option::is_none")]
        size: Option<u64>,
        /// The new permission bits, in octal.
        #[serde(skip_serializing_if = "Option::is_none")]
        mode: Option<String>,
        /// The new time of modification, in seconds since 1970.
        #[serde(skip_serializing_if = "Option::is_none")]
        mtime: Option<u32>,
    },
    /// A file got another name.
    Link {
        /// The name that was there.
        from: Cow<'a, str>,
        /// The new one.
        to: Cow<'a, str>,
    },
    /// A symbolic link was made.
    Symlink {
        /// Its name.
        path: Cow<'a, str>,
        /// What is in it.
        target: Cow<'a, str>,
    },
    /// A file, or a part of one, was copied on the server.
    Copy {
        /// What was copied.
        from: Cow<'a, str>,
        /// The copy.
        to: Cow<'a, str>,
    },
    /// Something was not allowed.
    Refused {
        /// What was tried.
        action: &'a str,
        /// With which file.
        path: Cow<'a, str>,
        /// Why.
        reason: RefusalReason,
        /// As the client was told.
        message: String,
    },
    /// A command over ssh.
    Command {
        /// As it was understood; of a command that there is not, as it was sent.
        line: String,
        /// There is no such command.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        refused: bool,
    },
    /// The operator has changed an account.
    Account {
        /// What it has changed.
        action: AccountAction,
        /// Which account.
        name: &'a str,
        /// As the operator was told.
        message: &'a str,
        /// By whom; missing where the server did it by itself, or as config.toml declares.
        #[serde(skip_serializing_if = "Option::is_none")]
        operator: Option<Operator>,
    },
    /// The operator has let the server read its config again.
    Reload {
        /// As the operator was told.
        message: &'a str,
        /// By whom; missing where it was a signal.
        #[serde(skip_serializing_if = "Option::is_none")]
        operator: Option<Operator>,
    },
    /// The operator has ended a session.
    Kill {
        /// Its number.
        killed: u64,
        /// Its account.
        name: &'a str,
        /// What the operator has told the client, if anything.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
        /// By whom.
        operator: Operator,
    },
    /// A source is kept out from now on.
    Ban {
        /// An address, or a network.
        source: &'a str,
        /// Until when (RFC 3339).
        until: String,
        /// How long that is.
        seconds: u64,
        /// What it did last: "failed_login", "no_login", "scan", "late" or "abuse".
        reason: &'a str,
    },
    /// The operator has ended a ban.
    Lift {
        /// Of which source.
        source: &'a str,
        /// By whom.
        operator: Operator,
    },
    /// The server has started.
    Start {
        /// Its version.
        version: &'a str,
    },
    /// The server ends.
    Stop,
    /// So many events could not be written before this one.
    Lost {
        /// How many.
        count: u64,
    },
}

impl Event<'_> {
    /// The stream that it goes to, unless there are too many of its kind.
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

/// A login, or a try.
#[derive(Debug, Serialize)]
pub struct LoginEvent<'a> {
    /// Did it succeed?
    pub ok: bool,
    /// How.
    pub method: LoginMethod,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
    /// Fingerprint of the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<&'a str>,
    /// The client's identification.
    pub client: Cow<'a, str>,
}

/// A file that was moved, in part or whole.
#[derive(Debug, Serialize)]
pub struct Moved<'a> {
    /// Under this name it was opened.
    pub path: Cow<'a, str>,
    /// How many bytes were moved.
    pub bytes: u64,
    /// Where the first of them lies in the file.
    pub offset: u64,
    /// From OPEN to CLOSE.
    pub duration_ms: u64,
    /// How it ended.
    pub result: TransferResult,
    /// Of the whole file, if the config asks for it and the transfer is complete.
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

/// One line, with its end.
pub(super) fn line(who: Option<&Actor>, event: &Event<'_>) -> Vec<u8> {
    let length = match event {
        Event::Refused { .. } | Event::Command { refused: true, .. } => Length::Refused,
        _ => Length::Whole,
    };
    line_of(who, event, length)
}

/// The line of an event that stands for many: [`folded`] completes it.
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

/// Every line begins so: the key, and a time of a fixed length.
const BEGINNING: usize = r#"{"time":"2026-11-21T00:00:00.000Z""#.len();
const KEY: usize = r#"{"time":""#.len();

/// Makes the line of the first of many events one of all of them: with the time of now, and of the first
/// in `since`. `same` are the fields that all have in common.
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

/// A name in bytes as text, without loss: what is not UTF-8 is written `\xNN`, and a backslash `\\`.
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
        let event = Event::Upload(Moved {
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
