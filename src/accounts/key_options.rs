//! The options of a line of authorized_keys (sshd(8)): some are supported, all others are refused.

use anyhow::{Context as _, bail};

use super::security_key::Required;
use crate::values::time;

/// Options that restrict what no session has here: terminals, forwarding, the user's own commands.
const ALWAYS_TRUE: [&str; 6] = [
    "restrict",
    "no-pty",
    "no-port-forwarding",
    "no-agent-forwarding",
    "no-x11-forwarding",
    "no-user-rc",
];

/// Returns what the options require of a security key's signature.
pub(super) fn required(options: &str) -> anyhow::Result<Required> {
    Ok(honoured(options)?.required)
}

/// Returns the position of the first wanted character outside of quotes; `\"` does not end a quote.
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

/// The supported options of a key.
#[derive(Default)]
pub(super) struct Honoured {
    pub(super) expires_at: Option<i64>,
    pub(super) required: Required,
    /// One of them applies to security keys only.
    pub(super) for_security_keys: bool,
}

/// Parses the supported options and refuses all others by name.
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
                // The earliest time counts, as in OpenSSH.
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
