//! `landfall audit`, and the events that other commands write to the audit log.

mod filter;

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{self, BufWriter, ErrorKind, Stdout, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio::time::sleep;

use self::filter::EventFilter;
use crate::accounts::{Accounts, UserName};
use crate::config::Config;
use crate::database;
use crate::observe::audit::{AccountAction, AuditReader, Event, Operator};
use crate::operator::cli;
use crate::operator::output;
use crate::values::time::{self, rfc3339};
use crate::values::units::show_rounded;

/// Interval between two looks for new events.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Number of events shown before following, unless `--limit` says otherwise.
const BEFORE: usize = 10;

/// Runs the command.
///
/// # Errors
///
/// Errors of the disk, with the folder; a user that is neither an account nor in any event.
pub async fn run(config: &Config, command: &cli::AuditFilter) -> anyhow::Result<()> {
    let folder = &config.server.data;
    let mut reader = AuditReader::new(folder);
    let mut filter = EventFilter::new(command);
    let mut next = |filter: &mut EventFilter<'_>| {
        loop {
            let Some(line) = next_line(&mut reader, folder)? else {
                return anyhow::Ok(None);
            };
            if let Some(text) = shown(&line, filter, command.format.json) {
                return Ok(Some(text));
            }
        }
    };
    let mut out = Out(BufWriter::new(io::stdout()));
    let before = (command.follow && command.since.is_none()).then_some(BEFORE);
    let limit = command.limit.or(before);
    let mut last = VecDeque::new();
    while let Some(text) = next(&mut filter)? {
        let Some(limit) = limit else {
            if !out.put(&text)? {
                return Ok(());
            }
            continue;
        };
        keep_last(&mut last, text, limit);
    }
    if let Some(user) = filter.missing_user()
        && !is_account(config, user).await?
    {
        let user = output::visible(user);
        bail!("no user and no event has the name {user}; see: landfall user list");
    }
    if !(out.put(&last.into_iter().collect::<String>())? && out.flush()?) {
        return Ok(());
    }
    if !command.follow {
        return Ok(());
    }
    loop {
        let goes_on = match next(&mut filter)? {
            Some(text) => out.put(&text)?,
            None => {
                let is_read = out.flush()?;
                sleep(LOOK_EVERY).await;
                is_read
            }
        };
        if !goes_on {
            return Ok(());
        }
    }
}

/// Appends an item and drops the first one beyond the limit.
fn keep_last<T>(last: &mut VecDeque<T>, one: T, most: usize) {
    last.push_back(one);
    if last.len() > most {
        last.pop_front();
    }
}

/// The standard output; false for a closed pipe (`| head -1`), which is no error.
struct Out(BufWriter<Stdout>);

impl Out {
    fn put(&mut self, text: &str) -> io::Result<bool> {
        is_read(self.0.write_all(text.as_bytes()))
    }

    fn flush(&mut self) -> io::Result<bool> {
        is_read(self.0.flush())
    }
}

fn is_read(outcome: io::Result<()>) -> io::Result<bool> {
    match outcome {
        Ok(()) => Ok(true),
        Err(failure) if failure.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(failure) => Err(failure),
    }
}

/// Returns whether an account of this name exists. Creates no database.
async fn is_account(config: &Config, name: &str) -> anyhow::Result<bool> {
    let Ok(name) = name.parse::<UserName>() else {
        return Ok(false);
    };
    if !database::exists(&config.server.data)? {
        return Ok(false);
    }
    let accounts = Accounts::open(config.accounts()).await?;
    let found = accounts.find_any(&name).await;
    accounts.close().await;
    Ok(found?.is_some())
}

/// Parses a line of the audit log into an event and its time; `None` if it is not one.
fn parsed(line: &str) -> Option<(Value, i64)> {
    let event: Value = serde_json::from_str(line).ok()?;
    let time = event.get("time").and_then(Value::as_str);
    let time = time::parse(time?)?;
    Some((event, time))
}

/// Formats a line for the terminal or for programs; `None` if it is not an event or is filtered out.
fn shown(line: &[u8], filter: &mut EventFilter<'_>, as_json: bool) -> Option<String> {
    let line = str::from_utf8(line).ok()?;
    let (event, time) = parsed(line)?;
    let kind = event.get("event")?.as_str()?;
    filter.wants(&event, kind, time).then(|| {
        if as_json {
            output::visible_json(line) + "\n"
        } else {
            for_people(&event, kind, time)
        }
    })
}

/// A refused login.
pub(super) struct RefusedLogin {
    /// The client's address.
    pub(super) address: Option<IpAddr>,
    /// The event as text, with a line end.
    pub(super) line: String,
}

/// Returns the last refused logins of this name, oldest first.
///
/// # Errors
///
/// Errors of the disk, with the folder.
pub(super) fn refused_logins(
    config: &Config,
    name: &UserName,
    most: usize,
) -> anyhow::Result<Vec<RefusedLogin>> {
    let folder = &config.server.data;
    let mut reader = AuditReader::new(folder);
    let mut last = VecDeque::new();
    while let Some(line) = next_line(&mut reader, folder)? {
        // Few lines contain the name; the others need not be parsed.
        let line = str::from_utf8(&line).unwrap_or_default();
        if !line.contains("\"ok\":false") {
            continue;
        }
        let Some((event, time)) = parsed(line) else {
            continue;
        };
        let text = |name| event.get(name).and_then(Value::as_str);
        if text("event") != Some("login") || text("user") != Some(name.as_str()) {
            continue;
        }
        let peer = text("peer").and_then(|peer| peer.parse::<SocketAddr>().ok());
        let refused = RefusedLogin {
            address: peer.map(|peer| peer.ip()),
            line: for_people(&event, "login", time),
        };
        keep_last(&mut last, refused, most);
    }
    Ok(last.into())
}

fn next_line(reader: &mut AuditReader, folder: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    let line = reader.next_line();
    line.with_context(|| format!("cannot read the audit log in {}", folder.display()))
}

/// Formats one line: time, event, user, details.
fn for_people(event: &Value, kind: &str, time: i64) -> String {
    let who = word(event, "user").unwrap_or_default();
    let mut line = format!("{}  {who:<12}  {kind:<8}", rfc3339(time));
    for part in parts(event, kind) {
        let _ = write!(line, "  {part}");
    }
    if let Some(since) = word(event, "since") {
        // A combined line represents many events.
        let count = number(event, "count").unwrap_or_default();
        let same = event.get("same").and_then(Value::as_array);
        let same = same.into_iter().flatten().filter_map(Value::as_str);
        let same = same.collect::<Vec<_>>().join(", ");
        let _ = write!(line, "  x{count} since {since}");
        if !same.is_empty() {
            let _ = write!(line, ", all with the same {same}");
        }
    }
    if let Some(peer) = word(event, "peer") {
        let _ = write!(line, "  [{peer}");
        if let Some(session) = number(event, "session") {
            let _ = write!(line, ", session {session}");
        }
        line.push(']');
    }
    if let Some(operator) = event.get("operator") {
        let name = word(operator, "name");
        let uid = number(operator, "uid").unwrap_or_default();
        let _ = write!(
            line,
            "  [by {}",
            name.unwrap_or_else(|| format!("uid {uid}"))
        );
        if let Some(sudo_user) = word(operator, "sudo_user") {
            let _ = write!(line, " for {sudo_user}");
        }
        line.push(']');
    }
    line.push('\n');
    line
}

/// Formats the details of an event.
fn parts(event: &Value, kind: &str) -> Vec<String> {
    let known = |names: &[&str]| names.iter().filter_map(|name| word(event, name)).collect();
    let count = |name| number(event, name).unwrap_or_default();
    let bytes = |name| show_rounded(count(name));
    let seconds = || format!("{:.1} s", count("duration_ms") as f64 / 1000.0);
    match kind {
        "login" => {
            let is_ok = event.get("ok") == Some(&Value::Bool(true));
            let mut parts: Vec<_> = (!is_ok).then(|| "REFUSED".to_owned()).into_iter().collect();
            parts.extend::<Vec<_>>(known(&["method", "reason", "key", "client"]));
            parts
        }
        "logout" => {
            let (up, down) = (bytes("uploaded_bytes"), bytes("downloaded_bytes"));
            let mut parts = vec![
                format!("after {}", seconds()),
                format!("up {up} in {} files", count("uploaded_files")),
                format!("down {down} in {} files", count("downloaded_files")),
            ];
            parts.extend::<Vec<_>>(known(&["reason"]));
            parts
        }
        "upload" | "download" => {
            let from = match count("offset") {
                0 => String::new(),
                offset => format!(" from byte {offset} on"),
            };
            let mut parts: Vec<_> = known(&["path"]);
            parts.push(format!("{}{from} in {}", bytes("bytes"), seconds()));
            parts.extend::<Vec<_>>(known(&["result", "sha256"]));
            parts
        }
        "rename" | "link" | "copy" => {
            let names: Vec<String> = known(&["from", "to"]);
            vec![names.join(" -> ")]
        }
        "symlink" => {
            let names: Vec<String> = known(&["path", "target"]);
            vec![names.join(" -> ")]
        }
        "setstat" => {
            let mut parts: Vec<_> = known(&["path"]);
            for name in ["size", "mode", "mtime"] {
                let value = number(event, name).map(|number| number.to_string());
                let value = value.or_else(|| word(event, name));
                parts.extend(value.map(|value| format!("{name} {value}")));
            }
            parts
        }
        "kill" => {
            let mut parts = vec![format!("session {}", count("killed"))];
            parts.extend::<Vec<_>>(known(&["name", "reason"]));
            parts
        }
        "command" => {
            let is_refused = event.get("refused") == Some(&Value::Bool(true));
            let refused = is_refused.then(|| "REFUSED".to_owned());
            let line: Vec<_> = known(&["line"]);
            refused.into_iter().chain(line).collect()
        }
        "ban" => {
            let mut parts: Vec<_> = known(&["source"]);
            parts.push(format!("for {} s", count("seconds")));
            parts.extend::<Vec<_>>(known(&["reason"]));
            parts
        }
        "lost" => vec![format!("{} events", count("count"))],
        _ => {
            let mut parts: Vec<_> =
                known(&["action", "name", "source", "path", "reason", "version"]);
            let message = event.get("message").and_then(Value::as_str);
            parts.extend(message.map(|lines| output::visible(&lines.replace('\n', "; "))));
            parts
        }
    }
}

fn number(event: &Value, name: &str) -> Option<u64> {
    event.get(name).and_then(Value::as_u64)
}

/// Returns a text field of an event, without terminal control characters.
fn word(event: &Value, name: &str) -> Option<String> {
    Some(output::visible(event.get(name)?.as_str()?))
}

/// Records that an account was changed. `message` is the command's output.
pub(super) fn record_account(
    config: &Config,
    action: AccountAction,
    name: &UserName,
    message: &str,
) {
    record(
        config,
        &Event::Account {
            action,
            name: name.as_str(),
            message: message.trim_end(),
            operator: Some(operator()),
        },
    );
}

/// Records what a command has done, while a server may be running. The change is already made, so a failure
/// to record it is reported and does not fail the command.
fn record(config: &Config, event: &Event<'_>) {
    if !config.audit.enabled {
        return;
    }
    if let Err(failure) = config.audit_log().append(event) {
        output::complain(&format!(
            "landfall: done, but not recorded in the audit log: {failure}"
        ));
    }
}

/// Returns the user who runs the command.
pub(crate) fn operator() -> Operator {
    let uid = nix::unistd::getuid();
    let user = nix::unistd::User::from_uid(uid).ok().flatten();
    Operator {
        uid: uid.as_raw(),
        name: user.map(|user| user.name),
        sudo_user: std::env::var("SUDO_USER").ok(),
    }
}
