//! Parses single values: each function's error says what would be right.

use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::Access;
use toml::Spanned;
use toml::de::DeValue;

use crate::admission::Startups;
use crate::rules::{Granted, Network, Permissions};
use crate::values::time;
use crate::values::units::{parse_duration, parse_rate, parse_size, show_size};
use crate::values::user_name::UserName;

/// A value and its position in the file.
pub(super) type Value<'i> = Spanned<DeValue<'i>>;

/// Why a value is refused.
pub(super) struct Wrong {
    /// Its position in bytes; `None` for the whole value of the key.
    pub(super) at: Option<Range<usize>>,
    /// What is wrong and what would be right.
    pub(super) text: String,
}

pub(super) type Parsed<T> = Result<T, Wrong>;

fn wrong<T>(text: impl Into<String>) -> Parsed<T> {
    Err(Wrong {
        at: None,
        text: text.into(),
    })
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn text<'v>(value: &'v Value<'_>, such_as: &str) -> Parsed<&'v str> {
    match value.get_ref() {
        DeValue::String(text) => Ok(text),
        other => wrong(format!(
            "is {}, but must be a string such as \"{such_as}\"",
            kind(other)
        )),
    }
}

/// Parses an integer up to `most`; 0 is no limit.
pub(super) fn limit<T>(value: &Value<'_>, most: T) -> Parsed<Option<T>>
where
    T: TryFrom<u64> + PartialOrd + Display + Default,
{
    let limit = integer(value, T::default()..=most)?;
    Ok((limit > T::default()).then_some(limit))
}

/// Parses an integer in a range.
pub(super) fn integer<T>(value: &Value<'_>, range: RangeInclusive<T>) -> Parsed<T>
where
    T: TryFrom<u64> + PartialOrd + Display,
{
    let must = || {
        format!(
            "must be a whole number from {} to {}",
            range.start(),
            range.end()
        )
    };
    let DeValue::Integer(number) = value.get_ref() else {
        return wrong(format!("is {}, but {}", kind(value.get_ref()), must()));
    };
    u64::from_str_radix(number.as_str(), number.radix())
        .ok()
        .and_then(|number| T::try_from(number).ok())
        .filter(|number| range.contains(number))
        .map_or_else(|| wrong(format!("is {number}, but {}", must())), Ok)
}

/// Parses folders, each as [`home`] does.
pub(super) fn homes(value: &Value<'_>, base: &Path) -> Parsed<Vec<PathBuf>> {
    let DeValue::Array(items) = value.get_ref() else {
        return wrong(format!(
            "is {}, but must be a list such as [\"/srv/files\"]",
            kind(value.get_ref())
        ));
    };
    let one = |item: &Value<'_>| {
        home(item, base).map_err(|wrong| Wrong {
            at: Some(item.span()),
            ..wrong
        })
    };
    items.iter().map(one).collect()
}

/// Parses networks and addresses.
pub(super) fn networks(value: &Value<'_>) -> Parsed<Arc<[Network]>> {
    let DeValue::Array(items) = value.get_ref() else {
        return wrong(format!(
            "is {}, but must be a list such as [\"10.0.0.0/8\"]",
            kind(value.get_ref())
        ));
    };
    let network = |item: &Value<'_>| {
        text(item, "10.0.0.0/8")
            .and_then(|text| {
                let network = text.parse();
                network.or_else(|failure| wrong(format!("contains {text:?}: {failure}")))
            })
            .map_err(|wrong| Wrong {
                at: Some(item.span()),
                ..wrong
            })
    };
    items.iter().map(network).collect()
}

/// Parses `start:rate:full`, as MaxStartups in sshd_config(5).
pub(super) fn startups(value: &Value<'_>) -> Parsed<Startups> {
    let such_as = "100:30:300";
    let text = text(value, such_as)?;
    let numbers = text
        .split(':')
        .map(str::parse)
        .collect::<Result<Vec<u32>, _>>();
    match numbers.as_deref() {
        Ok(&[start, rate, full]) if (1..=full).contains(&start) && rate <= 100 => Ok(Startups {
            start: start as usize,
            rate,
            full: full as usize,
        }),
        _ => wrong(format!(
            "is {text:?}, but must be START:PERCENT:FULL such as {such_as:?}, START at most FULL"
        )),
    }
}

/// Parses `true` or `false`.
pub(super) fn boolean(value: &Value<'_>) -> Parsed<bool> {
    match value.get_ref() {
        DeValue::Boolean(yes) => Ok(*yes),
        other => wrong(format!("is {}, but must be true or false", kind(other))),
    }
}

/// Parses a duration in a range.
pub(super) fn duration(value: &Value<'_>, range: RangeInclusive<Duration>) -> Parsed<Duration> {
    let text = text(value, "30s")?;
    match parse_duration(text) {
        None => wrong(format!(
            "is {text:?}, which is not a duration such as \"30s\" or \"2m\""
        )),
        Some(duration) if !range.contains(&duration) => wrong(format!(
            "is {text:?}, but must be from {:?} to {:?}",
            range.start(),
            range.end()
        )),
        Some(duration) => Ok(duration),
    }
}

/// Parses a size in a range, in bytes.
pub(super) fn size(value: &Value<'_>, range: RangeInclusive<u64>) -> Parsed<u64> {
    let text = text(value, "19MiB")?;
    match parse_size(text) {
        None => wrong(format!(
            "is {text:?}, which is not a size such as \"19MiB\" or \"1.5GB\""
        )),
        Some(size) if !range.contains(&size) => wrong(format!(
            "is {text:?}, but must be from {} to {}",
            show_size(*range.start()),
            show_size(*range.end())
        )),
        Some(size) => Ok(size),
    }
}

/// Parses one or more addresses without duplicates.
pub(super) fn addresses(value: &Value<'_>) -> Parsed<Vec<SocketAddr>> {
    const RIGHT: &str = "must be a list such as [\"127.0.0.1:2022\", \"[::1]:2022\"]";
    let DeValue::Array(list) = value.get_ref() else {
        return wrong(format!("is {}, but {RIGHT}", kind(value.get_ref())));
    };
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for item in list.iter() {
        let here = |text| Wrong {
            at: Some(item.span()),
            text,
        };
        let DeValue::String(text) = item.get_ref() else {
            return Err(here(format!(
                "contains {}, but {RIGHT}",
                kind(item.get_ref())
            )));
        };
        let Ok(address) = text.parse::<SocketAddr>() else {
            return Err(here(format!(
                "contains {text:?}, which is not an IP address and a port such as \"127.0.0.1:2022\", \"0.0.0.0:22\" or \"[::]:2022\""
            )));
        };
        // The system chooses another port for each 0.
        if address.port() != 0 && addresses.contains(&address) {
            return Err(here(format!("contains {text:?} twice")));
        }
        addresses.push(address);
    }
    if addresses.is_empty() {
        return wrong(format!("is empty, but {RIGHT}"));
    }
    Ok(addresses)
}

/// Parses a rate in bytes per second, or "none".
pub(super) fn rate(value: &Value<'_>) -> Parsed<Option<u64>> {
    let text = text(value, "10MiB/s")?;
    if text == "none" {
        return Ok(None);
    }
    parse_rate(text).map_or_else(
        || {
            wrong(format!(
                "is {text:?}, which is neither a rate of at least \"1KiB/s\", such as \"10MiB/s\", nor \"none\""
            ))
        },
        |rate| Ok(Some(rate)),
    )
}

/// Parses an address to listen on, or a port of the loopback address; "" is none.
pub(super) fn port_or_address(value: &Value<'_>) -> Parsed<Option<SocketAddr>> {
    let text = text(value, "127.0.0.1:9422")?;
    if text.is_empty() {
        return Ok(None);
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse::<u16>().ok().filter(|_| digits);
    port.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .or_else(|| text.parse().ok())
        .map_or_else(
            || {
                wrong(format!(
                    "is {text:?}, but must be a port such as \"9422\", an IP address and a port such as \"127.0.0.1:9422\", or \"\""
                ))
            },
            |address| Ok(Some(address)),
        )
}

/// Parses the path of a folder for homes without accessing its disk, which may hang; code that needs the
/// folder checks it.
pub(super) fn home(value: &Value<'_>, base: &Path) -> Parsed<PathBuf> {
    let text = text(value, "data")?;
    if text.is_empty() || text.contains('\0') {
        return wrong(format!("is {text:?}, which is not the name of a folder"));
    }
    Ok(base.join(text))
}

/// Parses the path of a folder that exists or can be created.
pub(super) fn folder(value: &Value<'_>, base: &Path) -> Parsed<PathBuf> {
    let path = home(value, base)?;
    let text = text(value, "data")?;
    let existing = path
        .ancestors()
        .find(|path| path.symlink_metadata().is_ok());
    let Some(existing) = existing else {
        return Ok(path);
    };
    let shown = existing.display();
    match existing.metadata() {
        Err(failure) => wrong(format!(
            "is {text:?}, but {shown} cannot be used: {failure}"
        )),
        Ok(metadata) if !metadata.is_dir() => {
            wrong(format!("is {text:?}, but {shown} is not a folder"))
        }
        Ok(_) => match rustix::fs::access(
            existing,
            Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK,
        ) {
            Err(failure) => wrong(format!(
                "is {text:?}, but {shown} cannot be used: {}; its owner must be the user that runs landfall",
                std::io::Error::from(failure)
            )),
            Ok(()) => Ok(path),
        },
    }
}

/// Parses text by its type.
pub(super) fn parsed<T>(value: &Value<'_>, such_as: &str) -> Parsed<T>
where
    T: FromStr<Err: Display>,
{
    let text = text(value, such_as)?;
    text.parse()
        .or_else(|refused| wrong(format!("is {text:?}: {refused}")))
}

/// Parses text that no message may repeat.
pub(super) fn secret<T>(value: &Value<'_>, such_as: &str) -> Parsed<T>
where
    T: FromStr<Err: Display>,
{
    let text = text(value, such_as)?;
    text.parse()
        .or_else(|refused| wrong(format!("is wrong: {refused}")))
}

/// Parses a list of texts by their type.
pub(super) fn list<T>(value: &Value<'_>, such_as: &str) -> Parsed<Vec<T>>
where
    T: FromStr<Err: Display>,
{
    let DeValue::Array(list) = value.get_ref() else {
        return wrong(format!(
            "is {}, but must be a list such as [\"{such_as}\"]",
            kind(value.get_ref())
        ));
    };
    let item = |item: &Value<'_>| {
        parsed(item, such_as).map_err(|wrong| Wrong {
            at: Some(item.span()),
            text: format!("has an item which {}", wrong.text),
        })
    };
    list.iter().map(item).collect()
}

/// Parses a date or a time, to seconds since 1970-01-01 00:00 UTC.
pub(super) fn moment(value: &Value<'_>) -> Parsed<i64> {
    let text = text(value, "2027-01-31")?;
    time::parse(text).map_or_else(
        || {
            wrong(format!(
                "is {text:?}, which is neither a date such as \"2027-01-31\" nor a time such as \"2027-01-31T18:00:00Z\""
            ))
        },
        Ok,
    )
}

/// Parses as [`home`] does; "" is none.
pub(super) fn home_or_none(value: &Value<'_>, base: &Path) -> Parsed<Option<PathBuf>> {
    match value.get_ref() {
        DeValue::String(text) if text.is_empty() => Ok(None),
        _ => home(value, base).map(Some),
    }
}

/// Parses the path of a readable file; "" is none.
pub(super) fn file_or_none(value: &Value<'_>, base: &Path) -> Parsed<Option<PathBuf>> {
    let text = text(value, "keys/user_ca.pub")?;
    if text.is_empty() {
        return Ok(None);
    }
    let path = base.join(text);
    match std::fs::File::open(&path).and_then(|file| file.metadata()) {
        Ok(metadata) if metadata.is_file() => Ok(Some(path)),
        Ok(_) => wrong(format!("is {text:?}, which is not a file")),
        Err(failure) => wrong(format!("is {text:?}, which cannot be read: {failure}")),
    }
}

/// Parses a size or "none".
pub(super) fn size_or_none(value: &Value<'_>) -> Parsed<Option<u64>> {
    match value.get_ref() {
        DeValue::String(text) if text == "none" => Ok(None),
        // The range of the database.
        _ => size(value, 0..=i64::MAX as u64).map(Some),
    }
}

/// Parses an account name.
pub(super) fn user_name(value: &Value<'_>) -> Parsed<String> {
    let text = text(value, "guest")?;
    match text.parse::<UserName>() {
        Ok(_) => Ok(text.to_owned()),
        Err(reason) => wrong(format!("is {text:?}, but {reason}")),
    }
}

/// Parses a list of permissions: for the home, and for directories in it.
pub(super) fn permissions(value: &Value<'_>) -> Parsed<Permissions> {
    const RIGHT: &str = "must be a list such as [\"read-only\", \"/incoming=upload-only\"]";
    let DeValue::Array(list) = value.get_ref() else {
        return wrong(format!("is {}, but {RIGHT}", kind(value.get_ref())));
    };
    // Without a set for the home, nothing is permitted there.
    let mut permissions = Permissions::from(Granted::NOTHING);
    for item in list.iter() {
        let here = |text| Wrong {
            at: Some(item.span()),
            text,
        };
        let DeValue::String(text) = item.get_ref() else {
            return Err(here(format!(
                "contains {}, but {RIGHT}",
                kind(item.get_ref())
            )));
        };
        match text.parse() {
            Ok(rule) => permissions.set(rule),
            Err(reason) => return Err(here(format!("contains {text:?}, but {reason}"))),
        }
    }
    Ok(permissions)
}

/// Parses a umask: an octal string that keeps the owner's own bits.
pub(super) fn umask(value: &Value<'_>) -> Parsed<u32> {
    let text = text(value, "022")?;
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match u32::from_str_radix(text, 8) {
        Ok(mask) if digits && mask & !0o077 == 0 => Ok(mask),
        Ok(mask) if digits && mask <= 0o777 => wrong(format!(
            "is {text:?}, which would lock users out of their own files; it must be from \"000\" to \"077\""
        )),
        _ => wrong(format!(
            "is {text:?}, which is not an octal number from \"000\" to \"077\""
        )),
    }
}

/// Parses one of several words.
pub(super) fn one_of<T: Copy>(value: &Value<'_>, choices: &[(&str, T)]) -> Parsed<T> {
    let such_as = choices.first().map_or("", |(word, _)| word);
    let text = text(value, such_as)?;
    if let Some((_, meant)) = choices.iter().find(|(word, _)| *word == text) {
        return Ok(*meant);
    }
    let words: Vec<_> = choices
        .iter()
        .map(|(word, _)| format!("{word:?}"))
        .collect();
    let right = match words.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => words.concat(),
    };
    wrong(format!("is {text:?}, but must be {right}"))
}

/// Parses a log level.
pub(super) fn level(value: &Value<'_>) -> Parsed<tracing::Level> {
    let choices = [
        ("error", tracing::Level::ERROR),
        ("warn", tracing::Level::WARN),
        ("info", tracing::Level::INFO),
        ("debug", tracing::Level::DEBUG),
        ("trace", tracing::Level::TRACE),
    ];
    one_of(value, &choices)
}
