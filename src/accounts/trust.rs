//! The trust settings of logins: certificate authorities, revoked keys, and whether there is a guest. Each
//! login by key consults the files, which are read again only when they have changed; so do open sessions.

use std::fs::{self, File};
use std::io::Read as _;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use super::certificates;
use super::credential::{Allowed, Certificate};
use super::keys::AuthorizedKey;
use super::options::AccountOptions;
use super::refusal::LoginRefusal;
use super::revoked::Revoked;
use super::security_key::Required;
use crate::values::time;

/// Largest key file that is read.
const MOST: u64 = 64 << 20;

/// Greatest resolution of a file system's clock: a file that was changed less than this before it was read
/// can change again without another stamp.
const COARSE: Duration = Duration::from_secs(1);

/// The trust settings; see the module documentation.
pub(super) struct Trust {
    paths: Paths,
    guest: Option<String>,
    /// The last read. The reader holds the lock, so clients that offer keys cannot have the files read many
    /// times at once.
    kept: Arc<Mutex<Option<KeptFiles>>>,
}

/// The configured files.
#[derive(Clone)]
struct Paths {
    authorities: Option<PathBuf>,
    revoked: Option<PathBuf>,
}

/// The contents of the files.
#[derive(Default)]
struct TrustedKeys {
    authorities: Vec<AuthorizedKey>,
    revoked: Revoked,
}

impl TrustedKeys {
    fn read(paths: &Paths) -> anyhow::Result<Self> {
        Ok(Self {
            authorities: match &paths.authorities {
                Some(file) => read_authorities(file)?,
                None => Vec::new(),
            },
            revoked: match &paths.revoked {
                Some(file) => read_revoked(file)?,
                None => Revoked::default(),
            },
        })
    }
}

/// The outcome of reading the files, while it is valid.
struct KeptFiles {
    files: Result<Arc<TrustedKeys>, String>,
    stamp: TrustStamp,
    read_at: Instant,
    /// Every later change will alter the stamp.
    is_settled: bool,
}

impl KeptFiles {
    fn read(paths: &Paths, stamp: TrustStamp) -> Self {
        let (read_at, now) = (Instant::now(), time::now());
        let files = TrustedKeys::read(paths).map(Arc::new);
        Self {
            is_settled: files.is_ok() && stamp.is_older(now, COARSE),
            files: files.map_err(|failure| format!("{failure:#}")),
            stamp,
            read_at,
        }
    }

    fn holds(&self, stamp: &TrustStamp) -> bool {
        self.stamp == *stamp && (self.is_settled || self.read_at.elapsed() < COARSE)
    }
}

impl Trust {
    pub(super) fn new(options: AccountOptions<'_>) -> Self {
        let guest = options.guest;
        Self {
            paths: Paths {
                authorities: options.login.user_ca_keys.clone(),
                revoked: options.login.revoked_keys.clone(),
            },
            kept: Arc::default(),
            guest: guest.enabled.then(|| guest.name.clone()),
        }
    }

    /// Returns the current state of the configured files.
    pub(super) async fn stamp(&self) -> anyhow::Result<TrustStamp> {
        let paths = self.paths.clone();
        if paths.authorities.is_none() && paths.revoked.is_none() {
            return Ok(TrustStamp::default());
        }
        let stamp = spawn_blocking(move || TrustStamp::of(&paths));
        stamp.await.context("the key files could not be checked")
    }

    /// Reads the files to report their faults now.
    pub(super) async fn check(&self) -> anyhow::Result<()> {
        self.files().await.map(|_| ())
    }

    pub(super) fn is_guest(&self, name: &str) -> bool {
        self.guest.as_deref() == Some(name)
    }

    /// Returns whether this key is revoked. Nobody logs in while that is unknown.
    pub(super) async fn is_revoked(&self, key_blob: &[u8]) -> anyhow::Result<bool> {
        if self.paths.revoked.is_none() {
            return Ok(false);
        }
        Ok(self.files().await?.revoked.has_key(key_blob))
    }

    /// Checks whether this certificate may log in to the account of this name, and returns its rights.
    pub(super) async fn certificate(
        &self,
        certificate: &Certificate,
        name: &str,
        from: IpAddr,
        now: i64,
    ) -> anyhow::Result<Result<Allowed, LoginRefusal>> {
        let (certificate, name) = (certificate.clone(), name.to_owned());
        self.with_files(move |authorities, revoked| {
            certificates::check(&certificate, &name, from, now, authorities, revoked)
        })
        .await
    }

    /// Returns the contents of the files, reading them if they have changed.
    async fn files(&self) -> anyhow::Result<Arc<TrustedKeys>> {
        let paths = self.paths.clone();
        // The reading thread holds the lock, so a login that is abandoned does not pass it on.
        let mut kept = self.kept.clone().lock_owned().await;
        let read = spawn_blocking(move || {
            let stamp = TrustStamp::of(&paths);
            let kept = match kept.take() {
                Some(holding) if holding.holds(&stamp) => kept.insert(holding),
                _ => kept.insert(KeptFiles::read(&paths, stamp)),
            };
            kept.files.clone()
        });
        let read = read.await.context("the key files could not be read")?;
        read.map_err(|failure| anyhow!(failure))
    }

    /// Runs `ask` on the contents, on a thread that may take its time.
    pub(super) async fn with_files<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&[AuthorizedKey], &Revoked) -> T + Send + 'static,
    ) -> anyhow::Result<T> {
        let files = self.files().await?;
        let asked = spawn_blocking(move || ask(&files.authorities, &files.revoked));
        asked.await.context("the key files could not be searched")
    }
}

/// The state of the key files at one time: it differs after any of them was changed, or others were
/// configured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustStamp([Option<(PathBuf, Option<Version>)>; 2]);

/// Device, inode, size, and change time: seconds and nanoseconds.
type Version = (u64, u64, u64, i64, i64);

impl TrustStamp {
    fn of(paths: &Paths) -> Self {
        let files = [&paths.authorities, &paths.revoked];
        let stamped = |file: &PathBuf| (file.clone(), version(file));
        Self(files.map(|file| file.as_ref().map(stamped)))
    }

    /// Returns whether all files were changed longer ago than this.
    fn is_older(&self, now: i64, age: Duration) -> bool {
        let latest = now.saturating_sub_unsigned(age.as_secs());
        let versions = self.0.iter().flatten().filter_map(|(_, version)| *version);
        let mut changed = versions.map(|(.., seconds, _)| seconds);
        changed.all(|seconds| seconds < latest)
    }
}

/// Returns `None` if there is no such file.
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

fn read_authorities(file: &Path) -> anyhow::Result<Vec<AuthorizedKey>> {
    let of_file = || format!("login.user_ca_keys, {}", file.display());
    let bytes = read(file).with_context(of_file)?;
    let text = super::decode_keys(&bytes).with_context(of_file)?;
    let keys = AuthorizedKey::parse_file(&text).with_context(of_file)?;
    for key in &keys {
        if key.required().with_context(of_file)? != Required::default() {
            let bad = anyhow!(
                "no-touch-required and verify-required belong in certificates, not in the entry of the authority that signs them"
            );
            return Err(bad.context(of_file()));
        }
    }
    Ok(keys)
}

fn read_revoked(file: &Path) -> anyhow::Result<Revoked> {
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
        bail!("this is too large for a list of keys");
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const KEYS: [&str; 2] = [
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFYdgUwbX9v6YExJ5VbJ4ehR+1Wp7h2oAbTqN+2XRC0V",
    ];

    fn of_file(file: &Path) -> Trust {
        Trust {
            paths: Paths {
                authorities: None,
                revoked: Some(file.to_owned()),
            },
            guest: None,
            kept: Arc::default(),
        }
    }

    /// Waits until every later change of a file that was just changed alters its stamp.
    async fn settle() {
        tokio::time::sleep(2 * COARSE + Duration::from_millis(100)).await;
    }

    #[tokio::test]
    async fn files_are_read_once_until_they_change() {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("revoked");
        let blob = |key: &str| {
            let key = ssh_key::PublicKey::from_openssh(key).unwrap();
            key.to_bytes().unwrap()
        };
        fs::write(&file, KEYS[0]).unwrap();
        settle().await;
        let trust = Arc::new(of_file(&file));
        let first = trust.files().await.unwrap();
        assert!(first.revoked.has_key(&blob(KEYS[0])));
        let askers: Vec<_> = (0..100)
            .map(|_| {
                let trust = trust.clone();
                tokio::spawn(async move { trust.files().await.unwrap() })
            })
            .collect();
        for asker in askers {
            assert!(Arc::ptr_eq(&first, &asker.await.unwrap()));
        }
        // Of the same length as before: the change time tells.
        fs::write(&file, KEYS[1]).unwrap();
        assert!(!trust.is_revoked(&blob(KEYS[0])).await.unwrap());
        assert!(trust.is_revoked(&blob(KEYS[1])).await.unwrap());
        settle().await;
        let second = trust.files().await.unwrap();
        assert!(Arc::ptr_eq(&second, &trust.files().await.unwrap()));
    }

    #[tokio::test]
    async fn a_broken_file_is_an_error_until_it_is_mended() {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("revoked");
        let trust = of_file(&file);
        assert!(trust.check().await.is_err());
        fs::write(&file, "nonsense").unwrap();
        let failure = trust.check().await.unwrap_err();
        assert!(format!("{failure:#}").contains("line 1"), "{failure:#}");
        fs::write(&file, KEYS[0]).unwrap();
        trust.check().await.unwrap();
    }
}
