//! What is noted, and its form. Programs rely on these names: docs/audit.md.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::calendar::rfc3339_millis;

/// Whose doing it is.
#[derive(Debug, Clone, Serialize)]
pub struct Who {
    /// The account.
    pub user: String,
    /// Where the client is.
    pub peer: SocketAddr,
    /// The number of the connection, the same in all its events.
    pub connection: u64,
}

/// An event.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event<'a> {
    /// Somebody logs in, or fails to.
    Login(Login<'a>),
    /// A connection ends.
    Logout {
        /// Since the login.
        duration_ms: u64,
        /// Bytes of files.
        uploaded_bytes: u64,
        /// Bytes of files.
        downloaded_bytes: u64,
    },
    /// A file was written to and closed.
    Upload(Moved<'a>),
    /// A file was read and closed.
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
    Hardlink {
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
    /// A file was copied on the server.
    Copy {
        /// What was copied.
        from: Cow<'a, str>,
        /// The copy.
        to: Cow<'a, str>,
    },
    /// Something was not allowed.
    Refused {
        /// What was tried: the name of another event, or "open" or "list".
        verb: &'a str,
        /// Of which file.
        path: Cow<'a, str>,
        /// "quota", "permission", "not_found" and so on.
        reason: &'a str,
        /// As the client was told.
        message: String,
    },
    /// A command over ssh.
    Command {
        /// As it was written.
        line: Cow<'a, str>,
    },
    /// The operator has changed an account.
    Account {
        /// "add", "set", "remove", "password", "key_add" or "key_remove".
        action: &'a str,
        /// Which account.
        name: &'a str,
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

/// A login, or a try.
#[derive(Debug, Serialize)]
pub struct Login<'a> {
    /// Did it succeed?
    pub ok: bool,
    /// "password", "keyboard-interactive", "publickey".
    pub method: &'a str,
    /// The name that was tried, if it failed: an account, or none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tried: Option<Cow<'a, str>>,
    /// Where the client is, if it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<SocketAddr>,
    /// Fingerprint of the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The client's identification.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<Cow<'a, str>>,
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
    /// Was it closed by the client? Else the connection ended before.
    pub complete: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    who: Option<&'a Who>,
    #[serde(flatten)]
    event: &'a Event<'a>,
}

/// One line, with its end.
pub(super) fn line(who: Option<&Who>, event: &Event<'_>) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let time = rfc3339_millis(now.unwrap_or(Duration::ZERO));
    // There is nothing in it that JSON cannot have.
    let mut line = serde_json::to_string(&Line { time, who, event }).unwrap_or_default();
    line.push('\n');
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
        let who = Who {
            user: "anna".to_owned(),
            peer: ([127, 0, 0, 1], 40_000).into(),
            connection: 7,
        };
        let event = Event::Upload(Moved {
            path: shown(b"/a\nb"),
            bytes: 10,
            offset: 0,
            duration_ms: 3,
            complete: true,
        });
        let line = line(Some(&who), &event);
        assert_eq!(line.matches('\n').count(), 1);
        let mut value: serde_json::Value = serde_json::from_str(&line).unwrap();
        let time = value.as_object_mut().unwrap().remove("time").unwrap();
        assert!(time.as_str().unwrap().ends_with('Z'));
        let expected = serde_json::json!({
            "user": "anna", "peer": "127.0.0.1:40000", "connection": 7, "event": "upload",
            "path": "/a\nb", "bytes": 10, "offset": 0, "duration_ms": 3, "complete": true,
        });
        assert_eq!(value, expected);
    }
}
