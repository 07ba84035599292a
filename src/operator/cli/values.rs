//! Values of arguments.

use clap::ValueEnum;

use crate::rules::Network;
use crate::values::time;
use crate::values::units::{parse_duration, parse_rate, parse_size};

/// A choice for one user, or the one in the configuration.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Choice {
    /// On
    On,
    /// Off
    Off,
    /// Follow the configuration
    Default,
}

impl Choice {
    /// Returns the user's own choice, or `None` for the configuration's.
    pub fn own(self) -> Option<bool> {
        match self {
            Self::On => Some(true),
            Self::Off => Some(false),
            Self::Default => None,
        }
    }
}

/// A limit; `None` is unlimited.
#[derive(Debug, Clone, Copy)]
pub struct Limit(pub Option<u64>);

/// Expiry time in seconds since 1970-01-01 00:00 UTC; `None` is never.
#[derive(Debug, Clone, Copy)]
pub struct Expiry(pub Option<i64>);

/// A network that logins may come from; `None` is anywhere.
#[derive(Debug, Clone, Copy)]
pub struct Origin(pub Option<Network>);

fn size(text: &str) -> Result<u64, String> {
    parse_size(text)
        .filter(|size| i64::try_from(*size).is_ok())
        .ok_or_else(|| {
            "a size is a number of bytes, or a number with a unit: 500M, 10GiB".to_owned()
        })
}

pub(super) fn size_or_none(text: &str) -> Result<Limit, String> {
    match text {
        "none" => Ok(Limit(None)),
        _ => size(text).map(|size| Limit(Some(size))),
    }
}

pub(super) fn number_or_none(text: &str) -> Result<Limit, String> {
    match text {
        "none" => Ok(Limit(None)),
        _ => match text.parse() {
            Ok(number) if i64::try_from(number).is_ok() => Ok(Limit(Some(number))),
            _ => Err("expected a number or \"none\"".to_owned()),
        },
    }
}

pub(super) fn sessions_or_none(text: &str) -> Result<Limit, String> {
    match number_or_none(text)? {
        Limit(Some(0)) => Err("use --disabled to refuse all logins".to_owned()),
        Limit(Some(number)) if u32::try_from(number).is_err() => {
            Err("too large; use \"none\" for no limit".to_owned())
        }
        limit => Ok(limit),
    }
}

pub(super) fn rate_or_none(text: &str) -> Result<Limit, String> {
    if text == "none" {
        return Ok(Limit(None));
    }
    parse_rate(text)
        .map(|bytes| Limit(Some(bytes)))
        .ok_or_else(|| "a rate is a size per second of at least 1KiB/s: 500k/s, 10MiB/s".to_owned())
}

pub(super) fn expiry(text: &str) -> Result<Expiry, String> {
    if text == "never" {
        return Ok(Expiry(None));
    }
    let time = time::parse(text);
    time.map(|time| Expiry(Some(time))).ok_or_else(|| {
        "expected a date (2027-01-31), a time (2027-01-31T18:00:00Z), or \"never\"".to_owned()
    })
}

/// Parses a duration, in seconds.
pub(super) fn age(text: &str) -> Result<i64, String> {
    parse_duration(text)
        .and_then(|age| i64::try_from(age.as_secs()).ok())
        .ok_or_else(|| "expected a duration such as 30d or 12h".to_owned())
}

pub(super) fn network_or_none(text: &str) -> Result<Origin, String> {
    match text {
        "none" => Ok(Origin(None)),
        _ => match text.parse() {
            Ok(network) => Ok(Origin(Some(network))),
            Err(wrong) => Err(format!("{wrong}")),
        },
    }
}
