//! Turns credentials into a proof of who somebody is (RFC 4252, RFC 4256).

use std::net::SocketAddr;
use std::sync::Arc;

use russh::keys::{Algorithm, HashAlg, PublicKey};
use russh::server::{Auth, Response};
use russh::{MethodKind, MethodSet};
use tracing::{error, info, warn};
use zeroize::Zeroizing;

use super::Context;
use crate::accounts::{Accounts, Proof};
use crate::audit::{self, Audit, Event, Who, shown};
use crate::failed_logins::FailedLogins;
use crate::metrics::Metrics;

/// One connection's way to a login.
pub(super) struct Login {
    accounts: Accounts,
    audit: Audit,
    metrics: Arc<Metrics>,
    failed: Arc<FailedLogins>,
    peer: SocketAddr,
    /// Once here, nothing more is asked.
    proof: Option<(Proof, Means)>,
}

/// By what somebody logs in.
#[derive(Debug, Clone)]
pub(super) struct Means {
    pub(super) method: &'static str,
    /// The fingerprint of the key.
    pub(super) key: Option<String>,
}

const PASSWORD: Means = Means {
    method: "password",
    key: None,
};
const KEYBOARD_INTERACTIVE: Means = Means {
    method: "keyboard-interactive",
    key: None,
};

impl Means {
    fn key(key: &PublicKey) -> Self {
        Self {
            method: "publickey",
            key: Some(key.fingerprint(HashAlg::Sha256).to_string()),
        }
    }
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
    pub(super) fn new(context: &Context, peer: SocketAddr) -> Self {
        Self {
            accounts: context.accounts.clone(),
            audit: context.audit.clone(),
            metrics: context.metrics.clone(),
            failed: context.failed_logins.clone(),
            peer,
            proof: None,
        }
    }

    /// The proof, and by what it was given, once the login has succeeded.
    pub(super) fn take_proof(&mut self) -> Option<(Proof, Means)> {
        self.proof.take()
    }

    pub(super) async fn password(&mut self, user: &str, password: &str) -> Auth {
        self.check_password(user, password, PASSWORD).await
    }

    async fn check_password(&mut self, user: &str, password: &str, means: Means) -> Auth {
        if let Some(refused) = self.refused_unseen(user, &means) {
            return refused;
        }
        let password = Zeroizing::new(password.to_owned());
        let checked = self.accounts.check_password(user, password).await;
        self.conclude(user, means, "wrong password", checked)
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
        self.check_password(user, password, KEYBOARD_INTERACTIVE)
            .await
    }

    /// Would this key be accepted? Nothing is proven yet.
    pub(super) async fn offered(&self, user: &str, key: &PublicKey, algorithm: &Algorithm) -> Auth {
        let Some(blob) = acceptable(key, algorithm) else {
            return refused();
        };
        let means = Means::key(key);
        if let Some(refused) = self.refused_unseen(user, &means) {
            return refused;
        }
        match self.accounts.has_key(user, &blob).await {
            Ok(true) => Auth::Accept,
            Ok(false) => {
                self.note_refusal(user, &means, UNKNOWN_KEY);
                refused()
            }
            Err(failure) => self.unavailable(user, &means, &failure),
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
        let means = Means::key(key);
        if let Some(refused) = self.refused_unseen(user, &means) {
            return refused;
        }
        let checked = self.accounts.check_key(user, &blob).await;
        self.conclude(user, means, UNKNOWN_KEY, checked)
    }

    fn conclude(
        &mut self,
        user: &str,
        means: Means,
        why_not: &str,
        checked: anyhow::Result<Option<Proof>>,
    ) -> Auth {
        let peer = self.peer;
        let Means { method, key } = &means;
        let key = key.as_deref().unwrap_or_default();
        match checked {
            Ok(Some(proof)) => {
                info!(user, %peer, method, key, "login");
                self.proof = Some((proof, means));
                Auth::Accept
            }
            Ok(None) => {
                // Debug formatting escapes what a stranger may have put into the name.
                warn!(?user, %peer, method, key, "login refused");
                self.failed.note(user, peer, method);
                self.note_refusal(user, &means, why_not);
                refused()
            }
            Err(failure) => self.unavailable(user, &means, &failure),
        }
    }

    /// Where every login must be noted and none can be, nobody logs in.
    fn refused_unseen(&self, user: &str, means: &Means) -> Option<Auth> {
        if !self.audit.refuses_logins() {
            return None;
        }
        warn!(?user, peer = %self.peer, "login refused: the audit trail cannot be written");
        self.note_refusal(user, means, "the audit trail cannot be written");
        Some(refused())
    }

    fn note_refusal(&self, user: &str, means: &Means, reason: &str) {
        let who = Who {
            user: shown(user.as_bytes()).into_owned(),
            peer: self.peer,
            session: None,
        };
        let refused = audit::Login {
            ok: false,
            method: means.method,
            reason: Some(reason),
            key: means.key.as_deref(),
            client: None,
        };
        self.metrics.login(means.method, false);
        self.audit.note(Some(&who), &Event::Login(refused));
    }

    fn unavailable(&self, user: &str, means: &Means, failure: &anyhow::Error) -> Auth {
        error!(peer = %self.peer, "accounts cannot be read: {failure:#}");
        self.note_refusal(user, means, "accounts cannot be read");
        refused()
    }
}

const UNKNOWN_KEY: &str = "unknown key";

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
