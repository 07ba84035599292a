//! Sessions in this process, without a server, to test or measure what is below SSH. Logins are verified as
//! always, since nothing else makes a session.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use landfall::accounts::{Accounts, NewAccount, Password};
use landfall::config::Config;
use landfall::io::pool::Pool;
use landfall::observe::audit::{Actor, Audit};
use landfall::quota::{CountHome, Ledgers, Limits};
use landfall::rules::Bandwidth;
use landfall::session::bandwidth::Lanes;
use landfall::session::descriptors::Descriptors;
use landfall::session::recorder::Recorder;
use landfall::session::{ConnectedClient, Session, SessionTerms, Shares};

/// The account.
const USER: &str = "anna";
const PASSWORD: &str = "a password";

/// A cheap login, which is not under test.
const CHEAP_LOGIN: &str =
    "[login]\nargon2_memory = \"8MiB\"\nargon2_passes = 1\nargon2_lanes = 1\n";

/// A server's accounts, to log in to one.
pub struct Entrance {
    config: Config,
    accounts: Accounts,
    ledgers: Arc<Ledgers>,
    home: PathBuf,
}

impl Entrance {
    /// Makes a configuration of these lines in the folder, and the account, with this home or the default
    /// one.
    pub async fn new(folder: &Path, lines: &str, home: Option<&Path>, count: CountHome) -> Self {
        let file = folder.join("config.toml");
        fs::write(&file, format!("{CHEAP_LOGIN}{lines}")).unwrap();
        let config = Config::load(&file).unwrap();
        let accounts = Accounts::open_or_make(config.accounts()).await.unwrap();
        let account = NewAccount {
            home: home.map(Path::to_owned),
            password: Some(Password::new(PASSWORD.to_owned().into()).unwrap()),
            ..NewAccount::new(USER.parse().unwrap())
        };
        let home = accounts.add(account).await.unwrap().home;
        let ledgers = Ledgers::new(accounts.database().clone(), count);
        Self {
            config,
            accounts,
            ledgers,
            home,
        }
    }

    /// The configuration of sessions.
    pub fn terms(&self) -> SessionTerms {
        SessionTerms {
            limits: self.config.sftp.clone(),
            uploads: self.config.uploads.clone(),
        }
    }

    /// Starts a session of a client with this identification.
    pub async fn log_in(&self, client: &str, quota: Limits, terms: SessionTerms) -> Arc<Session> {
        let client = ConnectedClient {
            address: ([127, 0, 0, 1], 22).into(),
            identification: format!("SSH-2.0-{client}").into_bytes(),
        };
        let (password, from) = (PASSWORD.to_owned().into(), client.address.ip());
        let checked = self.accounts.check_password(USER, password, from, None);
        let proof = checked.await.unwrap().unwrap();
        let member = self.ledgers.join(USER, &self.home, quota).await.unwrap();
        let shares = Shares {
            speed: Lanes::new(Bandwidth::default(), None).join(USER, Bandwidth::default()),
            open: Descriptors::of_process().join(USER),
            threads: Pool::new(1).join(USER),
        };
        let who = Actor {
            user: USER.to_owned(),
            peer: client.address,
            session: None,
        };
        let witness = Recorder::new(Audit::off(), Arc::default(), who);
        let session = Session::new(
            proof,
            client,
            terms,
            member,
            shares,
            Arc::default(),
            witness,
        );
        Arc::new(session)
    }
}
