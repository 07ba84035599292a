//! What the config trusts for logins: authorities that sign certificates, keys that are revoked, and
//! whether there is a guest. The files are read at each login that asks for them, as OpenSSH does, and
//! for the open sessions whenever they have changed.

use std::fs::{self, File};
use std::io::Read as _;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use tokio::task::spawn_blocking;

use super::certificates::{self, Allowed, Certificate};
use super::keys::AuthorizedKey;
use super::login::{Credential, Refusal};
use super::revoked::Revoked;
use super::{Accounts, UserName};
use crate::calendar;
use crate::config::Config;

/// No file of keys is larger than this.
const MOST: u64 = 64 << 20;

/// See the module's description.
pub(super) struct Trust {
    authorities: Option<PathBuf>,
    revoked: Option<PathBuf>,
    guest: Option<String>,
}

impl Trust {
    pub(super) fn new(config: &Config) -> Self {
        let guest = &config.guest;
        Self {
            authorities: config.login.user_ca_keys.clone(),
            revoked: config.login.revoked_keys.clone(),
            guest: guest.enabled.then(|| guest.name.clone()),
        }
    }

    /// Reads the files, so that what is wrong with them is known at once.
    pub(super) async fn check(self: &Arc<Self>) -> anyhow::Result<()> {
        self.with_files(|_, _| ()).await
    }

    pub(super) fn is_guest(&self, name: &str) -> bool {
        self.guest.as_deref() == Some(name)
    }

    /// Is this key revoked? Without knowing it nobody is let in.
    pub(super) async fn is_revoked(self: &Arc<Self>, key_blob: &[u8]) -> anyhow::Result<bool> {
        if self.revoked.is_none() {
            return Ok(false);
        }
        let blob = key_blob.to_vec();
        self.with_files(move |_, revoked| revoked.has_key(&blob))
            .await
    }

    /// May this certificate log in to the account of this name, and to do what?
    pub(super) async fn certificate(
        self: &Arc<Self>,
        certificate: &Certificate,
        name: &str,
        from: IpAddr,
        now: i64,
    ) -> anyhow::Result<Result<Allowed, Refusal>> {
        let (certificate, name) = (certificate.clone(), name.to_owned());
        self.with_files(move |authorities, revoked| {
            certificates::check(&certificate, &name, from, now, authorities, revoked)
        })
        .await
    }

    /// The files that are named.
    fn files(&self) -> [Option<PathBuf>; 2] {
        [self.authorities.clone(), self.revoked.clone()]
    }

    /// Lets `ask` look at what is in the files.
    async fn with_files<T: Send + 'static>(
        self: &Arc<Self>,
        ask: impl FnOnce(&[AuthorizedKey], &Revoked) -> T + Send + 'static,
    ) -> anyhow::Result<T> {
        let files = self.clone();
        let asked = spawn_blocking(move || {
            let authorities = match &files.authorities {
                Some(file) => authorities(file)?,
                None => Vec::new(),
            };
            let revoked = match &files.revoked {
                Some(file) => revoked(file)?,
                None => Revoked::default(),
            };
            anyhow::Ok(ask(&authorities, &revoked))
        });
        asked.await.context("the files of keys could not be read")?
    }
}

/// The files of keys at one time: another one after any of them was changed, or others were named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustStamp([Option<(PathBuf, Option<Version>)>; 2]);

/// Device, inode, bytes, and when it was changed: seconds and nanoseconds.
type Version = (u64, u64, u64, i64, i64);

/// `None` if there is no such file.
fn version(file: &Path) -> Option<Version> {
    let file = fs::metadata(file).ok()?;
    Some((
        file.dev(),
        file.ino(),
        file.len(),
        file.ctime(),
        file.ctime_nsec(),
    ))
}

/// By what somebody was let in, who is still there.
pub struct Held {
    /// Whose account it is.
    pub user: UserName,
    /// The key or certificate.
    pub credential: Arc<Credential>,
    /// Where they are.
    pub from: IpAddr,
}

impl Accounts {
    /// The files of keys that the config names, as they stand.
    pub async fn trust_stamp(&self) -> anyhow::Result<TrustStamp> {
        let files = self.trust().files();
        if files.iter().all(Option::is_none) {
            return Ok(TrustStamp::default());
        }
        let stamped = |file: PathBuf| {
            let version = version(&file);
            (file, version)
        };
        let stamp = spawn_blocking(move || TrustStamp(files.map(|file| file.map(stamped))));
        stamp
            .await
            .context("the files of keys could not be looked at")
    }

    /// Asks the files once more, for all at once: why each of these would not be let in now.
    pub async fn still_trusted(&self, held: Vec<Held>) -> anyhow::Result<Vec<Option<Refusal>>> {
        let now = calendar::now();
        let ask = move |authorities: &[AuthorizedKey], revoked: &Revoked| {
            let refusal = |held: &Held| match &*held.credential {
                Credential::Key(blob) => revoked.has_key(blob).then_some(Refusal::Revoked),
                Credential::Certificate(one) => {
                    let name = held.user.as_str();
                    certificates::check(one, name, held.from, now, authorities, revoked).err()
                }
            };
            held.iter().map(refusal).collect()
        };
        self.trust().with_files(ask).await
    }
}

fn authorities(file: &Path) -> anyhow::Result<Vec<AuthorizedKey>> {
    let of_file = || format!("login.user_ca_keys, {}", file.display());
    let text = String::from_utf8(read(file).with_context(of_file)?).with_context(of_file)?;
    AuthorizedKey::parse_file(&text).with_context(of_file)
}

fn revoked(file: &Path) -> anyhow::Result<Revoked> {
    let of_file = || format!("login.revoked_keys, {}", file.display());
    let bytes = read(file).with_context(of_file)?;
    Revoked::parse(&bytes).with_context(of_file)
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    if !fs::metadata(file)?.is_file() {
        bail!("this is not a file");
    }
    let mut bytes = Vec::new();
    File::open(file)?.take(MOST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST {
        bail!("this is larger than any list of keys");
    }
    Ok(bytes)
}
