//! `landfall user why`: shows whether a user can log in now, and if not, why.

use std::net::{IpAddr, Ipv4Addr};

use super::audit::{RefusedLogin, refused_logins};
use super::settings;
use super::view::{describe, last_login, yes_or_no};
use crate::accounts::{Accounts, Details, LoginRefusal, UserName};
use crate::config::Config;
use crate::control::{BanEntry, ControlReply, ControlRequest, RunningServer};
use crate::operator::output;
use crate::rules::{LoginPolicy, Network};

/// Maximum number of refused logins shown.
const ATTEMPTS: usize = 5;

/// State of the running server.
#[derive(Default)]
struct Running {
    is_running: bool,
    bans: Vec<BanEntry>,
    /// Open sessions of the user.
    sessions: usize,
}

impl Running {
    async fn ask(config: &Config, name: &UserName) -> anyhow::Result<Self> {
        let Some(mut server) = RunningServer::find(&config.server.data).await? else {
            return Ok(Self::default());
        };
        let sessions = server.ask(ControlRequest::Sessions).await?;
        let is_own = |reply: &&ControlReply| matches!(reply, ControlReply::Session(one) if one.user == name.as_str());
        let sessions = sessions.iter().filter(is_own).count();
        let bans = server.ask(ControlRequest::Bans).await?.into_iter();
        let bans = bans.filter_map(|reply| match reply {
            ControlReply::Ban(ban) => Some(ban),
            _ => None,
        });
        Ok(Self {
            is_running: true,
            bans: bans.collect(),
            sessions,
        })
    }

    /// Returns the ban of an address.
    fn ban(&self, address: IpAddr) -> Option<&BanEntry> {
        let is_of = |ban: &&BanEntry| {
            let network = ban.source.parse::<Network>();
            network.is_ok_and(|network| network.contains(address))
        };
        self.bans.iter().find(is_of)
    }
}

/// Explains whether the user can log in from this address, by default that of the last refused login.
///
/// # Errors
///
/// Errors of the database, the audit log or the server.
pub(super) async fn explain(
    config: &Config,
    accounts: &Accounts,
    name: &UserName,
    address: Option<IpAddr>,
) -> anyhow::Result<String> {
    let attempts = refused_logins(config, name, ATTEMPTS)?;
    let running = Running::ask(config, name).await?;
    let address = address.or(attempts.iter().rev().find_map(|one| one.address));
    let ban = address.and_then(|address| running.ban(address));
    let mut text = match accounts.find_any(name).await? {
        None => format!("There is no user {name}\n"),
        Some(user) => {
            let state = state(config, accounts, &user, &running).await?;
            state + &now(accounts, &user, &running, address, ban).await?
        }
    };
    if let Some(ban) = ban {
        text.push_str(&format!(
            "\n{}; lift it with: landfall ban lift {}\n",
            banned(ban),
            ban.source
        ));
    }
    if !running.is_running {
        text.push_str("\nNo server is running: bans and open sessions are unknown\n");
    }
    text.push_str(&listed(config, &attempts));
    Ok(text)
}

/// Formats the state of the user.
async fn state(
    config: &Config,
    accounts: &Accounts,
    user: &Details,
    running: &Running,
) -> anyhow::Result<String> {
    let (name, rules) = (&user.account.name, &user.account.settings.rules);
    let row = |title: &str, text: String| [title.to_owned(), text];
    let most = settings::limit(rules.max_sessions.map(|most| most.to_string()));
    let mut rows = vec![
        row("User", name.to_string()),
        row("State", settings::state(rules).name().to_owned()),
    ];
    rows.extend(settings::login_rows(rules));
    rows.extend([
        row("Sessions", format!("{} open of {most}", running.sessions)),
        row("Password", yes_or_no(user.has_password)),
        row("Last login", last_login(user)),
    ]);
    for key in accounts.keys(name).await? {
        rows.push(row("Key", describe(&key)));
    }
    if let Some(file) = &config.login.user_ca_keys {
        rows.push(row("Certificates", format!("signed by {}", file.display())));
    }
    Ok(output::table(&rows))
}

/// Formats the outcome of a login now, with each credential.
async fn now(
    accounts: &Accounts,
    user: &Details,
    running: &Running,
    address: Option<IpAddr>,
    ban: Option<&BanEntry>,
) -> anyhow::Result<String> {
    let (name, rules) = (&user.account.name, &user.account.settings.rules);
    let place = address.map_or("an allowed address".to_owned(), |ip| ip.to_string());
    let allowed = rules.networks.first().map(Network::first);
    let from = address.or(allowed);
    let from = from.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let sessions = rules
        .max_sessions
        .filter(|most| running.sessions >= usize::try_from(*most).unwrap_or(usize::MAX))
        .map(|most| format!("refused: {} of {most} sessions are open", running.sessions));
    let outcome = |refusal: Option<LoginRefusal>, accepted: &str| match (ban, refusal) {
        (Some(ban), _) => format!("refused: {}", banned(ban)),
        (None, Some(refusal)) => format!("refused: {refusal}"),
        (None, None) => sessions.clone().unwrap_or_else(|| accepted.to_owned()),
    };
    let mut rows = Vec::new();
    if accounts.is_guest(name.as_str()) {
        let checked = accounts.check_guest(name.as_str(), from).await?;
        let refusal = checked.and_then(Result::err);
        rows.push(["  any credential".to_owned(), outcome(refusal, "accepted")]);
    } else {
        let refusal = accounts.password_refusal(name, from).await?;
        let accepted = "accepted if it is the right one";
        rows.push(["  password".to_owned(), outcome(refusal, accepted)]);
        let accepted = match rules.login_policy {
            LoginPolicy::KeyAndPassword if user.has_password => "accepted; the password comes next",
            LoginPolicy::KeyAndPassword => "accepted; then refused: the account has no password",
            LoginPolicy::Any | LoginPolicy::KeyOnly => "accepted",
        };
        for key in accounts.keys(name).await? {
            let refusal = accounts.key_refusal(name, &key, from).await?;
            rows.push([format!("  {}", key.fingerprint), outcome(refusal, accepted)]);
        }
    }
    Ok(format!(
        "\nA login from {place} now, with\n{}",
        output::table(&rows)
    ))
}

fn banned(ban: &BanEntry) -> String {
    format!("{} is banned until {}", ban.source, ban.until)
}

fn listed(config: &Config, attempts: &[RefusedLogin]) -> String {
    if attempts.is_empty() {
        let off = if config.audit.enabled {
            ""
        } else {
            " (audit.enabled is false)"
        };
        return format!("\nThe audit log has no refused login of this name{off}\n");
    }
    let lines = attempts.iter().map(|one| format!("  {}", one.line));
    format!("\nThe last refused logins\n{}", lines.collect::<String>())
}
