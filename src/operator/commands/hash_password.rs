//! `landfall hash-password`

use anyhow::bail;

use super::input;
use crate::accounts;
use crate::config::Config;
use crate::operator::cli;
use crate::operator::output;

/// Hashes a password with the configured argon2 settings, for `password_hash` of a declared user.
///
/// # Errors
///
/// There is no password, or it cannot be set.
pub async fn run(config: &Config, command: &cli::HashPassword) -> anyhow::Result<()> {
    let password = if command.password_stdin {
        input::password_from_stdin()?
    } else if input::is_interactive() {
        input::password_from_prompt()?
    } else {
        bail!("no terminal to ask for a password: use --password-stdin");
    };
    let hash = accounts::hash_password(&config.login, &password).await?;
    Ok(output::print(&format!("{hash}\n"))?)
}
