//! Sizes and durations as people write them.

use std::time::Duration;

/// The units of sizes. K, M, G and T are powers of 1000; with an "i" they are powers of 1024.
const SIZES: &[(&str, u64)] = &[
    ("", 1),
    ("b", 1),
    ("k", 1_000),
    ("kb", 1_000),
    ("kib", 1 << 10),
    ("m", 1_000_000),
    ("mb", 1_000_000),
    ("mib", 1 << 20),
    ("g", 1_000_000_000),
    ("gb", 1_000_000_000),
    ("gib", 1 << 30),
    ("t", 1_000_000_000_000),
    ("tb", 1_000_000_000_000),
    ("tib", 1 << 40),
];

/// The units of a duration, in milliseconds.
const DURATIONS: &[(&str, u64)] = &[
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// Parses `500M`, `10GiB`, `1.5TB` or a number of bytes; `None` if it is malformed or does not fit in 64
/// bits.
pub fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = split_unit(text);
    let unit = lookup(SIZES, &unit.to_ascii_lowercase())?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole = digits(whole)?.checked_mul(unit)?;
    if fraction.is_empty() {
        return (!number.contains('.')).then_some(whole);
    }
    let scale = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let part = u128::from(digits(fraction)?).checked_mul(u128::from(unit))? / scale;
    whole.checked_add(u64::try_from(part).ok()?)
}

/// Parses a size per second (`500k/s`, `10MiB/s`; `/s` is optional). A rate must not stall a transfer: one
/// SSH packet takes up to 32 KiB.
pub fn parse_rate(text: &str) -> Option<u64> {
    const LEAST: u64 = 1024;
    let bytes = parse_size(text.strip_suffix("/s").unwrap_or(text))?;
    let is_rate = bytes >= LEAST && i64::try_from(bytes).is_ok();
    is_rate.then_some(bytes)
}

/// Parses `500ms`, `30s`, `2m`, `1h` or `7d`; `None` if it is malformed or does not fit in 64 bits of
/// milliseconds.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = split_unit(text);
    let milliseconds = digits(number)?.checked_mul(lookup(DURATIONS, unit)?)?;
    Some(Duration::from_millis(milliseconds))
}

/// Formats a size in the largest unit without a fraction, as the configuration writes it.
pub fn show_size(bytes: u64) -> String {
    let exact = [
        ("TiB", 1_u64 << 40),
        ("GiB", 1 << 30),
        ("MiB", 1 << 20),
        ("KiB", 1 << 10),
    ];
    for (name, unit) in exact {
        if bytes >= unit && bytes.is_multiple_of(unit) {
            return format!("{}{name}", bytes / unit);
        }
    }
    format!("{bytes} bytes")
}

/// Formats a size with one decimal, for people: `9.8 GiB`.
pub fn show_rounded(bytes: u64) -> String {
    let units = [
        ("TiB", 1_u64 << 40),
        ("GiB", 1 << 30),
        ("MiB", 1 << 20),
        ("KiB", 1 << 10),
    ];
    match units.iter().find(|(_, unit)| bytes >= *unit) {
        Some((name, unit)) => {
            let tenths = (u128::from(bytes) * 10 + u128::from(*unit) / 2) / u128::from(*unit);
            format!("{}.{} {name}", tenths / 10, tenths % 10)
        }
        None => format!("{bytes} bytes"),
    }
}

fn split_unit(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim_start())
}

fn lookup(units: &[(&str, u64)], name: &str) -> Option<u64> {
    units
        .iter()
        .find(|(unit, _)| *unit == name)
        .map(|(_, factor)| *factor)
}

fn digits(text: &str) -> Option<u64> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_decimal_and_binary_units() {
        let cases: &[(&str, u64)] = &[
            ("0", 0),
            ("4096", 4096),
            ("500M", 500_000_000),
            ("10GiB", 10 << 30),
            ("10 gib", 10 << 30),
            ("1.5TB", 1_500_000_000_000),
            ("0.5KiB", 512),
            ("18446744073709551615", u64::MAX),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse_size(text), Some(*bytes), "{text}");
        }
        for text in [
            "",
            "M",
            "-1",
            "1.",
            ".5",
            "1.2.3M",
            "10XB",
            "1e3",
            "18446744073709551616",
            "99999999TiB",
        ] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(parse_duration("30s"), Some(Duration::from_secs(30)));
        assert_eq!(parse_duration("2m"), Some(Duration::from_secs(120)));
        assert_eq!(parse_duration("250ms"), Some(Duration::from_millis(250)));
        for text in [
            "",
            "30",
            "s",
            "1.5s",
            "-1s",
            "30 sec",
            "99999999999999999999s",
        ] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_are_shown_without_a_fraction() {
        assert_eq!(show_size(19 << 20), "19MiB");
        assert_eq!(show_size(1 << 30), "1GiB");
        assert_eq!(show_size(1000), "1000 bytes");
    }
}
