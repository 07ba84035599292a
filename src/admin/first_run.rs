//! The first start: without any account nobody could try the server, so one is made.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rand::RngExt;
use zeroize::Zeroizing;

use super::{default_home, make_home};
use crate::accounts::{Accounts, NewAccount, UserName};
use crate::config::Config;

const NAME: &str = "demo";

/// No letters that look like others. 20 of 54 are more than 115 bits.
const LETTERS: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
const LENGTH: usize = 20;

/// Makes an account if there is none yet, and returns what to tell the operator about it: the only
/// time that its password is shown.
pub async fn make_account(
    config: &Config,
    accounts: &Accounts,
    addresses: &[SocketAddr],
) -> anyhow::Result<Option<Zeroizing<String>>> {
    if accounts.count().await? > 0 {
        return Ok(None);
    }
    let name = UserName::parse(NAME)?;
    let password = random_password();
    let home = make_home(&default_home(config, NAME))?;
    let shown_home = home.display().to_string();
    let new = NewAccount {
        name,
        home,
        password: Some(password.clone()),
        keys: Vec::new(),
    };
    accounts.add(new).await?;
    let password = password.as_str();
    let command = addresses
        .first()
        .map_or_else(String::new, |address| sftp_command(*address));
    Ok(Some(Zeroizing::new(format!(
        "\nThere were no accounts, so one was made. This is shown only once:\n\n  \
         user      {NAME}\n  password  {password}\n  home      {shown_home}\n\n  {command}\n\n\
         `landfall user add NAME` makes more; `landfall user rm {NAME}` removes this one.\n"
    ))))
}

fn random_password() -> Zeroizing<String> {
    let mut random = rand::rng();
    let letter = || {
        char::from(
            LETTERS
                .get(random.random_range(0..LETTERS.len()))
                .copied()
                .unwrap_or(b'x'),
        )
    };
    Zeroizing::new(std::iter::repeat_with(letter).take(LENGTH).collect())
}

/// The line to paste. A wildcard address stands for this machine.
fn sftp_command(address: SocketAddr) -> String {
    let host = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => "127.0.0.1".to_owned(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => "[::1]".to_owned(),
        IpAddr::V4(ip) => ip.to_string(),
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

    #[test]
    fn passwords_are_long_and_never_the_same() {
        let (first, second) = (random_password(), random_password());
        assert_eq!(first.len(), LENGTH);
        assert_ne!(first, second);
    }
}
