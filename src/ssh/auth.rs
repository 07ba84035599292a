//! Turns credentials into a proof of identity (RFC 4252, RFC 4256).

use std::net::SocketAddr;
use std::sync::Arc;

use russh::keys::ssh_key::Signature;
use russh::keys::ssh_key::certificate::{CertType, Certificate};
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, PublicKey};
use russh::server::{Auth, PublicKeyOffer, Response, VerifiedPublicKey};
use russh::{MethodKind, MethodSet};
use tracing::{debug, error, warn};
use zeroize::Zeroizing;

use super::algorithms::SSH_RSA;
use super::attempts::PASSWORD_MISSING;
use super::before_login::BeforeLogin;
use super::context::Context;
use super::means::{KEYBOARD_INTERACTIVE, Means, NONE, PASSWORD};
use super::methods::methods;
use crate::accounts::{
    self, Accounts, Credential, Given, KeyProof, LoginRefusal, Proof, SecurityKeyFlags,
};
use crate::config::Algorithms;
use crate::observe::audit::{self, Actor, Audit, Event, shown};
use crate::observe::failed_logins::FailedLogins;
use crate::observe::log::brief;
use crate::observe::metrics::Metrics;
use crate::values::error_chain::chain;
use crate::values::label::Label as _;

/// The authentication of one connection.
pub(super) struct Authentication {
    accounts: Accounts,
    audit: Audit,
    metrics: Arc<Metrics>,
    failed: Arc<FailedLogins>,
    before_login: Arc<BeforeLogin>,
    peer: SocketAddr,
    /// The first of two steps succeeded.
    given: Option<Given>,
    /// Whether SHA-1 signatures are accepted, and whether the client used one.
    takes_ssh_rsa: bool,
    signed_by_ssh_rsa: bool,
    /// The result of a successful login. No credential is checked after it.
    proof: Option<(Proof, Means)>,
}

fn refused() -> Auth {
    Auth::Reject {
        proceed_with_methods: Some(methods()),
        partial_success: false,
    }
}

/// Requires the password as the next step (RFC 4252, section 5.1).
fn half_done(partial_success: bool) -> Auth {
    let next = [MethodKind::Password, MethodKind::KeyboardInteractive];
    Auth::Reject {
        proceed_with_methods: Some(MethodSet::from(&next[..])),
        partial_success,
    }
}

impl Authentication {
    pub(super) fn new(context: &Context, before_login: Arc<BeforeLogin>, peer: SocketAddr) -> Self {
        Self {
            accounts: context.accounts.clone(),
            audit: context.audit.clone(),
            metrics: context.metrics.clone(),
            failed: context.failed_logins.clone(),
            before_login,
            peer,
            given: None,
            takes_ssh_rsa: context.ssh.algorithms == Algorithms::Legacy,
            signed_by_ssh_rsa: false,
            proof: None,
        }
    }

    /// Takes the proof and the means of a successful login.
    pub(super) fn take_proof(&mut self) -> Option<(Proof, Means)> {
        self.proof.take()
    }

    /// Returns whether the client signed with SHA-1.
    pub(super) fn is_signed_by_ssh_rsa(&self) -> bool {
        self.signed_by_ssh_rsa
    }

    /// Answers the method "none": logs in a guest, and shows other users the available methods.
    pub(super) async fn none(&mut self, user: &str) -> Auth {
        self.guest(user, &NONE).await.unwrap_or_else(refused)
    }

    /// Logs in a guest; `None` if the user is not a guest.
    async fn guest(&mut self, user: &str, means: &Means) -> Option<Auth> {
        let checked = self.accounts.check_guest(user, self.peer.ip()).await;
        Some(match checked.transpose()? {
            Ok(_) if self.audit.refuses_logins() => self.refused_unseen(user, means)?,
            Ok(checked) => self.conclude(user, means.clone(), checked),
            Err(failure) => self.unavailable(user, means, &failure),
        })
    }

    pub(super) async fn password(&mut self, user: &str, password: &str) -> Auth {
        self.check_password(user, password, PASSWORD).await
    }

    /// Checks a password that the client sends as the answer to a prompt.
    pub(super) async fn keyboard_interactive(
        &mut self,
        user: &str,
        response: Option<Response<'_>>,
    ) -> Auth {
        let Some(mut answers) = response else {
            let question = Auth::Partial {
                name: "".into(),
                instructions: "".into(),
                prompts: vec![("Password: ".into(), false)].into(),
            };
            return self
                .guest(user, &KEYBOARD_INTERACTIVE)
                .await
                .unwrap_or(question);
        };
        let answer = answers.next();
        let password = answer.as_deref().map(std::str::from_utf8);
        // One prompt has one answer (RFC 4256, section 3.4).
        let is_one = answers.next().is_none();
        let Some(Ok(password)) = password.filter(|_| is_one) else {
            self.record_refusal(
                user,
                &KEYBOARD_INTERACTIVE,
                "the answer is not one password",
            );
            return refused();
        };
        self.check_password(user, password, KEYBOARD_INTERACTIVE)
            .await
    }

    async fn check_password(&mut self, user: &str, password: &str, means: Means) -> Auth {
        if let Some(refused) = self.refused_unseen(user, &means) {
            return refused;
        }
        if let Some(guest) = self.guest(user, &means).await {
            return guest;
        }
        let password = Zeroizing::new(password.to_owned());
        let (from, given) = (self.peer.ip(), self.given.as_ref());
        let checked = self.accounts.check_password(user, password, from, given);
        match checked.await {
            Ok(checked) => self.conclude(user, means, checked),
            Err(failure) => self.unavailable(user, &means, &failure),
        }
    }

    /// Answers whether a key would be accepted. The client has proved nothing yet.
    pub(super) async fn offered(&mut self, user: &str, offer: PublicKeyOffer<'_>) -> Auth {
        let means = Means::of(offer.public_key, offer.certificate);
        let Some(blob) = self.acceptable(offer.public_key, offer.algorithm) else {
            self.record_refusal(user, &means, ALGORITHM);
            return refused();
        };
        if let Some(refused) = self.refused_unseen(user, &means) {
            return refused;
        }
        let credential = match offer.certificate {
            None => Some(Credential::Key(blob)),
            Some(certificate) => facts(certificate).map(Credential::Certificate),
        };
        let Some(credential) = credential else {
            return refused();
        };
        match self
            .accounts
            .accepts(user, credential, self.peer.ip())
            .await
        {
            Ok(Ok(())) => {
                self.before_login.attempts().failed(user, NOT_SIGNED);
                Auth::Accept
            }
            // An agent offers all its keys; the log shows them in one line at the end.
            Ok(Err(refusal)) if refusal.is_wrong() => {
                self.before_login.in_vain();
                let is_known = refusal == LoginRefusal::ExpiredKey;
                let attempts = self.before_login.attempts();
                attempts.key_in_vain(user, &means, &refusal.to_string(), is_known);
                self.audit_refusal(user, &means, &refusal.to_string());
                refused()
            }
            Ok(Err(refusal)) => self.conclude(user, means, Err(refusal)),
            Err(failure) => self.unavailable(user, &means, &failure),
        }
    }

    /// Checks a key that the client has proved to own.
    pub(super) async fn public_key(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Auth {
        let means = Means::of(key.public_key, None);
        let Some(blob) = self.acceptable(key.public_key, key.algorithm) else {
            self.record_refusal(user, &means, ALGORITHM);
            return refused();
        };
        self.signed_by_ssh_rsa = *key.algorithm == SSH_RSA;
        self.proven(user, means, Credential::Key(blob), key.signature)
            .await
    }

    /// Checks a certificate whose key the client has proved to own and whose signature is valid.
    pub(super) async fn certificate(
        &mut self,
        user: &str,
        certificate: &Certificate,
        key: VerifiedPublicKey<'_>,
    ) -> Auth {
        let means = Means::of(key.public_key, Some(certificate));
        let Some(certificate) = facts(certificate) else {
            return refused();
        };
        let credential = Credential::Certificate(certificate);
        self.proven(user, means, credential, key.signature).await
    }

    async fn proven(
        &mut self,
        user: &str,
        means: Means,
        credential: Credential,
        signature: &Signature,
    ) -> Auth {
        if let Some(refused) = self.refused_unseen(user, &means) {
            return refused;
        }
        if let Some(guest) = self.guest(user, &means).await {
            return guest;
        }
        let (flags, from) = (security_key_flags(signature), self.peer.ip());
        match self.accounts.check(user, credential, flags, from).await {
            Ok(Ok(KeyProof::Login(proof))) => self.conclude(user, means, Ok(*proof)),
            Ok(Ok(KeyProof::PasswordNext(given))) => {
                let (peer, method) = (self.peer, means.method.name());
                debug!(user, %peer, method, "key accepted; the password comes next");
                self.given = Some(given);
                self.before_login.attempts().first_step(user, means);
                half_done(true)
            }
            Ok(Err(refusal)) => self.conclude(user, means, Err(refusal)),
            Err(failure) => self.unavailable(user, &means, &failure),
        }
    }

    fn conclude(&mut self, user: &str, means: Means, checked: Result<Proof, LoginRefusal>) -> Auth {
        match checked {
            Ok(proof) => {
                self.before_login.attempts().succeeded();
                self.proof = Some((proof, means));
                Auth::Accept
            }
            Err(reason) => {
                let text = reason.to_string();
                self.failed.record(user, self.peer, means.method, &text);
                self.before_login.wrong();
                self.record_refusal(user, &means, &text);
                // Only a wrong password keeps the first of two steps.
                if !reason.is_wrong() {
                    self.given = None;
                }
                match &self.given {
                    Some(given) if given.user() == user => half_done(false),
                    _ => refused(),
                }
            }
        }
    }

    /// Refuses a login that must be recorded in the audit log and cannot be.
    fn refused_unseen(&self, user: &str, means: &Means) -> Option<Auth> {
        if !self.audit.refuses_logins() {
            return None;
        }
        self.record_refusal(user, means, "the audit log cannot be written");
        Some(refused())
    }

    /// Records a refusal in both logs.
    fn record_refusal(&self, user: &str, means: &Means, reason: &str) {
        let (peer, method, key) = (self.peer, means.method.name(), means.key.as_deref());
        // Debug formatting escapes control characters that an unauthenticated client may have put into the
        // name.
        warn!(user = ?brief(user), %peer, method, key, reason, "login refused");
        self.before_login.attempts().failed(user, reason);
        self.audit_refusal(user, means, reason);
    }

    fn audit_refusal(&self, user: &str, means: &Means, reason: &str) {
        let who = Actor {
            user: shown(user.as_bytes()).into_owned(),
            peer: self.peer,
            session: None,
        };
        let refused = audit::LoginEvent {
            ok: false,
            method: means.method,
            reason: Some(reason),
            key: means.key.as_deref(),
            client: shown(self.before_login.attempts().client()),
        };
        self.metrics.login(means.method, false);
        self.audit.record(Some(&who), &Event::Login(refused));
    }

    /// Returns the key in wire format (RFC 4253, section 6.6) if the server accepts its algorithm.
    fn acceptable(&self, key: &PublicKey, algorithm: &Algorithm) -> Option<Vec<u8>> {
        let is_accepted = match algorithm {
            Algorithm::Ed25519
            | Algorithm::Ecdsa { .. }
            | Algorithm::SkEd25519
            | Algorithm::SkEcdsaSha2NistP256
            | Algorithm::Rsa { hash: Some(_) } => true,
            _ => self.takes_ssh_rsa && *algorithm == SSH_RSA,
        };
        is_accepted.then(|| key.to_bytes().ok()).flatten()
    }

    fn unavailable(&self, user: &str, means: &Means, failure: &anyhow::Error) -> Auth {
        error!(peer = %self.peer, "cannot verify logins: {}", chain(failure));
        self.record_refusal(user, means, "cannot verify logins");
        refused()
    }
}

/// Records a refusal if the client leaves between the two steps.
impl Drop for Authentication {
    fn drop(&mut self) {
        if let Some((user, means)) = self.before_login.attempts().unfinished() {
            self.audit_refusal(&user, &means, PASSWORD_MISSING);
        }
    }
}

/// The reason for a refusal that does not depend on the key.
const ALGORITHM: &str = "the signature algorithm is not accepted";
/// The reason if a client leaves after offering a key that would be accepted.
const NOT_SIGNED: &str = "the key is known, and the client did not sign with it";

/// Returns the flags in a security key's signature (PROTOCOL.u2f); `None` for other kinds of key.
fn security_key_flags(signature: &Signature) -> Option<SecurityKeyFlags> {
    /// The counter follows the flags, at the end of the signature.
    const COUNTER: usize = size_of::<u32>();
    match signature.algorithm() {
        Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256 => {
            let flags = signature.as_bytes().iter().nth_back(COUNTER);
            Some(SecurityKeyFlags(flags.copied().unwrap_or_default()))
        }
        _ => None,
    }
}

/// Returns the fields of a certificate that russh has parsed.
fn facts(certificate: &Certificate) -> Option<accounts::Certificate> {
    let blob = |key: &KeyData| PublicKey::from(key.clone()).to_bytes().ok();
    let options = certificate.critical_options().iter();
    Some(accounts::Certificate {
        authority: blob(certificate.signature_key())?,
        key: blob(certificate.public_key())?,
        serial: certificate.serial(),
        key_id: certificate.key_id().to_owned(),
        is_for_users: certificate.cert_type() == CertType::User,
        principals: certificate.valid_principals().to_vec(),
        valid_after: certificate.valid_after(),
        valid_before: certificate.valid_before(),
        critical_options: options
            .map(|(option, value)| (option.clone(), value.clone()))
            .collect(),
        no_touch_required: certificate.extensions().contains_key("no-touch-required"),
        is_signed_with_sha1: certificate.signature().algorithm() == Algorithm::Rsa { hash: None },
    })
}
