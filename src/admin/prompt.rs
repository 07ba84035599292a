//! How a password gets in: at a prompt without echo, or from standard input.

use std::io::{self, BufRead, IsTerminal, Read};

use anyhow::{Context, bail, ensure};
use zeroize::Zeroizing;

use crate::accounts::password::{PASSWORD_MAX, check_new};

/// The first line of standard input.
pub(super) fn from_stdin() -> anyhow::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::with_capacity(PASSWORD_MAX + 2));
    let most = PASSWORD_MAX as u64 + 2;
    io::stdin()
        .lock()
        .take(most)
        .read_line(&mut line)
        .context("cannot read the password from standard input")?;
    let password = Zeroizing::new(line.trim_end_matches(['\n', '\r']).to_owned());
    check_new(&password)?;
    Ok(password)
}

/// Asks twice.
pub(super) fn ask(name: &str) -> anyhow::Result<Zeroizing<String>> {
    if !io::stdin().is_terminal() {
        bail!("there is no terminal to ask for a password: use --password-stdin or --no-password");
    }
    let ask = |prompt: String| rpassword::prompt_password(prompt).map(Zeroizing::new);
    let password = ask(format!("New password for {name}: "))?;
    check_new(&password)?;
    let again = ask("The same again: ".to_owned())?;
    ensure!(
        password == again,
        "the two passwords differ: nothing was changed"
    );
    Ok(password)
}
