//! The long name of a directory entry: a line as `ls -l` would print it
//! (draft-ietf-secsh-filexfer-02, section 7; in the very form of OpenSSH's sftp-server, which
//! FileZilla and WinSCP parse).

use std::io::Write;

use crate::calendar::civil;
use crate::store::Metadata;

/// Entries older than this show the year in place of the time of day: half a year, as in `ls`.
const RECENT: i64 = 365 * 24 * 3600 / 2;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Names for uid and gid.
#[derive(Debug, Clone)]
pub struct Owners {
    /// The ids that the server's own files have.
    pub uid: u32,
    /// See `uid`.
    pub gid: u32,
    /// The account's name, which stands for both.
    pub name: String,
}

impl Owners {
    /// The name of this uid, if it has one.
    pub fn user(&self, uid: u32) -> Option<&str> {
        (uid == self.uid).then_some(self.name.as_str())
    }

    /// The name of this gid, if it has one.
    pub fn group(&self, gid: u32) -> Option<&str> {
        (gid == self.gid).then_some(self.name.as_str())
    }
}

/// Appends the line. Times are in UTC, since nobody knows the zone of the client; `now` is in
/// seconds since 1970.
pub fn long_name(out: &mut Vec<u8>, name: &[u8], metadata: &Metadata, owners: &Owners, now: i64) {
    let mode = mode_string(metadata.mode);
    let mode = String::from_utf8_lossy(&mode);
    let Metadata {
        links,
        size,
        uid,
        gid,
        mtime,
        ..
    } = *metadata;
    let date = date(mtime, now);
    // Writing to a Vec cannot fail.
    let _ = write!(out, "{mode} {links:>4} ");
    for (known, id) in [(owners.user(uid), uid), (owners.group(gid), gid)] {
        let _ = match known {
            Some(known) => write!(out, "{known:<8} "),
            None => write!(out, "{id:<8} "),
        };
    }
    let _ = write!(out, "{size:>8} {date} ");
    out.extend_from_slice(name);
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

/// `Nov 21 01:19` for what is recent, `Nov 21  2024` for the rest, always twelve wide.
fn date(mtime: i64, now: i64) -> String {
    let (year, month, day) = civil(mtime.div_euclid(86_400));
    let month = MONTHS.get(month as usize - 1).copied().unwrap_or("???");
    let age = now.saturating_sub(mtime);
    if (0..RECENT).contains(&age) {
        let second = mtime.rem_euclid(86_400);
        format!(
            "{month} {day:>2} {:02}:{:02}",
            second / 3600,
            second / 60 % 60
        )
    } else {
        format!("{month} {day:>2}  {year}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_219_200; // 2026-11-21 00:00 UTC

    fn line(mode: u32, mtime: i64, uid: u32) -> String {
        let metadata = Metadata {
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
        };
        let owners = Owners {
            uid: 1000,
            gid: 1000,
            name: "anna".into(),
        };
        let mut out = Vec::new();
        long_name(&mut out, b"a b", &metadata, &owners, NOW);
        String::from_utf8(out).unwrap_or_default()
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
        // What lies in the future shows its year.
        assert!(line(0o100_600, NOW + 90_000, 1000).contains("Nov 22  2026"));
    }
}
