//! Days and dates of the Gregorian calendar, in UTC: enough to print a time and to read one.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: i64 = 86_400;

/// Seconds since 1970-01-01 00:00 UTC.
pub fn now() -> i64 {
    let elapsed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX)
}

/// Year, month (1 to 12) and day of a count of days since 1970-01-01: Howard Hinnant's
/// `civil_from_days`.
pub fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// Days since 1970-01-01 of a date: Howard Hinnant's `days_from_civil`. `None` if there is no such
/// date.
pub fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let year_from_march = if month <= 2 {
        year.checked_sub(1)?
    } else {
        year
    };
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let era = year_from_march.div_euclid(400);
    let year_of_era = year_from_march.rem_euclid(400);
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era
        .checked_mul(146_097)?
        .checked_add(day_of_era - 719_468)?;
    (civil(days) == (year, month, day)).then_some(days)
}

/// `2026-11-21T01:19:00Z` (RFC 3339) of seconds since 1970-01-01 00:00 UTC.
pub fn rfc3339(seconds: i64) -> String {
    let (year, month, day) = civil(seconds.div_euclid(DAY));
    let second = seconds.rem_euclid(DAY);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// As [`rfc3339`], with milliseconds, of a time since 1970-01-01 00:00 UTC.
pub fn rfc3339_millis(since_1970: Duration) -> String {
    let seconds = i64::try_from(since_1970.as_secs()).unwrap_or(i64::MAX);
    let mut text = rfc3339(seconds);
    text.truncate(text.len() - 1);
    text.push_str(&format!(".{:03}Z", since_1970.subsec_millis()));
    text
}

/// `20261121T011900Z` (ISO 8601's basic format) of seconds since 1970-01-01 00:00 UTC, for names.
pub fn compact_utc(seconds: i64) -> String {
    rfc3339(seconds).replace(['-', ':'], "")
}

/// Reads a time in UTC as people and programs write it: `2026-11-21`, or with a time behind it, as in
/// `2026-11-21T01:19`, `2026-11-21 01:19:00` and `2026-11-21T01:19:00.123Z`. Seconds since 1970-01-01
/// 00:00 UTC; what is behind the point is left out.
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00"));
    let time = time.split_once('.').map_or(time, |(time, _)| time);
    let numbers = |text: &str, separator| {
        let parts = text.split(separator).map(|part| {
            let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| part.parse::<i64>().ok()).flatten()
        });
        parts.collect::<Option<Vec<_>>>()
    };
    let (date, time) = (numbers(date, '-')?, numbers(time, ':')?);
    let &[year, month, day] = date.as_slice() else {
        return None;
    };
    let (hour, minute, second) = match *time.as_slice() {
        [hour, minute] => (hour, minute, 0),
        [hour, minute, second] => (hour, minute, second),
        _ => return None,
    };
    if year > 9999 || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some(days(year, month, day)? * DAY + hour * 3600 + minute * 60 + second)
}

/// Reads a time as OpenSSH writes it in UTC: `YYYYMMDDZ`, `YYYYMMDDHHMMZ` or `YYYYMMDDHHMMSSZ`
/// (ssh-keygen(1), "-V"); seconds since 1970-01-01 00:00 UTC.
pub fn parse_compact_utc(text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z')?;
    if !text.bytes().all(|b| b.is_ascii_digit()) || ![8, 12, 14].contains(&text.len()) {
        return None;
    }
    let field = |from, to| text.get(from..to).unwrap_or("0").parse::<i64>().ok();
    let (hour, minute, second) = (field(8, 10)?, field(10, 12)?, field(12, 14)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = days(field(0, 4)?, field(4, 6)?, field(6, 8)?)?;
    Some(days * DAY + hour * 3600 + minute * 60 + second)
}

/// Reads a date, whose first moment in UTC is meant (`2027-01-31`), or a time as in RFC 3339
/// (`2027-01-31T18:00:00+01:00`), without its fraction; seconds since 1970-01-01 00:00 UTC.
pub fn parse_date_or_time(text: &str) -> Option<i64> {
    let (date, time) = match text.split_once(['T', 't']) {
        Some((date, time)) => (date, time),
        None => (text, "00:00:00Z"),
    };
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let zone = time.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = time.split_at_checked(zone)?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
    let offset = match zone.split_at_checked(1)? {
        ("Z" | "z", "") => 0,
        (sign, zone) => {
            let [hours, minutes] = numbers(zone, ':', [2, 2])?;
            if hours > 23 || minutes > 59 || sign == "Z" || sign == "z" {
                return None;
            }
            (hours * 3600 + minutes * 60) * if sign == "-" { -1 } else { 1 }
        }
    };
    let is_fraction = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
    if hour > 23 || minute > 59 || second > 59 || !is_fraction {
        return None;
    }
    let seconds = days(year, month, day)? * DAY + hour * 3600 + minute * 60 + second;
    Some(seconds - offset)
}

/// Numbers of as many digits as told.
fn numbers<const N: usize>(text: &str, between: char, digits: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(between);
    let mut found = [0; N];
    for (number, digits) in found.iter_mut().zip(digits) {
        let part = parts.next()?;
        if part.len() != digits || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates_and_dates_days() {
        for (number, date) in [
            (0, (1970, 1, 1)),
            (-1, (1969, 12, 31)),
            (11_016, (2000, 2, 29)),
            (20_778, (2026, 11, 21)),
        ] {
            assert_eq!(civil(number), date);
            assert_eq!(days(date.0, date.1, date.2), Some(number));
        }
        for number in (-800_000..800_000).step_by(37) {
            let (year, month, day) = civil(number);
            assert_eq!(days(year, month, day), Some(number));
        }
        for (year, month, day) in [
            (2026, 2, 29),
            (2026, 13, 1),
            (2026, 0, 1),
            (2026, 4, 31),
            (2026, 1, 0),
        ] {
            assert_eq!(days(year, month, day), None, "{year}-{month}-{day}");
        }
    }

    #[test]
    fn times_are_printed_and_read() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(1_795_219_261), "2026-11-21T00:01:01Z");
        let time = Duration::from_millis(1_795_219_261_007);
        assert_eq!(rfc3339_millis(time), "2026-11-21T00:01:01.007Z");
        assert_eq!(compact_utc(1_795_219_261), "20261121T000101Z");
        for text in [
            "2026-11-21T00:01:01.007Z",
            "2026-11-21T00:01:01Z",
            "2026-11-21 00:01:01",
        ] {
            assert_eq!(parse_rfc3339(text), Some(1_795_219_261), "{text}");
        }
        assert_eq!(parse_rfc3339("2026-11-21"), Some(1_795_219_200));
        assert_eq!(parse_rfc3339("2026-11-21T00:01"), Some(1_795_219_260));
        for text in [
            "",
            "Z",
            "2026-11",
            "2026-02-31",
            "2026-11-21T",
            "2026-11-21T24:00",
            "2026-11-21T+1:00",
            "20261121",
            "99999-01-01",
        ] {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
        assert_eq!(parse_compact_utc("20261121Z"), Some(1_795_219_200));
        assert_eq!(parse_compact_utc("202611210001Z"), Some(1_795_219_260));
        assert_eq!(parse_compact_utc("20261121000101Z"), Some(1_795_219_261));
        for text in [
            "",
            "Z",
            "20261121",
            "2026112Z",
            "20260231Z",
            "202611212400Z",
            "2026-11-21Z",
            "20261121000160Z",
        ] {
            assert_eq!(parse_compact_utc(text), None, "{text}");
        }
    }

    #[test]
    fn dates_and_times_are_read() {
        for (text, seconds) in [
            ("2026-11-21", 1_795_219_200),
            ("2026-11-21T00:01:01Z", 1_795_219_261),
            ("2026-11-21t01:31:01.25+01:30", 1_795_219_261),
            ("2026-11-20T23:01:01-01:00", 1_795_219_261),
        ] {
            assert_eq!(parse_date_or_time(text), Some(seconds), "{text}");
        }
        for text in [
            "",
            "never",
            "2026-11-31",
            "2026-11-21T",
            "2026-11-21T00:00:00",
            "2026-11-21 00:00:00Z",
            "2026-11-21T24:00:00Z",
            "2026-11-21T00:00Z",
            "2026-11-21T00:00:00.Z",
            "2026-11-21T00:00:00Z1",
            "2026-11-21T00:00:00+0100",
            "2026-11-21T00:00:00+24:00",
            "2026-1-21",
            "+026-11-21",
            "26-11-21",
        ] {
            assert_eq!(parse_date_or_time(text), None, "{text}");
        }
    }
}
