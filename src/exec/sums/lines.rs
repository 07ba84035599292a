//! The lines that the hash commands print and read back with `-c`.

use crate::hashes::Algorithm;

/// A hash and the name of its file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Listed {
    /// In lower case hexadecimal.
    pub(super) hash: String,
    pub(super) name: Vec<u8>,
}

impl Listed {
    /// Parses `HASH  NAME`, `HASH *NAME` or `SHA256 (NAME) = HASH`, each with a leading backslash if the
    /// name is escaped.
    pub(super) fn parse(line: &[u8], algorithm: Algorithm) -> Option<Self> {
        let (escaped, line) = match line.trim_ascii_start() {
            [b'\\', rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        let tag = format!("{} (", algorithm.name().to_uppercase());
        let (hash, name) = match line.strip_prefix(tag.as_bytes()) {
            Some(rest) => {
                let end = rest.windows(4).rposition(|four| four == b") = ")?;
                (rest.get(end + 4..)?, rest.get(..end)?)
            }
            None => {
                let (hash, name) = line.split_at_checked(2 * algorithm.length())?;
                let [b' ', b' ' | b'*', name @ ..] = name else {
                    return None;
                };
                (hash, name)
            }
        };
        let whole = hash.len() == 2 * algorithm.length() && hash.iter().all(u8::is_ascii_hexdigit);
        if !whole || name.is_empty() {
            return None;
        }
        Some(Self {
            hash: String::from_utf8_lossy(hash).to_lowercase(),
            name: if escaped {
                unescape(name)?
            } else {
                name.to_vec()
            },
        })
    }
}

/// Escapes backslash, line feed and carriage return in a name as `\\`, `
///
/// ` and `\r`.
pub(super) fn escape(name: &[u8]) -> (bool, Vec<u8>) {
    let mut escaped = Vec::with_capacity(name.len());
    for byte in name {
        match byte {
            b'\\' => escaped.extend_from_slice(b"\\\\"),
            b'\n' => escaped.extend_from_slice(b"\\n"),
            b'\r' => escaped.extend_from_slice(b"\\r"),
            byte => escaped.push(*byte),
        }
    }
    (escaped.len() != name.len(), escaped)
}

fn unescape(name: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(name.len());
    let mut bytes = name.iter();
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'\\' => match bytes.next()? {
                b'n' => b'\n',
                b'r' => b'\r',
                b'\\' => b'\\',
                _ => return None,
            },
            byte => *byte,
        });
    }
    Some(plain)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let hash = "d41d8cd98f00b204e9800998ecf8427e";
        let read = |line: &str| Listed::parse(line.as_bytes(), Algorithm::Md5);
        for (line, name) in [
            (format!("{hash}  a b"), "a b"),
            (format!("{hash} *a"), "a"),
            (format!("  {}  a", hash.to_uppercase()), "a"),
            (format!("MD5 (a) = b) = {hash}"), "a) = b"),
            (format!("\\{hash}  a\\\\b\\nc\\r"), "a\\b\nc\r"),
            (format!("{hash}  a\\n"), "a\\n"),
        ] {
            let listed = read(&line).unwrap();
            assert_eq!(
                (listed.hash.as_str(), listed.name.as_slice()),
                (hash, name.as_bytes())
            );
        }
        for line in [
            String::new(),
            hash.to_owned(),
            format!("{hash} a"),
            format!("{hash}  "),
            format!("{}x  a", &hash[1..]),
            format!("\\{hash}  a\\x"),
            format!("SHA1 (a) = {hash}"),
            format!("MD5 (a) = {hash}0"),
        ] {
            assert_eq!(read(&line), None, "{line}");
        }
    }
}
