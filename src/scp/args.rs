//! The command line with which a client's `scp` starts the remote one (`main` in OpenSSH's `scp.c`).

use crate::exec::arguments::{self, Word};

/// The direction of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyDirection {
    /// `-t`, "to": the client sends files to the server.
    To,
    /// `-f`, "from": the server sends files to the client.
    From,
}

/// A client's request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScpRequest {
    /// The direction.
    pub direction: CopyDirection,
    /// `-r`: directories with their contents, too.
    pub recursive: bool,
    /// `-p`: with times and modes.
    pub preserve: bool,
    /// `-d`: the target must be a directory.
    pub into_directory: bool,
    /// The sources or the target.
    pub paths: Vec<Word>,
}

/// Why a command line is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScpRequestFault {
    /// It is not plain arguments.
    #[error(transparent)]
    Line(#[from] arguments::ArgumentFault),
    /// The option is unknown or meaningless on a server.
    #[error("unknown option -- {0}")]
    Option(char),
    /// Not exactly one of `-t` and `-f`.
    #[error("exactly one of -t and -f is needed: start scp on your own machine")]
    Direction,
    /// `-t` with no target or several.
    #[error("ambiguous target")]
    Target,
    /// `-f` without a source.
    #[error("no file is named")]
    Source,
}

impl ScpRequest {
    /// Parses the arguments; the first is `scp`.
    ///
    /// # Errors
    ///
    /// The server does not support the request.
    pub fn parse(line: &[Word]) -> Result<Self, ScpRequestFault> {
        let mut words = line.get(1..).unwrap_or_default();
        let (mut to, mut from) = (false, false);
        let (mut recursive, mut preserve, mut into_directory) = (false, false, false);
        while let Some((word, rest)) = words.split_first() {
            let [b'-', options @ ..] = word.text.as_slice() else {
                break;
            };
            if options.is_empty() {
                break;
            }
            words = rest;
            if options == b"-" {
                break;
            }
            for option in options {
                match option {
                    b't' => to = true,
                    b'f' => from = true,
                    b'r' => recursive = true,
                    b'p' => preserve = true,
                    b'd' => into_directory = true,
                    // Verbosity on stderr, of which there is none.
                    b'v' | b'q' => {}
                    unknown => return Err(ScpRequestFault::Option(char::from(*unknown))),
                }
            }
        }
        let direction = match (to, from) {
            (true, false) => CopyDirection::To,
            (false, true) => CopyDirection::From,
            _ => return Err(ScpRequestFault::Direction),
        };
        match (direction, words.len()) {
            (CopyDirection::To, 1) | (CopyDirection::From, 1..) => {}
            (CopyDirection::To, _) => return Err(ScpRequestFault::Target),
            (CopyDirection::From, _) => return Err(ScpRequestFault::Source),
        }
        Ok(Self {
            direction,
            recursive,
            preserve,
            into_directory,
            paths: words.to_vec(),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::exec::arguments::words;

    fn parse(line: &str) -> Result<ScpRequest, ScpRequestFault> {
        ScpRequest::parse(&words(line.as_bytes()).unwrap())
    }

    fn paths(request: &ScpRequest) -> Vec<&[u8]> {
        request.paths.iter().map(|word| &word.text[..]).collect()
    }

    #[test]
    fn what_clients_send_is_understood() {
        let plain = parse("scp -t .").unwrap();
        assert_eq!(
            (plain.direction, paths(&plain)),
            (CopyDirection::To, vec![&b"."[..]])
        );
        assert!(!plain.recursive && !plain.preserve && !plain.into_directory);
        // OpenSSH, PuTTY; libssh2; a program in Go.
        let all = parse("scp -v -r -p -d -t -- -name").unwrap();
        assert!(all.recursive && all.preserve && all.into_directory);
        assert_eq!(paths(&all), [&b"-name"[..]]);
        let together = parse("scp -pt '/a b'").unwrap();
        assert!(together.preserve && !together.recursive);
        assert_eq!(paths(&together), [&b"/a b"[..]]);
        assert_eq!(parse("scp -qrf x").unwrap().direction, CopyDirection::From);
        let several = parse("scp -f a - -r").unwrap();
        assert_eq!(paths(&several), [&b"a"[..], b"-", b"-r"]);
        assert!(!several.recursive);
    }

    #[test]
    fn what_cannot_be_had_is_refused() {
        for (line, fault) in [
            ("scp -t -S program x", ScpRequestFault::Option('S')),
            ("scp -tz x", ScpRequestFault::Option('z')),
            ("scp --to x", ScpRequestFault::Option('-')),
            ("scp", ScpRequestFault::Direction),
            ("scp a b", ScpRequestFault::Direction),
            ("scp -t -f a", ScpRequestFault::Direction),
            ("scp -t", ScpRequestFault::Target),
            ("scp -t --", ScpRequestFault::Target),
            ("scp -t a b", ScpRequestFault::Target),
            ("scp -f", ScpRequestFault::Source),
        ] {
            assert_eq!(parse(line), Err(fault), "{line}");
        }
    }
}
