//! Turns credentials into a proof of who somebody is (RFC 4252, RFC 4256).

use std::net::SocketAddr;
use std::sync::Arc;

use russh::keys::{Algorithm, PublicKey};
use russh::server::{Auth, Response};
use russh::{MethodKind, MethodSet};
use tracing::{error, info, warn};
use zeroize::Zeroizing;

use crate::accounts::{Accounts, Proof};
use crate::failed_logins::FailedLogins;

/// One connection's way to a login.
pub(super) struct Login {
    accounts: Accounts,
    failed: Arc<FailedLogins>,
    peer: SocketAddr,
    /// Once here, nothing more is asked.
    proof: Option<Proof>,
}

/// What every refusal leaves open: a wrong password must not take the method away.
pub(super) fn methods() -> MethodSet {
    MethodSet::from(
        &[
            MethodKind::PublicKey,
            MethodKind::Password,
            MethodKind::KeyboardInteractive,
        ][..],
    )
}

pub(super) fn refused() -> Auth {
    Auth::Reject {
        proceed_with_methods: Some(methods()),
        partial_success: false,
    }
}

impl Login {
    pub(super) fn new(accounts: Accounts, failed: Arc<FailedLogins>, peer: SocketAddr) -> Self {
        Self {
            accounts,
            failed,
            peer,
            proof: None,
        }
    }

    /// The proof, once the login has succeeded.
    pub(super) fn take_proof(&mut self) -> Option<Proof> {
        self.proof.take()
    }

    pub(super) async fn password(&mut self, user: &str, password: &str) -> Auth {
        let password = Zeroizing::new(password.to_owned());
        let checked = self.accounts.check_password(user, password).await;
        self.conclude(user, "password", checked)
    }

    /// The same password, for clients that ask for it in this way.
    pub(super) async fn keyboard_interactive(
        &mut self,
        user: &str,
        response: Option<Response<'_>>,
    ) -> Auth {
        let Some(mut answers) = response else {
            return Auth::Partial {
                name: "".into(),
                instructions: "".into(),
                prompts: vec![("Password: ".into(), false)].into(),
            };
        };
        let answer = answers.next();
        let password = answer.as_deref().map(std::str::from_utf8);
        let Some(Ok(password)) = password else {
            return refused();
        };
        let password = Zeroizing::new(password.to_owned());
        let checked = self.accounts.check_password(user, password).await;
        self.conclude(user, "keyboard-interactive", checked)
    }

    /// Would this key be accepted? Nothing is proven yet.
    pub(super) async fn offered(&self, user: &str, key: &PublicKey, algorithm: &Algorithm) -> Auth {
        let Some(blob) = acceptable(key, algorithm) else {
            return refused();
        };
        match self.accounts.has_key(user, &blob).await {
            Ok(true) => Auth::Accept,
            Ok(false) => refused(),
            Err(failure) => self.unavailable(&failure),
        }
    }

    /// The possession of this key has been proven.
    pub(super) async fn public_key(
        &mut self,
        user: &str,
        key: &PublicKey,
        algorithm: &Algorithm,
    ) -> Auth {
        let Some(blob) = acceptable(key, algorithm) else {
            return refused();
        };
        let checked = self.accounts.check_key(user, &blob).await;
        self.conclude(user, algorithm.as_str(), checked)
    }

    fn conclude(
        &mut self,
        user: &str,
        method: &str,
        checked: anyhow::Result<Option<Proof>>,
    ) -> Auth {
        let peer = self.peer;
        match checked {
            Ok(Some(proof)) => {
                info!(user, %peer, method, "login");
                self.proof = Some(proof);
                Auth::Accept
            }
            Ok(None) => {
                // Debug formatting escapes what a stranger may have put into the name.
                warn!(?user, %peer, method, "login refused");
                self.failed.note(user, peer, method);
                refused()
            }
            Err(failure) => self.unavailable(&failure),
        }
    }

    fn unavailable(&self, failure: &anyhow::Error) -> Auth {
        error!(peer = %self.peer, "accounts cannot be read: {failure:#}");
        refused()
    }
}

/// The key's wire encoding (RFC 4253, section 6.6), if it is of a kind that is accepted here.
fn acceptable(key: &PublicKey, algorithm: &Algorithm) -> Option<Vec<u8>> {
    match algorithm {
        Algorithm::Ed25519
        | Algorithm::Ecdsa { .. }
        | Algorithm::SkEd25519
        | Algorithm::SkEcdsaSha2NistP256
        // Without a hash it is ssh-rsa: SHA-1, which RFC 8332 replaces.
        | Algorithm::Rsa { hash: Some(_) } => key.to_bytes().ok(),
        _ => None,
    }
}
