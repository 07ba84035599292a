//! The small commands of exec requests (RFC 4254, section 6.5), for users of `ssh` and for scripts. No
//! shell is involved: commands outside of [`TABLE`] are refused.

pub mod arguments;
mod df;
pub mod glob;
mod id;
mod quota;
mod sums;
mod work;

use std::fmt;
use std::sync::Arc;

use tracing::info;

use self::sums::Sum;
use self::work::{FAILED, NOT_FOUND, say};
use crate::exec::arguments::{Word, words};
use crate::hashes::Algorithm;
use crate::io::pipe::Pipe;
use crate::observe::audit::Event;
use crate::observe::log::brief;
use crate::vfs::Vfs;
use crate::vfs::authorized_keys;

/// The command of an exec request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecCommand {
    /// No command: an interactive `ssh`.
    Greeting,
    /// A command of [`TABLE`] and its arguments.
    Known(CommandKind, Vec<Word>),
    /// An unknown or malformed command.
    Refused {
        /// The command line.
        line: Vec<u8>,
        /// The answer to the client.
        answer: String,
    },
}

/// The commands of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandKind {
    /// Lists the commands.
    Help,
    /// Shows usage and quota.
    Quota,
    /// Shows the space in blocks.
    Df,
    /// Prints the uid and gid. Commons VFS requests them at each login.
    Id,
    /// Prints its arguments. rclone uses it to detect the kind of shell.
    Echo,
    /// Prints hashes.
    Sum(Algorithm),
}

/// The commands: name, kind, usage and description.
const TABLE: &[(&str, CommandKind, &str, &str)] = &[
    (
        "df",
        CommandKind::Df,
        "df [-k|-h] [PATH]",
        "free space within your quota",
    ),
    (
        "echo",
        CommandKind::Echo,
        "echo [WORD...]",
        "print the arguments",
    ),
    ("help", CommandKind::Help, "help", "show this list"),
    (
        "id",
        CommandKind::Id,
        "id [-u|-g|-G]",
        "print the user and group ids of your files",
    ),
    (
        "quota",
        CommandKind::Quota,
        "quota",
        "show your usage and quota",
    ),
    ("crc32", CommandKind::Sum(Algorithm::Crc32), "", ""),
    ("md5sum", CommandKind::Sum(Algorithm::Md5), "", ""),
    ("sha1sum", CommandKind::Sum(Algorithm::Sha1), "", ""),
    ("sha224sum", CommandKind::Sum(Algorithm::Sha224), "", ""),
    ("sha256sum", CommandKind::Sum(Algorithm::Sha256), "", ""),
    ("sha384sum", CommandKind::Sum(Algorithm::Sha384), "", ""),
    (
        "sha512sum",
        CommandKind::Sum(Algorithm::Sha512),
        "md5sum [FILE...]",
        "print hashes of files; also crc32, sha1sum, sha224sum, sha256sum, sha384sum, sha512sum",
    ),
];

impl ExecCommand {
    /// Parses a command line.
    pub fn of_line(line: &[u8]) -> Self {
        let path = authorized_keys::PATH;
        let parsed = words(line).map_err(|fault| format!("landfall: {fault}\n"));
        parsed
            .and_then(Self::of_words)
            .unwrap_or_else(|answer| Self::Refused {
                line: line.to_vec(),
                answer: if line.windows(path.len()).any(|part| part == path) {
                    authorized_keys::ADVICE.to_owned()
                } else {
                    answer
                },
            })
    }

    /// Parses arguments; an error is the answer to an unknown command.
    fn of_words(words: Vec<Word>) -> Result<Self, String> {
        let mut words = words.into_iter();
        let Some(name) = words.next() else {
            return Ok(Self::Greeting);
        };
        let known = TABLE
            .iter()
            .find(|(known, ..)| known.as_bytes() == name.text);
        match known {
            Some((_, kind, ..)) => Ok(Self::Known(*kind, words.collect())),
            None => Err(unknown(&name.text)),
        }
    }
}

/// The form for the log.
impl fmt::Display for ExecCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Greeting => f.write_str("none"),
            Self::Refused { line, .. } => write!(f, "{}", line.escape_ascii()),
            Self::Known(kind, words) => {
                let known = TABLE.iter().find(|(_, known, ..)| known == kind);
                f.write_str(known.map_or("", |(name, ..)| name))?;
                let mut words = words.iter();
                words.try_for_each(|word| write!(f, " {}", word.text.escape_ascii()))
            }
        }
    }
}

/// Returns the answer to an unknown command.
fn unknown(name: &[u8]) -> String {
    let names: Vec<_> = TABLE.iter().map(|(name, ..)| *name).collect();
    let shown: String = String::from_utf8_lossy(name)
        .chars()
        .filter(|c| !c.is_control())
        .take(64)
        .collect();
    format!(
        "landfall: unknown command \"{shown}\"; there is no shell here. Commands: {} and scp; use sftp for files\n",
        names.join(", ")
    )
}

/// Runs a command. `ids` are the uid and gid of the server's files. Returns the exit status.
pub async fn run<P: Pipe>(
    command: ExecCommand,
    vfs: Arc<Vfs>,
    ids: (u32, u32),
    mut pipe: P,
) -> u32 {
    let session = vfs.session();
    let (user, peer) = (session.user(), session.peer());
    let line = command.to_string();
    let refused = matches!(command, ExecCommand::Refused { .. });
    if refused {
        info!(user, %peer, "command refused: {}", brief(&line));
    } else {
        info!(user, %peer, "command: {line}");
    }
    session.recorder().record(&Event::Command { line, refused });
    let outcome = match command {
        ExecCommand::Greeting => {
            let quota = quota::quota(session).await;
            say(&mut pipe, greeting(user, &quota)).await
        }
        ExecCommand::Known(CommandKind::Help, _) => say(&mut pipe, help()).await,
        ExecCommand::Known(CommandKind::Quota, _) => {
            let text = quota::quota(session).await;
            say(&mut pipe, text).await
        }
        ExecCommand::Known(CommandKind::Echo, words) => {
            let words: Vec<_> = words.into_iter().map(|word| word.text).collect();
            let mut line = words.join(&b' ');
            line.push(b'\n');
            say(&mut pipe, line).await
        }
        ExecCommand::Known(CommandKind::Id, words) => id::run(user, ids, &words, &mut pipe).await,
        ExecCommand::Known(CommandKind::Df, words) => df::run(&vfs, &words, &mut pipe).await,
        ExecCommand::Known(CommandKind::Sum(algorithm), words) => {
            Sum::new(algorithm).run(&vfs, words, &mut pipe).await
        }
        ExecCommand::Refused { answer, .. } => pipe.notice(answer).await.map(|()| NOT_FOUND),
    };
    outcome.unwrap_or(FAILED)
}

fn help() -> String {
    let mut text = "Commands:\n".to_owned();
    for (_, _, usage, about) in TABLE.iter().filter(|(_, _, usage, _)| !usage.is_empty()) {
        text.push_str(&format!("  {usage:<18}  {about}\n"));
    }
    text.push_str(
        "Transfer files with sftp, scp, WinSCP, rclone, lftp, FileZilla and similar programs.\n",
    );
    text
}

fn greeting(user: &str, quota: &str) -> String {
    format!(
        "You are logged in as {user} to a file server without a shell.\n\n{quota}\n{}\
         For example: sftp {user}@HOST (with the host and port that brought you here)\n",
        help()
    )
}
