//! Input of the operator's commands: passwords, keys and answers.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read, Write as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use zeroize::Zeroizing;

use crate::accounts::{AuthorizedKey, MAX_PASSWORD, Password, decode_keys};
use crate::operator::output;

/// A shorter password is accepted with a warning, in characters.
const SHORT_PASSWORD: usize = 8;

/// Maximum size of a file of keys, in bytes.
const MAX_KEY_FILE: u64 = 1 << 20;

/// Returns whether standard input is a terminal.
pub(super) fn is_interactive() -> bool {
    io::stdin().is_terminal()
}

/// Reads a password from standard input: one line, with or without a line end.
pub(super) fn password_from_stdin() -> anyhow::Result<Password> {
    // One byte beyond the limit shows that the line is too long.
    let room = MAX_PASSWORD + "\r\n".len() + 1;
    // Allocated at once: a growing buffer would leave copies of the password in memory.
    let mut bytes = Zeroizing::new(Vec::with_capacity(room + 1));
    let most = u64::try_from(room).unwrap_or(u64::MAX);
    io::stdin()
        .lock()
        .take(most)
        .read_to_end(&mut bytes)
        .context("cannot read the password")?;
    let text = str::from_utf8(&bytes).context("the password is not UTF-8")?;
    let line = text
        .strip_suffix('\n')
        .map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    Password::new(Zeroizing::new(line.to_owned())).inspect(doubt)
}

/// Warns about a password that is easy to guess.
fn doubt(password: &Password) {
    let length = password.as_str().chars().count();
    if length < SHORT_PASSWORD {
        output::complain(&format!(
            "landfall: a password of {length} characters is easy to guess: use {SHORT_PASSWORD} or more"
        ));
    }
}

/// Asks for a password twice at the terminal, without echo.
pub(super) fn password_from_prompt() -> anyhow::Result<Password> {
    let ask = |prompt: &str| {
        rpassword::prompt_password(prompt)
            .map(Zeroizing::new)
            .context("cannot ask for the password")
    };
    let first = ask("New password: ")?;
    let password = Password::new(first)?;
    if *ask("Repeat the password: ")? != *password.as_str() {
        bail!("the passwords differ");
    }
    doubt(&password);
    Ok(password)
}

/// Asks a question; only "y" and "yes" mean yes.
pub(super) fn confirmed(question: &str) -> anyhow::Result<bool> {
    eprint!("{question} [y/N] ");
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin()
        .read_line(&mut answer)
        .context("cannot read the answer")?;
    Ok(["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()))
}

/// Reads all keys of a file; "-" is standard input.
pub(super) fn keys(file: &Path) -> anyhow::Result<Vec<AuthorizedKey>> {
    let shown = if is_stdin(file) {
        "the standard input".into()
    } else {
        file.to_string_lossy()
    };
    let source: Box<dyn Read> = if is_stdin(file) {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(file).with_context(|| format!("cannot read {shown}"))?)
    };
    let mut bytes = Vec::new();
    let read = source.take(MAX_KEY_FILE + 1).read_to_end(&mut bytes);
    read.with_context(|| format!("cannot read {shown}"))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_KEY_FILE) {
        bail!("{shown} is longer than {MAX_KEY_FILE} bytes: not a key file");
    }
    decode_keys(&bytes)
        .and_then(|text| AuthorizedKey::parse_file(&text))
        .with_context(|| format!("no key was accepted from {shown}"))
}

/// Returns whether this file name means standard input.
pub(super) fn is_stdin(file: &Path) -> bool {
    file == Path::new("-")
}
