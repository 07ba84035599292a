//! The options of a line of authorized_keys (sshd(8)): which are honoured, and that all others are refused.

use anyhow::{Context as _, bail};

use super::security_key::Required;
use crate::values::time;

/// Options that ask for nothing but what holds for every session: there are no terminals, no
/// forwarding and no commands of the user's own here.
const ALWAYS_TRUE: [&str; 6] = [
    "restrict",
    "no-pty",
    "no-port-forwarding",
    "no-agent-forwarding",
    "no-x11-forwarding",
    "no-user-rc",
];

/// What the options of a key require of the user of a security key.
pub(super) fn required(options: &str) -> anyhow::Result<Required> {
    Ok(honoured(options)?.required)
}

/// The place of the first character that is meant and not in quotes; `\"` does not end a quote.
pub(super) fn unquoted(text: &str, meant: impl Fn(char) -> bool) -> anyhow::Result<Option<usize>> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' if !escaped => quoted = !quoted,
            c if !quoted && meant(c) => return Ok(Some(at)),
            _ => {}
        }
        escaped = c == '\\' && !escaped;
    }
    if quoted {
        bail!("a quote in the options does not end")
    } else {
        Ok(None)
    }
}

/// What the options of a key ask for.
#[derive(Default)]
pub(super) struct Honoured {
    pub(super) expires_at: Option<i64>,
    pub(super) required: Required,
    /// One of them is for security keys only.
    pub(super) for_security_keys: bool,
}

/// Reads the options that are honoured and refuses all others by name.
pub(super) fn honoured(options: &str) -> anyhow::Result<Honoured> {
    let mut honoured = Honoured::default();
    let mut rest = options;
    while !rest.is_empty() {
        let (option, after) = match unquoted(rest, |c| c == ',')? {
            Some(comma) => {
                let (option, after) = rest.split_at(comma);
                (option, after.get(1..).unwrap_or_default())
            }
            None => (rest, ""),
        };
        rest = after;
        let (name, value) = option
            .split_once('=')
            .map_or((option, None), |(n, v)| (n, Some(v)));
        let lower = name.to_ascii_lowercase();
        match (lower.as_str(), value) {
            (flag, None) if ALWAYS_TRUE.contains(&flag) => {}
            ("expiry-time", Some(value)) => {
                let time = expiry(value)?;
                // The earliest holds, as in OpenSSH.
                let earliest = honoured.expires_at.map_or(time, |other| other.min(time));
                honoured.expires_at = Some(earliest);
            }
            ("no-touch-required", None) => {
                honoured.required.presence = false;
                honoured.for_security_keys = true;
            }
            ("verify-required", None) => {
                honoured.required.verification = true;
                honoured.for_security_keys = true;
            }
            _ => bail!(
                "the option {name:?} is not supported; take it away if the key may log in without it (supported: {}, no-touch-required, verify-required, expiry-time=\"...\")",
                ALWAYS_TRUE.join(", ")
            ),
        }
    }
    Ok(honoured)
}

fn expiry(value: &str) -> anyhow::Result<i64> {
    value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'))
        .and_then(time::parse_compact_utc)
        .with_context(|| format!(
            "expiry-time={value} is not a time in UTC such as expiry-time=\"20301231Z\" or expiry-time=\"203012312359Z\""
        ))
}
