//! Key files in the formats of other programs: with a byte order mark, in UTF-16, and in the format of RFC
//! 4716, which PuTTYgen's "Save public key" writes.

use std::borrow::Cow;

use anyhow::{Context as _, bail};
use ssh_key::PublicKey;

use super::keys::{AuthorizedKey, KINDS, refuse_other_formats};

const BEGIN: &str = "---- BEGIN SSH2 PUBLIC KEY ----";
const END: &str = "---- END SSH2 PUBLIC KEY ----";

/// Decodes a key file: UTF-8, or UTF-16 with a byte order mark, as PowerShell writes it. All line ends
/// become `
///
/// `.
///
/// # Errors
///
/// It is not text.
pub fn decode(bytes: &[u8]) -> anyhow::Result<String> {
    const UTF_8: &[u8] = b"\xef\xbb\xbf";
    let text = match bytes {
        [0xff, 0xfe, rest @ ..] => utf_16(rest, u16::from_le_bytes)?,
        [0xfe, 0xff, rest @ ..] => utf_16(rest, u16::from_be_bytes)?,
        _ => {
            let rest = bytes.strip_prefix(UTF_8).unwrap_or(bytes);
            str::from_utf8(rest).context("this is not text")?.to_owned()
        }
    };
    Ok(text.replace("\r\n", "\n").replace('\r', "\n"))
}

fn utf_16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> anyhow::Result<String> {
    let (units, rest) = bytes.as_chunks();
    if !rest.is_empty() {
        bail!("this is truncated UTF-16");
    }
    let units: Vec<u16> = units.iter().map(|pair| unit(*pair)).collect();
    String::from_utf16(&units).context("this is not text")
}

impl AuthorizedKey {
    /// Parses all keys of a file: an authorized_keys file, a `.pub` file, or keys in the format of RFC
    /// 4716.
    ///
    /// # Errors
    ///
    /// The file has no key, or a faulty line: then no key is accepted.
    pub fn parse_file(text: &str) -> anyhow::Result<Vec<Self>> {
        refuse_other_formats(text)?;
        let mut keys = Vec::new();
        for (number, line) in lines(text)? {
            if !line.trim().is_empty() && !line.trim_start().starts_with('#') {
                let key = Self::parse(&line).with_context(|| format!("line {number}"))?;
                keys.push(key);
            }
        }
        if keys.is_empty() {
            bail!("it contains no key");
        }
        Ok(keys)
    }
}

/// Returns the lines of a file as OpenSSH would write them, with their numbers; a key in the format of RFC
/// 4716 becomes one line.
///
/// # Errors
///
/// A key in the format of RFC 4716 is damaged.
pub(super) fn lines(text: &str) -> anyhow::Result<Vec<(usize, Cow<'_, str>)>> {
    let mut lines = Vec::new();
    let mut rest = (1..).zip(text.lines());
    while let Some((number, line)) = rest.next() {
        if line.trim() != BEGIN {
            lines.push((number, line.into()));
            continue;
        }
        let block = rest.by_ref().map(|(_, line)| line.trim());
        let key = one_line(block).with_context(|| format!("line {number}"))?;
        lines.push((number, key.into()));
    }
    Ok(lines)
}

/// Converts a key to OpenSSH's format, from the lines between [`BEGIN`] and [`END`].
fn one_line<'a>(mut block: impl Iterator<Item = &'a str>) -> anyhow::Result<String> {
    let mut next = || block.next().context("this key is truncated");
    let mut comment = String::new();
    let mut base64 = String::new();
    loop {
        let line = next()?;
        if line == END {
            break;
        }
        // Base64 has no colon (RFC 4716, section 3.3).
        let Some((tag, value)) = line.split_once(':') else {
            base64.push_str(line);
            continue;
        };
        let mut value = value.trim().to_owned();
        while value.ends_with('\\') {
            value.pop();
            value.push_str(next()?);
        }
        if tag.eq_ignore_ascii_case("comment") {
            let bare = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
            comment = bare.unwrap_or(&value).to_owned();
        }
    }
    let mut lines = KINDS.iter().map(|kind| format!("{kind} {base64}"));
    let key = lines.find(|line| PublicKey::from_openssh(line).is_ok());
    let key = key.with_context(|| {
        format!(
            "this key is damaged, or of a type that is not accepted; accepted are: {}",
            KINDS.join(", ")
        )
    })?;
    Ok(format!("{key} {comment}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // The examples of RFC 4716, section 3.6, are too weak today; this is an ed25519 key.
    const BASE64: &str = "AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

    #[test]
    fn every_encoding_of_a_file_is_read() {
        let text = "ssh-ed25519 AAAA ändern\nzwei\n";
        let utf_16: Vec<u16> = text.replace('\n', "\r\n").encode_utf16().collect();
        let little: Vec<u8> = utf_16.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let big: Vec<u8> = utf_16.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        for bytes in [
            text.as_bytes().to_vec(),
            [b"\xef\xbb\xbf", text.as_bytes()].concat(),
            text.replace('\n', "\r\n").into_bytes(),
            text.replace('\n', "\r").into_bytes(),
            [&b"\xff\xfe"[..], &little].concat(),
            [&b"\xfe\xff"[..], &big].concat(),
        ] {
            assert_eq!(decode(&bytes).unwrap(), text, "{bytes:?}");
        }
        for wrong in [&b"\xff\xfea"[..], b"\xff\xfe\x00\xd8", b"k\xffy"] {
            assert!(decode(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_key_of_rfc_4716_is_one_line() {
        let (first, second) = BASE64.split_at(40);
        let file = format!(
            "# mine\n{BEGIN}\nSubject: me\nComment: \"a long \\\ncomment: of \\\nmine\"\n\
             x-own: value\n{first}\n{second}\n{END}\nssh-ed25519 {BASE64} other\n"
        );
        let lines = lines(&file).unwrap();
        let lines: Vec<_> = lines
            .iter()
            .map(|(at, line)| (*at, line.as_ref()))
            .collect();
        let key = format!("ssh-ed25519 {BASE64} a long comment: of mine");
        let other = format!("ssh-ed25519 {BASE64} other");
        assert_eq!(lines, [(1, "# mine"), (2, &*key), (11, &*other)]);
    }

    #[test]
    fn a_damaged_key_of_rfc_4716_is_refused() {
        for damaged in [
            format!("\n{BEGIN}"),
            format!("\n{BEGIN}\n{BASE64}"),
            format!("\n{BEGIN}\nComment: \\\n"),
            format!("\n{BEGIN}\n{END}"),
            format!("\n{BEGIN}\nAAAA{BASE64}\n{END}"),
        ] {
            let refused = format!("{:#}", lines(&damaged).unwrap_err());
            assert!(refused.starts_with("line 2: "), "{refused}");
        }
    }

    proptest! {
        #[test]
        fn no_file_does_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in ".{0,100}") {
            let _ = decode(&bytes);
            let _ = lines(&format!("{BEGIN}\n{text}\n{END}"));
        }
    }
}
