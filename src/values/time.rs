//! Times: printed in UTC, and read as people and programs write them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::fmt::temporal::Pieces;
use jiff::tz::Offset;

/// Returns the seconds since 1970-01-01 00:00 UTC.
pub fn now() -> i64 {
    let elapsed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX)
}

/// Returns the date of a time in seconds since 1970-01-01 00:00 UTC. A year before -9999 or after 9999
/// becomes the nearest of these.
pub fn date(seconds: i64) -> Date {
    Offset::UTC.to_datetime(timestamp(seconds)).date()
}

/// Prints seconds since 1970-01-01 00:00 UTC as in `2026-11-21T01:19:00Z` (RFC 3339).
pub fn rfc3339(seconds: i64) -> String {
    timestamp(seconds).to_string()
}

/// Prints a time since 1970-01-01 00:00 UTC as [`rfc3339`] does, with milliseconds.
pub fn rfc3339_millis(since_1970: Duration) -> String {
    let milliseconds = i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX);
    let time = Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::MAX);
    format!("{time:.3}")
}

/// Prints seconds since 1970-01-01 00:00 UTC as in `20261121T011900Z` (ISO 8601, basic format), for names of
/// files.
pub fn compact_utc(seconds: i64) -> String {
    timestamp(seconds).strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// Reads a date, which stands for its first moment, or a date with a time: `2027-01-31`, `2027-01-31T18:00`,
/// `2027-01-31 18:00:00.5Z` or `2027-01-31T18:00:00+01:00`. The time is in UTC unless it has an offset.
///
/// Returns the whole seconds since 1970-01-01 00:00 UTC.
pub fn parse(text: &str) -> Option<i64> {
    let pieces = Pieces::parse(text).ok()?;
    // A zone by its name needs the time zone database, which a server may lack.
    if pieces.time_zone_annotation().is_some() {
        return None;
    }
    let time = DateTime::from_parts(pieces.date(), pieces.time().unwrap_or_default());
    let offset = pieces.to_numeric_offset().unwrap_or(Offset::UTC);
    seconds(time, offset)
}

/// Reads a time in UTC as ssh-keygen(1) writes it ("-V"): `YYYYMMDDZ`, `YYYYMMDDHHMMZ` or `YYYYMMDDHHMMSSZ`.
///
/// Returns the seconds since 1970-01-01 00:00 UTC.
pub fn parse_compact_utc(text: &str) -> Option<i64> {
    let digits = text.strip_suffix('Z')?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let time = match digits.len() {
        8 => Date::strptime("%Y%m%d", digits)
            .ok()?
            .to_datetime(Default::default()),
        12 => DateTime::strptime("%Y%m%d%H%M", digits).ok()?,
        14 => DateTime::strptime("%Y%m%d%H%M%S", digits).ok()?,
        _ => return None,
    };
    seconds(time, Offset::UTC)
}

/// Returns the nearest time that has a date: its year is between -9999 and 9999.
fn timestamp(seconds: i64) -> Timestamp {
    let nearest = seconds.clamp(Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
    Timestamp::from_second(nearest).unwrap_or_default()
}

fn seconds(time: DateTime, offset: Offset) -> Option<i64> {
    let time = offset.to_timestamp(time).ok()?;
    // Rounds down before 1970, too.
    Some(time.as_second() - i64::from(time.subsec_nanosecond() < 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: i64 = 1_795_219_261;

    #[test]
    fn times_are_printed_in_utc() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(TIME), "2026-11-21T00:01:01Z");
        let time = Duration::from_millis(1_795_219_261_007);
        assert_eq!(rfc3339_millis(time), "2026-11-21T00:01:01.007Z");
        let time = Duration::from_secs(1_795_219_261);
        assert_eq!(rfc3339_millis(time), "2026-11-21T00:01:01.000Z");
        assert_eq!(compact_utc(TIME), "20261121T000101Z");
        for (seconds, date_of_it) in [
            (-1, (1969, 12, 31)),
            (951_782_400, (2000, 2, 29)),
            (TIME, (2026, 11, 21)),
        ] {
            let date = date(seconds);
            assert_eq!((date.year(), date.month(), date.day()), date_of_it);
        }
        assert_eq!(date(i64::MAX).year(), 9999);
        assert_eq!(date(i64::MIN).year(), -9999);
        assert_eq!(rfc3339(i64::MAX), "9999-12-30T22:00:00Z");
        assert_eq!(rfc3339_millis(Duration::MAX), "9999-12-30T22:00:00.999Z");
    }

    #[test]
    fn dates_and_times_are_read() {
        for (text, seconds) in [
            ("2026-11-21", 1_795_219_200),
            ("2026-11-21T00:01", 1_795_219_260),
            ("2026-11-21T00:01Z", 1_795_219_260),
            ("2026-11-21T00:01:01", TIME),
            ("2026-11-21 00:01:01", TIME),
            ("2026-11-21T00:01:01Z", TIME),
            ("2026-11-21T00:01:01.007Z", TIME),
            ("2026-11-21t01:31:01.25+01:30", TIME),
            ("2026-11-20T23:01:01-01:00", TIME),
            ("1969-12-31T23:59:59.5Z", -1),
        ] {
            assert_eq!(parse(text), Some(seconds), "{text}");
        }
        for text in [
            "",
            "Z",
            "never",
            "26-11-21",
            "2026-11",
            "2026-1-21",
            "2026-02-29",
            "2026-11-31",
            "2026-13-01",
            "2026-00-01",
            "2026-01-00",
            "2026-11-21T",
            "2026-11-21T24:00",
            "2026-11-21T+1:00",
            "2026-11-21T00:60:00",
            "2026-11-21T00:00:00.Z",
            "2026-11-21T00:00:00Z1",
            "2026-11-21T00:00:00+99:00",
            "2026-11-21T00:00:00[Europe/Berlin]",
            "2026-11-21T00:00:00+01:00[Europe/Berlin]",
            "99999-01-01",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn times_of_openssh_are_read() {
        assert_eq!(parse_compact_utc("20261121Z"), Some(1_795_219_200));
        assert_eq!(parse_compact_utc("202611210001Z"), Some(1_795_219_260));
        assert_eq!(parse_compact_utc("20261121000101Z"), Some(TIME));
        for text in [
            "",
            "Z",
            "20261121",
            "2026112Z",
            "20260231Z",
            "202611212400Z",
            "2026-11-21Z",
            "20261121000161Z",
        ] {
            assert_eq!(parse_compact_utc(text), None, "{text}");
        }
    }
}
