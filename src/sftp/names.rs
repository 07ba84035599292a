//! The long name of a directory entry: a line like that of `ls -l` (draft-ietf-secsh-filexfer-02, section
//! 7), in the exact form of OpenSSH's sftp-server, which FileZilla and WinSCP parse.

use crate::store::Metadata;
use crate::values::time;

/// Older entries show the year instead of the time: half a year, as in `ls`.
const RECENT: i64 = 365 * 24 * 3600 / 2;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Names for uid and gid.
#[derive(Debug, Clone)]
pub struct Owners {
    /// The user id of the server's own files.
    pub uid: u32,
    /// The group id of the server's own files.
    pub gid: u32,
    /// The account's name, for both.
    pub name: String,
}

impl Owners {
    /// Returns the name of a user id, if it has one.
    pub fn user(&self, uid: u32) -> Option<&str> {
        (uid == self.uid).then_some(self.name.as_str())
    }

    /// Returns the name of a group id, if it has one.
    pub fn group(&self, gid: u32) -> Option<&str> {
        (gid == self.gid).then_some(self.name.as_str())
    }
}

/// Appends the line. Times are in UTC, since SFTP does not give the client's time zone; `now` is in seconds
/// since 1970. Does not use `core::fmt`, which took four fifths of a READDIR.
pub fn long_name(out: &mut Vec<u8>, name: &[u8], metadata: &Metadata, owners: &Owners, now: i64) {
    out.extend_from_slice(&mode_string(metadata.mode));
    out.push(b' ');
    put_number(out, metadata.links, 4, b' ');
    out.push(b' ');
    put_owner(out, owners.user(metadata.uid), metadata.uid);
    put_owner(out, owners.group(metadata.gid), metadata.gid);
    put_number(out, metadata.size, 8, b' ');
    out.push(b' ');
    put_date(out, metadata.mtime, now);
    out.push(b' ');
    out.extend_from_slice(name);
}

/// Appends a decimal number, padded with `fill` to this width.
fn put_number(out: &mut Vec<u8>, number: u64, width: usize, fill: u8) {
    // As long as u64::MAX.
    let mut digits = [fill; 20];
    let mut count = 0;
    let mut rest = number;
    for place in digits.iter_mut().rev() {
        *place = b'0' + (rest % 10) as u8;
        count += 1;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    let (_, shown) = digits.split_at(digits.len() - width.clamp(count, digits.len()));
    out.extend_from_slice(shown);
}

/// Appends a name, or else the id, padded to eight characters, and a space.
fn put_owner(out: &mut Vec<u8>, name: Option<&str>, id: u32) {
    const WIDTH: usize = 8;
    let width = match name {
        Some(name) => {
            out.extend_from_slice(name.as_bytes());
            name.chars().count()
        }
        None => {
            let before = out.len();
            put_number(out, id.into(), 0, b' ');
            out.len() - before
        }
    };
    let spaces = WIDTH.saturating_sub(width) + 1;
    out.resize(out.len() + spaces, b' ');
}

fn mode_string(mode: u32) -> [u8; 10] {
    let kind = match mode & 0o170_000 {
        0o100_000 => b'-',
        0o040_000 => b'd',
        0o120_000 => b'l',
        0o010_000 => b'p',
        0o140_000 => b's',
        0o060_000 => b'b',
        0o020_000 => b'c',
        _ => b'?',
    };
    let bit = |mask: u32, letter: u8| if mode & mask != 0 { letter } else { b'-' };
    let execute = |mask: u32, special: u32, both: u8, only: u8| match (mode & mask, mode & special)
    {
        (0, 0) => b'-',
        (_, 0) => b'x',
        (0, _) => only,
        _ => both,
    };
    [
        kind,
        bit(0o400, b'r'),
        bit(0o200, b'w'),
        execute(0o100, 0o4000, b's', b'S'),
        bit(0o040, b'r'),
        bit(0o020, b'w'),
        execute(0o010, 0o2000, b's', b'S'),
        bit(0o004, b'r'),
        bit(0o002, b'w'),
        execute(0o001, 0o1000, b't', b'T'),
    ]
}

/// Appends `Nov 21 01:19` for a recent time, `Nov 21  2024` for another: twelve characters for a year of four digits.
fn put_date(out: &mut Vec<u8>, mtime: i64, now: i64) {
    let date = time::date(mtime);
    let month = usize::from(date.month().unsigned_abs()) - 1;
    let month = MONTHS.get(month).copied().unwrap_or("???");
    out.extend_from_slice(month.as_bytes());
    out.push(b' ');
    put_number(out, date.day().unsigned_abs().into(), 2, b' ');
    let age = now.saturating_sub(mtime);
    if (0..RECENT).contains(&age) {
        let minute = mtime.rem_euclid(86_400).unsigned_abs() / 60;
        out.push(b' ');
        put_number(out, minute / 60, 2, b'0');
        out.push(b':');
        put_number(out, minute % 60, 2, b'0');
    } else {
        let year = date.year();
        out.extend_from_slice(if year < 0 { b"  -" } else { b"  " });
        put_number(out, year.unsigned_abs().into(), 0, b' ');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_795_219_200; // 2026-11-21 00:00 UTC

    fn line_of(metadata: &Metadata, name: &str) -> String {
        let owners = Owners {
            uid: 1000,
            gid: 1000,
            name: name.into(),
        };
        let mut out = Vec::new();
        long_name(&mut out, b"a b", metadata, &owners, NOW);
        String::from_utf8(out).unwrap_or_default()
    }

    fn metadata(mode: u32, mtime: i64, uid: u32) -> Metadata {
        Metadata {
            mode,
            size: 1234,
            links: 1,
            uid,
            gid: 1000,
            atime: 0,
            mtime,
            mtime_nanoseconds: 0,
            ctime: (0, 0),
            inode: (0, 0),
        }
    }

    fn line(mode: u32, mtime: i64, uid: u32) -> String {
        line_of(&metadata(mode, mtime, uid), "anna")
    }

    proptest! {
        /// Against `core::fmt`, which defines the padding.
        #[test]
        fn numbers_and_names_are_as_wide_as_the_standard_library_makes_them(
            links: u64,
            size: u64,
            mtime in prop_oneof![NOW - RECENT - 9..NOW + 9, -99_999_999_999_i64..999_999_999_999],
            uid in prop_oneof![Just(1000_u32), any::<u32>()],
            name in "[a-zäß]{0,12}",
        ) {
            let found = Metadata { links, size, ..metadata(0o100_644, mtime, uid) };
            let date = time::date(mtime);
            let (year, day) = (date.year(), date.day());
            let month = usize::from(date.month().unsigned_abs()) - 1;
            let month = MONTHS.get(month).copied().unwrap_or_default();
            let when = if (0..RECENT).contains(&(NOW - mtime)) {
                let minute = mtime.rem_euclid(86_400) / 60;
                format!("{:02}:{:02}", minute / 60, minute % 60)
            } else {
                format!(" {year}")
            };
            let owner = if uid == 1000 { name.clone() } else { uid.to_string() };
            let wanted = format!(
                "-rw-r--r-- {links:>4} {owner:<8} {name:<8} {size:>8} {month} {day:>2} {when} a b"
            );
            prop_assert_eq!(line_of(&found, &name), wanted);
        }
    }

    #[test]
    fn the_line_is_that_of_openssh() {
        assert_eq!(
            line(0o100_644, NOW - 3600, 1000),
            "-rw-r--r--    1 anna     anna         1234 Nov 20 23:00 a b"
        );
        assert_eq!(
            line(0o041_777, 951_782_400, 7),
            "drwxrwxrwt    1 7        anna         1234 Feb 29  2000 a b"
        );
        // A future time shows its year.
        assert!(line(0o100_600, NOW + 90_000, 1000).contains("Nov 22  2026"));
    }
}
