//! Splits the command of an exec request (RFC 4254, section 6.5) into arguments, as a POSIX shell would
//! (IEEE 1003.1, Shell Command Language, section 2.2). No shell runs it: constructs that only a shell can
//! carry out are refused, and variables have no values.

/// One argument of a command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Its bytes without quotes.
    pub text: Vec<u8>,
    /// The argument as a pattern for file names, if it has `*`, `?` or `[` outside of quotes; quoted ones
    /// are escaped with a backslash.
    pub pattern: Option<Vec<u8>>,
}

/// Why a command line is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentFault {
    /// It ends inside a quote or after a backslash.
    #[error("unterminated quote")]
    Open,
    /// It uses more of a shell than arguments.
    #[error("only one plain command can be run here: there is no shell")]
    Shell,
}

/// Characters that only a shell could carry out, unless they are quoted.
const FOR_A_SHELL: &[u8] = b"|&;<>()`\n";
/// Characters between arguments.
const BLANKS: &[u8] = b" \t\r";
/// Characters of patterns.
const FOR_PATTERNS: &[u8] = b"*?[";

/// Splits a line into arguments.
///
/// # Errors
///
/// The line is not plain arguments.
pub fn words(line: &[u8]) -> Result<Vec<Word>, ArgumentFault> {
    let mut reader = WordReader {
        rest: trim_start(line, b" \t\r\n"),
    };
    let mut words = Vec::new();
    while let Some(word) = reader.word()? {
        words.push(word);
    }
    Ok(words)
}

/// Returns the line without leading blanks. Its end is kept: a blank there may be quoted.
fn trim_start<'a>(line: &'a [u8], blanks: &[u8]) -> &'a [u8] {
    let start = line.iter().position(|byte| !blanks.contains(byte));
    line.get(start.unwrap_or(line.len())..).unwrap_or_default()
}

struct WordReader<'a> {
    rest: &'a [u8],
}

/// An argument that is being parsed.
#[derive(Default)]
struct Growing {
    text: Vec<u8>,
    pattern: Vec<u8>,
    is_pattern: bool,
}

impl Growing {
    fn quoted(&mut self, byte: u8) {
        self.text.push(byte);
        if FOR_PATTERNS.contains(&byte) || matches!(byte, b'\\' | b']') {
            self.pattern.push(b'\\');
        }
        self.pattern.push(byte);
    }

    fn plain(&mut self, byte: u8) {
        self.text.push(byte);
        self.pattern.push(byte);
        self.is_pattern |= FOR_PATTERNS.contains(&byte);
    }
}

impl WordReader<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    /// Returns whether only blanks and line feeds are left.
    fn is_at_end(&self) -> bool {
        self.rest
            .iter()
            .all(|byte| matches!(byte, b'\n') || BLANKS.contains(byte))
    }

    fn word(&mut self) -> Result<Option<Word>, ArgumentFault> {
        self.rest = trim_start(self.rest, BLANKS);
        if self.is_at_end() {
            return Ok(None);
        }
        let mut word = Growing::default();
        self.home(&mut word);
        while let Some(byte) = self.next() {
            match byte {
                byte if BLANKS.contains(&byte) => break,
                b'\n' if self.is_at_end() => break,
                b'\'' => self.single_quoted(&mut word)?,
                b'"' => self.double_quoted(&mut word)?,
                b'\\' => match self.next().ok_or(ArgumentFault::Open)? {
                    // A continued line.
                    b'\n' => {}
                    byte => word.quoted(byte),
                },
                b'$' => self.variable(&mut word)?,
                byte if FOR_A_SHELL.contains(&byte) => return Err(ArgumentFault::Shell),
                byte => word.plain(byte),
            }
        }
        Ok(Some(Word {
            text: word.text,
            pattern: word.is_pattern.then_some(word.pattern),
        }))
    }

    /// Replaces a tilde, alone or before a slash, by the home, which is the root here.
    fn home(&mut self, word: &mut Growing) {
        match self.rest {
            [b'~', b'/', ..] => self.rest = self.rest.get(1..).unwrap_or_default(),
            [b'~'] | [b'~', b' ' | b'\t' | b'\r' | b'\n', ..] => {
                self.next();
                word.plain(b'/');
            }
            _ => {}
        }
    }

    fn single_quoted(&mut self, word: &mut Growing) -> Result<(), ArgumentFault> {
        loop {
            match self.next().ok_or(ArgumentFault::Open)? {
                b'\'' => return Ok(()),
                byte => word.quoted(byte),
            }
        }
    }

    fn double_quoted(&mut self, word: &mut Growing) -> Result<(), ArgumentFault> {
        loop {
            match self.next().ok_or(ArgumentFault::Open)? {
                b'"' => return Ok(()),
                b'`' => return Err(ArgumentFault::Shell),
                b'$' => self.variable(word)?,
                b'\\' => match self.next().ok_or(ArgumentFault::Open)? {
                    b'\n' => {}
                    byte @ (b'$' | b'`' | b'"' | b'\\') => word.quoted(byte),
                    byte => {
                        word.quoted(b'\\');
                        word.quoted(byte);
                    }
                },
                byte => word.quoted(byte),
            }
        }
    }

    /// Parses what follows a dollar sign. No variable has a value here.
    fn variable(&mut self, word: &mut Growing) -> Result<(), ArgumentFault> {
        let name_in = |bytes: &[u8]| {
            let letter = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
            let length = bytes.iter().take_while(|byte| letter(byte)).count();
            let digit = bytes.first().is_some_and(u8::is_ascii_digit);
            if digit { 1 } else { length }
        };
        let (skip, length) = match self.rest {
            [b'{', name @ ..] => match name_in(name) {
                length if length > 0 && name.get(length) == Some(&b'}') => (1, length + 1),
                _ => return Err(ArgumentFault::Shell),
            },
            [b'(', ..] => return Err(ArgumentFault::Shell),
            [b'@' | b'*' | b'#' | b'?' | b'-' | b'$' | b'!', ..] => {
                return Err(ArgumentFault::Shell);
            }
            name => (0, name_in(name)),
        };
        if skip + length == 0 {
            word.quoted(b'$');
        }
        self.rest = self.rest.get(skip + length..).unwrap_or_default();
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn texts(line: &str) -> Vec<String> {
        let words = words(line.as_bytes()).unwrap().into_iter();
        words
            .map(|word| String::from_utf8(word.text).unwrap())
            .collect()
    }

    #[test]
    fn words_are_cut_and_quotes_taken_off_as_in_a_shell() {
        for (line, expected) in [
            ("", &[][..]),
            ("  \t ", &[]),
            ("scp -t  dir\r\n", &["scp", "-t", "dir"]),
            ("scp -t dir\n \r\n", &["scp", "-t", "dir"]),
            ("~\n", &["/"]),
            ("a 'b c' \"d e\"", &["a", "b c", "d e"]),
            // A quoted blank at the end belongs to the name.
            (r"md5sum /t/\ tr\ ", &["md5sum", "/t/ tr "]),
            ("x a\\\t", &["x", "a\t"]),
            ("x a\\ \\  \n", &["x", "a  "]),
            ("x 'a '", &["x", "a "]),
            ("a''b \"\" ''", &["ab", "", ""]),
            (r"md5sum /a\ b\'c\\d", &["md5sum", "/a b'c\\d"]),
            (r#"x "a\"b\$c\d""#, &["x", "a\"b$c\\d"]),
            // libssh2 and PuTTY quote an apostrophe like this.
            (r#"x 'it'"'"'s'"#, &["x", "it's"]),
            (r"x 'it'\''s'", &["x", "it's"]),
            // rclone quotes a line feed like this.
            ("x a'\n'b", &["x", "a\nb"]),
            ("a \\\nb", &["a", "b"]),
            ("~ ~/x a~ ~b '~'", &["/", "/x", "a~", "~b", "~"]),
            ("echo ${ShellId}%ComSpec%", &["echo", "%ComSpec%"]),
            ("$a$b1-$1x \"$c d\" $ a$", &["-x", " d", "$", "a$"]),
        ] {
            assert_eq!(texts(line), expected, "{line}");
        }
    }

    #[test]
    fn patterns_are_told_from_names_that_look_like_them() {
        let pattern = |line: &str| words(line.as_bytes()).unwrap().remove(0).pattern;
        assert_eq!(pattern("abc"), None);
        assert_eq!(pattern("'*'"), None);
        assert_eq!(pattern(r"\*\?\["), None);
        assert_eq!(pattern("*.txt"), Some(b"*.txt".to_vec()));
        assert_eq!(pattern(r"a\*b*'[x]'"), Some(br"a\*b*\[x\]".to_vec()));
        assert_eq!(pattern(r"'\'*"), Some(br"\\*".to_vec()));
    }

    #[test]
    fn what_only_a_shell_could_do_is_refused() {
        for line in [
            "a|b", "a;b", "a & b", "a>b", "a<b", "(a)", "`a`", "$(a)", "\"$(a)\"", "\"`a`\"",
            "a\nb", "a \nb", "a \n b", "${a:-b}", "${}", "$@", "$?", "$$",
        ] {
            assert_eq!(words(line.as_bytes()), Err(ArgumentFault::Shell), "{line}");
        }
        for line in ["'a", "\"a", "a\\", "\"a\\"] {
            assert_eq!(words(line.as_bytes()), Err(ArgumentFault::Open), "{line}");
        }
        for quoted in ["'|;&<>()`$(x)'", r"\|\;\&\<\>\(\)\`\$\(x\)"] {
            assert_eq!(texts(quoted), ["|;&<>()`$(x)"]);
        }
    }
}
