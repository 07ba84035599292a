//! Encodes events as JSON, with a limit on the length of each field: the one place that limits the text of
//! clients in the audit log. A truncated text ends with `…\+N`: N bytes are missing. No complete name
//! contains that, since a backslash in a name is doubled.

use std::io;

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter};

/// JSON bytes of the longest path: PATH_MAX, with each byte as `\u0001` at worst.
const PATH: usize = 6 * 4096;
/// Text from a client or the operator, or a message to them.
const LINE: usize = 4096;
/// Other fields: names, reasons, the client's identification.
const NAME: usize = 256;
/// A refused path can be longer than any that exists.
const REFUSED: usize = 4096;
/// An example among many.
const BRIEF: usize = 128;

/// The limits of an event's fields.
#[derive(Debug, Clone, Copy)]
pub(super) enum Length {
    /// Every existing path fits.
    Whole,
    /// Of a refused request.
    Refused,
    /// Of an event that represents many.
    Brief,
}

impl Length {
    /// Returns the limit of this field, in bytes.
    fn of(self, field: &str) -> usize {
        let most = match field {
            "path" | "from" | "to" | "target" => PATH,
            "line" | "message" => LINE,
            _ => NAME,
        };
        match self {
            Self::Whole => most,
            Self::Refused => most.min(REFUSED),
            Self::Brief => most.min(BRIEF),
        }
    }
}

/// Encodes a value as JSON in one line.
pub(super) fn json(value: &impl Serialize, length: Length) -> Vec<u8> {
    let mut text = Vec::with_capacity(256);
    let capped = CappedText {
        length,
        is_key: false,
        room: 0,
        missing: 0,
    };
    // An event contains only what JSON can express, and writing to memory does not fail.
    let _ = value.serialize(&mut Serializer::with_formatter(&mut text, capped));
    text
}

/// A formatter with limits; see the module documentation.
struct CappedText {
    length: Length,
    is_key: bool,
    /// Bytes that still fit.
    room: usize,
    /// Bytes that did not fit.
    missing: usize,
}

impl Formatter for CappedText {
    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.is_key = true;
        CompactFormatter.begin_object_key(writer, first)
    }

    fn end_object_key<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.is_key = false;
        Ok(())
    }

    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if self.is_key {
            self.room = self.length.of(fragment);
            return writer.write_all(fragment.as_bytes());
        }
        let (fits, rest) = fragment.split_at(fragment.floor_char_boundary(self.room));
        self.room = if rest.is_empty() {
            self.room - fits.len()
        } else {
            0
        };
        self.missing += rest.len();
        writer.write_all(fits.as_bytes())
    }

    fn write_char_escape<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        let length = match escape {
            CharEscape::AsciiControl(_) => 6,
            _ => 2,
        };
        match self.room.checked_sub(length) {
            Some(room) => {
                self.room = room;
                CompactFormatter.write_char_escape(writer, escape)
            }
            None => {
                self.room = 0;
                self.missing += 1;
                Ok(())
            }
        }
    }

    fn end_string<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        let missing = std::mem::take(&mut self.missing);
        if missing > 0 {
            write!(writer, "…\\\\+{missing}")?;
        }
        CompactFormatter.end_string(writer)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn cut(field: &str, text: &str, length: Length) -> (usize, String) {
        let json = json(&BTreeMap::from([(field, text)]), length);
        let parsed: BTreeMap<String, String> = serde_json::from_slice(&json).unwrap();
        (json.len(), parsed[field].clone())
    }

    #[test]
    fn what_fits_is_written_as_it_is() {
        for text in ["", "plain", "\"\\\n\u{1}é", &"x".repeat(NAME)] {
            assert_eq!(cut("user", text, Length::Whole).1, text);
        }
        // The longest path in its worst form: names are bytes.
        let worst = "\u{1}".repeat(4096);
        assert_eq!(cut("path", &worst, Length::Whole).1, worst);
        let bytes = r"\xff".repeat(4096);
        assert_eq!(cut("to", &bytes, Length::Whole).1, bytes);
    }

    #[test]
    fn what_does_not_fit_is_cut_at_a_character_and_says_so() {
        for (field, length, most) in [
            ("user", Length::Whole, NAME),
            ("client", Length::Refused, NAME),
            ("line", Length::Whole, LINE),
            ("path", Length::Refused, REFUSED),
            ("path", Length::Brief, BRIEF),
            ("path", Length::Whole, PATH),
        ] {
            for character in ["x", "é", "\"", "\u{1}"] {
                let text = character.repeat(100_000);
                let (size, cut) = cut(field, &text, length);
                assert!(size < most + 40, "{field} {character:?}: {size}");
                let (begin, missing) = cut.split_once("…\\+").unwrap();
                assert!(text.starts_with(begin));
                assert_eq!(
                    begin.len() + missing.parse::<usize>().unwrap(),
                    text.len(),
                    "{field} {character:?}"
                );
            }
        }
    }

    #[test]
    fn each_text_is_cut_by_itself() {
        let texts = BTreeMap::from([("a", "x".repeat(1000)), ("b", "short".to_owned())]);
        let json = json(&texts, Length::Whole);
        let parsed: BTreeMap<String, String> = serde_json::from_slice(&json).unwrap();
        assert!(parsed["a"].ends_with("…\\+744"), "{}", parsed["a"]);
        assert_eq!(parsed["b"], "short");
    }
}
