//! The first start: creates an account, since nobody could log in otherwise.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tracing::warn;
use zeroize::Zeroizing;

use crate::accounts::{Accounts, NewAccount, Password, UserName};
use crate::observe::audit::{AccountAction, Audit, Event};

const NAME: &str = "demo";

/// Creates an account if there is none; returns the message for the operator, which shows its password
/// once. `addresses` are those that the server listens on.
pub(super) async fn make_account(
    accounts: &Accounts,
    audit: &Audit,
    addresses: &[SocketAddr],
) -> anyhow::Result<Option<Zeroizing<String>>> {
    if accounts.count().await? > 0 {
        return Ok(None);
    }
    if goes_to_journal() {
        warn!("there are no accounts yet: add one with landfall user add NAME");
        return Ok(None);
    }
    let name: UserName = NAME.parse()?;
    let password = Password::random()?;
    let new = NewAccount {
        password: Some(password.clone()),
        ..NewAccount::new(name)
    };
    let Some(account) = accounts.add_first(new).await? else {
        return Ok(None);
    };
    audit.record(
        None,
        &Event::Account {
            action: AccountAction::Add,
            name: NAME,
            message: "Added the first account",
            operator: None,
        },
    );
    let (password, home) = (password.as_str(), account.home.display());
    let command = addresses
        .first()
        .map_or_else(String::new, |address| sftp_command(*address));
    Ok(Some(Zeroizing::new(format!(
        "\nThere were no accounts, so one was created. Its password is shown only once:\n\n  \
         user      {NAME}\n  password  {password}\n  home      {home}\n\n  {command}\n\n\
         `landfall user add NAME` adds more; `landfall user rm {NAME}` removes this one.\n"
    ))))
}

/// Returns whether the standard output goes to the journal (systemd.exec(5)), where no password belongs.
fn goes_to_journal() -> bool {
    std::env::var_os("JOURNAL_STREAM").is_some()
}

/// Returns the command to paste. A wildcard address becomes this machine's.
fn sftp_command(address: SocketAddr) -> String {
    let host = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => "127.0.0.1".to_owned(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => "[::1]".to_owned(),
        IpAddr::V4(ip) => ip.to_string(),
        // Without brackets sftp takes the part after the first colon for a path.
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    format!("sftp -P {} {NAME}@{host}", address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_to_paste_names_a_reachable_address() {
        for (address, command) in [
            ("127.0.0.1:2022", "sftp -P 2022 demo@127.0.0.1"),
            ("0.0.0.0:22", "sftp -P 22 demo@127.0.0.1"),
            ("[::]:2022", "sftp -P 2022 demo@[::1]"),
            ("[fe80::1]:1", "sftp -P 1 demo@[fe80::1]"),
        ] {
            assert_eq!(sftp_command(address.parse().unwrap()), command);
        }
    }
}
