//! The lines of the rcp protocol, as OpenSSH's `scp.c` reads and writes them (its functions `source`,
//! `sink` and `response`); there is no other specification. No I/O.

use std::borrow::Cow;
use std::fmt::Display;

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Longest line that is read, including its line feed: as OpenSSH's buffers.
pub const LONGEST: usize = 2048;
/// Longest path in an error: `scp` reads at most [`LONGEST`] bytes of a line.
const SHOWN: usize = 1000;

/// The positive answer.
pub const DONE: u8 = 0;
const WARNING: u8 = 1;
const FATAL: u8 = 2;

/// A line of the sending side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScpLine {
    /// `T`: the times of the next file or directory, in seconds since 1970.
    Times {
        /// Last modification.
        mtime: u64,
        /// Last access.
        atime: u64,
    },
    /// `C`: a file; its bytes follow.
    File {
        /// Permission bits, up to 07777.
        mode: u32,
        /// Bytes.
        size: u64,
        /// One name.
        name: Vec<u8>,
    },
    /// `D`: a directory; its contents follow.
    Directory {
        /// Permission bits, up to 07777.
        mode: u32,
        /// One name.
        name: Vec<u8>,
    },
    /// `E`: the end of the directory.
    End,
    /// An error message. It takes the place of a line or an answer.
    Complaint(Complaint),
}

/// An error message for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// The peer ends after it.
    pub is_fatal: bool,
    /// The message without line feed.
    pub text: Vec<u8>,
}

/// Why a line is malformed or out of place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LineFault {
    /// An empty line.
    #[error("unexpected <newline>")]
    Empty,
    /// Longer than [`LONGEST`].
    #[error("line too long")]
    TooLong,
    /// An unknown line, or one that is not allowed here.
    #[error("expected control record")]
    NoRecord,
    /// Not four octal digits.
    #[error("bad mode")]
    Mode,
    /// Not a number, or larger than any file.
    #[error("bad size")]
    Size,
    /// Not two pairs of seconds and microseconds.
    #[error("bad times")]
    Times,
    /// Not a single name.
    #[error("unexpected filename")]
    Name,
    /// `D` without the option `-r`.
    #[error("received directory without -r")]
    NotRecursive,
    /// `E` without a directory to end.
    #[error("unexpected end of directory")]
    NoDirectory,
    /// The stream ends inside a line.
    #[error("lost connection")]
    Lost,
}

impl ScpLine {
    /// Parses a line without its line feed.
    ///
    /// # Errors
    ///
    /// The peer may not send this line.
    pub fn parse(line: &[u8]) -> Result<Self, LineFault> {
        let (kind, rest) = line.split_first().ok_or(LineFault::Empty)?;
        match kind {
            b'T' => times(rest),
            b'C' => {
                let (mode, size, name) = item(rest)?;
                Ok(Self::File { mode, size, name })
            }
            b'D' => {
                let (mode, _, name) = item(rest)?;
                Ok(Self::Directory { mode, name })
            }
            b'E' if rest.is_empty() => Ok(Self::End),
            &WARNING | &FATAL => Ok(Self::Complaint(Complaint {
                is_fatal: *kind == FATAL,
                text: rest.to_vec(),
            })),
            _ => Err(LineFault::NoRecord),
        }
    }

    /// Encodes the line.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        match self {
            Self::Times { mtime, atime } => {
                out.put_slice(format!("T{mtime} 0 {atime} 0").as_bytes());
            }
            Self::File { mode, size, name } => {
                out.put_slice(format!("C{mode:04o} {size} ").as_bytes());
                out.put_slice(&on_one_line(name));
            }
            Self::Directory { mode, name } => {
                out.put_slice(format!("D{mode:04o} 0 ").as_bytes());
                out.put_slice(&on_one_line(name));
            }
            Self::End => out.put_u8(b'E'),
            Self::Complaint(Complaint { is_fatal, text }) => {
                out.put_u8(if *is_fatal { FATAL } else { WARNING });
                out.put_slice(&on_one_line(text));
            }
        }
        out.put_u8(b'\n');
        out.freeze()
    }
}

impl Complaint {
    /// Makes an error about a path; the transfer continues.
    pub fn about(path: &[u8], why: impl Display) -> Self {
        let mut text = b"scp: ".to_vec();
        match path.len().checked_sub(SHOWN) {
            Some(hidden @ 1..) => {
                text.extend_from_slice(b"...");
                text.extend_from_slice(path.get(hidden..).unwrap_or_default());
            }
            _ => text.extend_from_slice(path),
        }
        text.extend_from_slice(format!(": {why}").as_bytes());
        Self {
            is_fatal: false,
            text,
        }
    }

    /// Makes an error about a malformed line.
    pub fn protocol_error(fault: LineFault) -> Self {
        Self::fatal(format_args!("protocol error: {fault}"))
    }

    /// Makes an error that ends the transfer.
    pub fn fatal(why: impl Display) -> Self {
        Self {
            is_fatal: true,
            text: format!("scp: {why}").into_bytes(),
        }
    }
}

/// Escapes line feeds, which would end the line, as `\^J`, and a backslash as two, as OpenSSH does
/// (`vis(3)`).
fn on_one_line(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'\n') {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len() + 8);
    for byte in text {
        match byte {
            b'\n' => out.extend_from_slice(br"\^J"),
            b'\\' => out.extend_from_slice(br"\\"),
            byte => out.push(*byte),
        }
    }
    Cow::Owned(out)
}

/// Parses the fields of `T`: seconds and microseconds of the modification, then of the access.
fn times(fields: &[u8]) -> Result<ScpLine, LineFault> {
    let mut numbers = fields.split(|byte| *byte == b' ').map(number);
    let mut time = || {
        let (seconds, micros) = (numbers.next()??, numbers.next()??);
        (micros < 1_000_000).then_some(seconds)
    };
    match (time(), time(), numbers.next()) {
        (Some(mtime), Some(atime), None) => Ok(ScpLine::Times { mtime, atime }),
        _ => Err(LineFault::Times),
    }
}

/// Parses the fields of `C` and `D`: mode, size and name.
fn item(fields: &[u8]) -> Result<(u32, u64, Vec<u8>), LineFault> {
    let mut fields = fields.splitn(3, |byte| *byte == b' ');
    let mode = fields.next().and_then(mode).ok_or(LineFault::Mode)?;
    let size = fields.next().and_then(number).ok_or(LineFault::Size)?;
    let name = fields.next().ok_or(LineFault::Name)?;
    if i64::try_from(size).is_err() {
        return Err(LineFault::Size);
    }
    if matches!(name, b"" | b"." | b"..") || name.contains(&b'/') || name.contains(&0) {
        return Err(LineFault::Name);
    }
    Ok((mode, size, name.to_vec()))
}

/// Parses exactly four octal digits.
fn mode(digits: &[u8]) -> Option<u32> {
    if digits.len() != 4 {
        return None;
    }
    digits.iter().try_fold(0, |mode, digit| match digit {
        b'0'..=b'7' => Some(mode << 3 | u32::from(digit - b'0')),
        _ => None,
    })
}

/// Parses decimal digits without a sign.
fn number(digits: &[u8]) -> Option<u64> {
    let text = str::from_utf8(digits).ok()?;
    // `parse` accepts a sign, too.
    text.starts_with(|first: char| first.is_ascii_digit())
        .then(|| text.parse().ok())?
}

/// Assembles lines and answers from received chunks.
#[derive(Debug, Default)]
pub struct LineReader {
    begun: Vec<u8>,
}

impl LineReader {
    /// Returns whether a line is incomplete.
    pub fn is_inside(&self) -> bool {
        !self.begun.is_empty()
    }

    /// Takes the next line from the front of `input`; `None` if it is incomplete.
    ///
    /// # Errors
    ///
    /// The peer may not send this line.
    pub fn line(&mut self, input: &mut Bytes) -> Result<Option<ScpLine>, LineFault> {
        match self.text(input)? {
            Some(text) => ScpLine::parse(&text).map(Some),
            None => Ok(None),
        }
    }

    /// Takes an answer from the front of `input`: `None` if it is incomplete, an inner error if the peer
    /// reports one.
    ///
    /// # Errors
    ///
    /// The answer is too long.
    pub fn answer(
        &mut self,
        input: &mut Bytes,
    ) -> Result<Option<Result<(), Complaint>>, LineFault> {
        if !self.is_inside() && input.first() == Some(&DONE) {
            input.advance(1);
            return Ok(Some(Ok(())));
        }
        let Some(text) = self.text(input)? else {
            return Ok(None);
        };
        Ok(Some(Err(match ScpLine::parse(&text) {
            Ok(ScpLine::Complaint(complaint)) => complaint,
            // Anything else is out of place.
            _ => Complaint {
                is_fatal: true,
                text,
            },
        })))
    }

    fn text(&mut self, input: &mut Bytes) -> Result<Option<Vec<u8>>, LineFault> {
        let end = input.iter().position(|byte| *byte == b'\n');
        let part = input.split_to(end.unwrap_or(input.len()));
        if self.begun.len() + part.len() >= LONGEST {
            return Err(LineFault::TooLong);
        }
        self.begun.extend_from_slice(&part);
        if end.is_none() {
            return Ok(None);
        }
        input.advance(1);
        Ok(Some(std::mem::take(&mut self.begun)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn file(mode: u32, size: u64, name: &[u8]) -> ScpLine {
        ScpLine::File {
            mode,
            size,
            name: name.to_vec(),
        }
    }

    #[test]
    fn lines_are_read_and_written_as_scp_does() {
        for (text, line) in [
            (&b"C0644 12 name"[..], file(0o644, 12, b"name")),
            (b"C7777 0  a b ", file(0o7777, 0, b" a b ")),
            (
                b"C0600 9223372036854775807 \xff\x01",
                file(0o600, i64::MAX as u64, b"\xff\x01"),
            ),
            (
                b"D0755 0 ...",
                ScpLine::Directory {
                    mode: 0o755,
                    name: b"...".to_vec(),
                },
            ),
            (
                b"T1700000000 0 4294967296 0",
                ScpLine::Times {
                    mtime: 1_700_000_000,
                    atime: 4_294_967_296,
                },
            ),
            (b"E", ScpLine::End),
            (
                b"\x01scp: x: No such file or directory",
                ScpLine::Complaint(Complaint::about(b"x", "No such file or directory")),
            ),
            (b"\x02scp: y", ScpLine::Complaint(Complaint::fatal("y"))),
        ] {
            assert_eq!(ScpLine::parse(text).unwrap(), line);
            assert_eq!(line.encode(), [text, b"\n"].concat());
        }
        let late = ScpLine::parse(b"T99999999999 999999 0 1").unwrap();
        assert_eq!(
            late,
            ScpLine::Times {
                mtime: 99_999_999_999,
                atime: 0
            }
        );
    }

    #[test]
    fn what_is_no_line_of_a_sender_is_refused() {
        for (text, fault) in [
            (&b""[..], LineFault::Empty),
            (b"hello", LineFault::NoRecord),
            (b"\0", LineFault::NoRecord),
            (b"EE", LineFault::NoRecord),
            (b"C", LineFault::Mode),
            (b"C644 1 a", LineFault::Mode),
            (b"C00644 1 a", LineFault::Mode),
            (b"C0844 1 a", LineFault::Mode),
            (b"C-644 1 a", LineFault::Mode),
            (b"C0644", LineFault::Size),
            (b"C0644  a", LineFault::Size),
            (b"C0644 -1 a", LineFault::Size),
            (b"C0644 +1 a", LineFault::Size),
            (b"C0644 0x1 a", LineFault::Size),
            (b"C0644 1e3 a", LineFault::Size),
            (b"C0644 9223372036854775808 a", LineFault::Size),
            (b"C0644 18446744073709551616 a", LineFault::Size),
            (b"C0644 1", LineFault::Name),
            (b"C0644 1 ", LineFault::Name),
            (b"C0644 1 .", LineFault::Name),
            (b"C0644 1 ..", LineFault::Name),
            (b"C0644 1 a/b", LineFault::Name),
            (b"C0644 1 /", LineFault::Name),
            (b"C0644 1 a\0b", LineFault::Name),
            (b"D0755 0 ../x", LineFault::Name),
            (b"T", LineFault::Times),
            (b"T1 0 1", LineFault::Times),
            (b"T1 0 1 0 0", LineFault::Times),
            (b"T1 0 1 0 ", LineFault::Times),
            (b"T-1 0 1 0", LineFault::Times),
            (b"T1 1000000 1 0", LineFault::Times),
            (b"T1 0 1 123456789", LineFault::Times),
            (b"T99999999999999999999 0 1 0", LineFault::Times),
        ] {
            assert_eq!(ScpLine::parse(text), Err(fault), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn names_and_complaints_stay_on_one_line() {
        let line = file(0o644, 1, b"a\n\\b").encode();
        assert_eq!(
            line,
            br"C0644 1 a\^J\\b"
                .iter()
                .chain(b"\n")
                .copied()
                .collect::<Bytes>()
        );
        assert_eq!(file(0o644, 1, br"a\b").encode(), &b"C0644 1 a\\b\n"[..]);
        let long = ScpLine::Complaint(Complaint::about(&[b'x'; 4000], "too long\nby far")).encode();
        assert!(long.len() < LONGEST && long.ends_with(b"xxx: too long\\^Jby far\n"));
    }

    #[test]
    fn lines_come_out_whole_however_they_are_cut() {
        let mut reader = LineReader::default();
        let mut found = Vec::new();
        for byte in b"T1 0 2 0\nC0644 5 a\n" {
            let mut input = Bytes::copy_from_slice(&[*byte]);
            found.extend(reader.line(&mut input).unwrap());
            assert!(input.is_empty());
        }
        let times = ScpLine::Times { mtime: 1, atime: 2 };
        assert_eq!(found, [times, file(0o644, 5, b"a")]);
        assert!(!reader.is_inside());

        let mut endless = Bytes::from(vec![b'x'; LONGEST]);
        assert_eq!(reader.line(&mut endless), Err(LineFault::TooLong));
    }

    #[test]
    fn answers_are_told_from_complaints() {
        let mut reader = LineReader::default();
        let mut input = Bytes::from_static(b"\0\x01one\n\0\x02two\nC what\n\x01thr");
        let mut next = || reader.answer(&mut input).unwrap();
        assert_eq!(next(), Some(Ok(())));
        let complaint = |is_fatal, text: &str| {
            Some(Err(Complaint {
                is_fatal,
                text: text.into(),
            }))
        };
        assert_eq!(next(), complaint(false, "one"));
        assert_eq!(next(), Some(Ok(())));
        assert_eq!(next(), complaint(true, "two"));
        assert_eq!(next(), complaint(true, "C what"));
        assert_eq!(next(), None);
        let mut rest = Bytes::from_static(b"ee\n\0");
        assert_eq!(reader.answer(&mut rest).unwrap(), complaint(false, "three"));
        assert_eq!(rest, &b"\0"[..]);
    }
}
