//! Checks of passwords, keys and certificates.

use std::net::IpAddr;
use std::sync::Arc;

use ssh_key::PublicKey;
use tracing::warn;
use zeroize::Zeroizing;

use super::account::Account;
use super::basis::Basis;
use super::credential::{AcceptedCredential, Allowed, Certificate, Credential};
use super::hasher::Verdict;
use super::key_options;
use super::keys::{self, AuthorizedKey};
use super::refusal::LoginRefusal;
use super::security_key::SecurityKeyFlags;
use super::sql::{AccountRow, KeyRow};
use super::{Accounts, Inner, Password, UserName};
use crate::rules::LoginPolicy;
use crate::values::error_chain::chain;
use crate::values::time;

/// A name that no account can have, looked up for invalid names.
const NO_NAME: &str = "";
/// A key that no account can have, looked up for invalid keys.
const NO_KEY: &str = "";

/// Proof of an identity: only a check in this module creates one.
#[derive(Debug)]
pub struct Proof {
    account: Account,
    basis: Basis,
}

impl Proof {
    /// Returns the account.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Consumes the proof.
    pub fn into_parts(self) -> (Account, Basis) {
        (self.account, self.basis)
    }
}

/// The result of a verified key.
#[derive(Debug)]
pub enum KeyProof {
    /// A login.
    Login(Box<Proof>),
    /// The first of two steps: the password comes next (RFC 4252, section 5.1).
    PasswordNext(Given),
}

/// A verified key of an account that requires the password, too. The second step checks it again.
#[derive(Debug)]
pub struct Given {
    name: UserName,
    /// The change that created the account.
    made_by: i64,
    entry: AcceptedCredential,
}

impl Given {
    /// Returns the user of the key.
    pub fn user(&self) -> &str {
        self.name.as_str()
    }
}

impl Accounts {
    /// Checks a password of a client at this address, which may have passed the first step with a key. The
    /// name and the password may be any bytes. Every refusal takes the same work, including that of a right
    /// password that is not sufficient.
    pub async fn check_password(
        &self,
        name: &str,
        password: Zeroizing<String>,
        from: IpAddr,
        given: Option<&Given>,
    ) -> anyhow::Result<Result<Proof, LoginRefusal>> {
        let Inner { rows, .. } = &*self.inner;
        let hasher = self.hasher();
        let as_of = rows.last_change().await?;
        let given = match given.filter(|given| given.user() == name) {
            Some(given) => Some(self.still_given(given, from).await?),
            None => None,
        };
        let row = rows.account(looked_up(name)).await?;
        let refusal = match &row {
            Some(row) => refusal_of_password(row, from, given.as_ref()),
            None => Some(LoginRefusal::NoSuchUser),
        };
        let hash = row.as_ref().and_then(|row| row.password_hash.clone());
        let hash = hash.filter(|_| refusal.is_none());
        let verdict = hasher.verify(password.clone(), hash).await?;
        let (Some(row), None) = (row, refusal) else {
            return Ok(Err(refusal.unwrap_or(LoginRefusal::NoSuchUser)));
        };
        match verdict {
            Verdict::Wrong => return Ok(Err(LoginRefusal::WrongPassword)),
            Verdict::Right => {}
            Verdict::RightButOutdated => {
                if let Err(failure) = self.renew_hash(&row, password).await {
                    // The password is right all the same; the next login tries again.
                    warn!(
                        user = row.name,
                        "cannot renew a password hash: {}",
                        chain(&failure)
                    );
                }
            }
        }
        let entry = given.and_then(Result::ok);
        let basis = Basis::of(&row, entry, as_of).and_password(&row);
        Ok(Ok(self.proof(row, basis)?))
    }

    /// Hashes a verified password again with the current argon2 settings.
    async fn renew_hash(
        &self,
        row: &AccountRow,
        password: Zeroizing<String>,
    ) -> anyhow::Result<()> {
        // A password in config.toml is changed there.
        let Some(old) = row
            .password_hash
            .as_ref()
            .filter(|_| !row.settings.declared)
        else {
            return Ok(());
        };
        let Inner { rows, .. } = &*self.inner;
        let new = self.hasher().hash(&Password::new(password)?).await?;
        rows.refresh_password(&row.name, old, &new).await
    }

    /// Returns whether this key or certificate could log in to the account from this address, once
    /// verified. The name and the key may be any bytes.
    pub async fn accepts(
        &self,
        name: &str,
        credential: Credential,
        from: IpAddr,
    ) -> anyhow::Result<Result<(), LoginRefusal>> {
        if self.trust().is_guest(name) {
            return Ok(Ok(()));
        }
        let found = self.allowed(name, &credential, from).await?;
        Ok(found.map(|_| ()))
    }

    /// Returns why a client at this address could not log in with the right password alone.
    pub async fn password_refusal(
        &self,
        name: &UserName,
        from: IpAddr,
    ) -> anyhow::Result<Option<LoginRefusal>> {
        let row = self.inner.rows.account(name.as_str()).await?;
        Ok(match row {
            Some(row) => refusal_of_password(&row, from, None),
            None => Some(LoginRefusal::NoSuchUser),
        })
    }

    /// Returns why a client at this address could not log in with this key.
    pub async fn key_refusal(
        &self,
        name: &UserName,
        key: &AuthorizedKey,
        from: IpAddr,
    ) -> anyhow::Result<Option<LoginRefusal>> {
        let key = Credential::Key(PublicKey::from_openssh(&key.public_key)?.to_bytes()?);
        Ok(self.accepts(name.as_str(), key, from).await?.err())
    }

    /// Checks as [`Accounts::accepts`] does. The caller must have verified the key's signature over this
    /// session, with its flags for a security key, and the authority's signature of a certificate;
    /// otherwise the proof is worthless.
    pub async fn check(
        &self,
        name: &str,
        credential: Credential,
        flags: Option<SecurityKeyFlags>,
        from: IpAddr,
    ) -> anyhow::Result<Result<KeyProof, LoginRefusal>> {
        let as_of = self.inner.rows.last_change().await?;
        match self.entry(name, Arc::new(credential), flags, from).await? {
            Ok((row, entry)) => self.key_proof(row, entry, as_of).map(Ok),
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// Logs in a guest without a credential; `None` if the name is not a guest.
    pub async fn check_guest(
        &self,
        name: &str,
        from: IpAddr,
    ) -> anyhow::Result<Option<Result<Proof, LoginRefusal>>> {
        if !self.trust().is_guest(name) {
            return Ok(None);
        }
        let as_of = self.inner.rows.last_change().await?;
        // An account that the configuration does not keep belongs to somebody else.
        let row = self.inner.rows.account(name).await?;
        let Some(row) = row.filter(|row| row.settings.declared) else {
            return Ok(Some(Err(LoginRefusal::NoSuchUser)));
        };
        if let Some(refused) = row.settings.rules.login_refusal(from, time::now()) {
            return Ok(Some(Err(refused.into())));
        }
        let basis = Basis::of(&row, None, as_of);
        Ok(Some(Ok(self.proof(row, basis)?)))
    }

    /// Checks a verified key or certificate; returns the account and the accepted credential.
    async fn entry(
        &self,
        name: &str,
        credential: Arc<Credential>,
        flags: Option<SecurityKeyFlags>,
        from: IpAddr,
    ) -> anyhow::Result<Result<(AccountRow, AcceptedCredential), LoginRefusal>> {
        let found = self.allowed(name, &credential, from).await?;
        Ok(found.and_then(|(row, allowed)| {
            allowed.required.met_by(flags)?;
            let entry = AcceptedCredential {
                credential,
                flags,
                allowed,
            };
            Ok((row, entry))
        }))
    }

    /// Checks the key of the first step again: since then it may have been removed or revoked, or its
    /// account changed or replaced by another of the same name.
    async fn still_given(
        &self,
        given: &Given,
        from: IpAddr,
    ) -> anyhow::Result<Result<AcceptedCredential, LoginRefusal>> {
        let AcceptedCredential {
            credential, flags, ..
        } = &given.entry;
        let found = self
            .entry(given.user(), credential.clone(), *flags, from)
            .await?;
        Ok(match found {
            Ok((row, entry)) if row.made_by == given.made_by => Ok(entry),
            Err(refusal) if !refusal.is_wrong() => Err(refusal),
            _ => Err(LoginRefusal::KeyLost),
        })
    }

    /// Returns the account that this key or certificate could log in to, with its rights.
    async fn allowed(
        &self,
        name: &str,
        credential: &Credential,
        from: IpAddr,
    ) -> anyhow::Result<Result<(AccountRow, Allowed), LoginRefusal>> {
        let name = looked_up(name);
        match credential {
            Credential::Key(blob) => self.account_with_key(name, blob, from).await,
            Credential::Certificate(one) => self.account_with_certificate(name, one, from).await,
        }
    }

    async fn account_with_key(
        &self,
        name: &str,
        blob: &[u8],
        from: IpAddr,
    ) -> anyhow::Result<Result<(AccountRow, Allowed), LoginRefusal>> {
        let (rows, now) = (&self.inner.rows, time::now());
        let key = keys::from_wire(blob).unwrap_or_else(|| NO_KEY.to_owned());
        let Some((row, key)) = rows.account_with_key(name, &key).await? else {
            return Ok(Err(LoginRefusal::NoSuchUser));
        };
        let Some(KeyRow { until, options }) = key else {
            return Ok(Err(LoginRefusal::UnknownKey));
        };
        if until.is_some_and(|until| until <= now) {
            return Ok(Err(LoginRefusal::ExpiredKey));
        }
        if let Some(refused) = row.settings.rules.login_refusal(from, now) {
            return Ok(Err(refused.into()));
        }
        if self.trust().is_revoked(blob).await? {
            return Ok(Err(LoginRefusal::Revoked));
        }
        let allowed = Allowed {
            until,
            only_sftp: false,
            required: key_options::required(&options)?,
        };
        Ok(Ok((row, allowed)))
    }

    async fn account_with_certificate(
        &self,
        name: &str,
        certificate: &Certificate,
        from: IpAddr,
    ) -> anyhow::Result<Result<(AccountRow, Allowed), LoginRefusal>> {
        let (trust, now) = (self.trust(), time::now());
        let allowed = match trust.certificate(certificate, name, from, now).await? {
            Ok(allowed) => allowed,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let Some(row) = self.inner.rows.account(name).await? else {
            return Ok(Err(LoginRefusal::NoSuchUser));
        };
        if let Some(refused) = row.settings.rules.login_refusal(from, now) {
            return Ok(Err(refused.into()));
        }
        Ok(Ok((row, allowed)))
    }

    fn key_proof(
        &self,
        row: AccountRow,
        entry: AcceptedCredential,
        as_of: i64,
    ) -> anyhow::Result<KeyProof> {
        if row.settings.rules.login_policy == LoginPolicy::KeyAndPassword {
            return Ok(KeyProof::PasswordNext(Given {
                name: super::stored_name(&row.name)?,
                made_by: row.made_by,
                entry,
            }));
        }
        let basis = Basis::of(&row, Some(entry), as_of);
        Ok(KeyProof::Login(Box::new(self.proof(row, basis)?)))
    }

    /// The change in the basis was read before the account.
    fn proof(&self, row: AccountRow, basis: Basis) -> anyhow::Result<Proof> {
        let account = self.account(row)?;
        Ok(Proof { account, basis })
    }
}

/// Returns why no password can log in, if none can.
fn refusal_of_password(
    row: &AccountRow,
    from: IpAddr,
    given: Option<&Result<AcceptedCredential, LoginRefusal>>,
) -> Option<LoginRefusal> {
    let rules = &row.settings.rules;
    let refused = rules.login_refusal(from, time::now());
    let refusal = refused
        .map(LoginRefusal::from)
        .or(match rules.login_policy {
            LoginPolicy::KeyOnly => Some(LoginRefusal::KeyWanted),
            LoginPolicy::KeyAndPassword => match given {
                Some(Ok(_)) => None,
                Some(Err(refusal)) => Some(*refusal),
                None => Some(LoginRefusal::KeyWanted),
            },
            LoginPolicy::Any => None,
        });
    let no_password = row.password_hash.is_none();
    refusal.or(no_password.then_some(LoginRefusal::NoPassword))
}

/// Returns the name to look up for a peer's user name.
fn looked_up(name: &str) -> &str {
    if name.parse::<UserName>().is_ok() {
        name
    } else {
        NO_NAME
    }
}
