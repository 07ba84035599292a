//! The login attempts of one connection: the log line of a connection that ends without a login.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use russh::Error;
use tracing::info;

use super::algorithms::sufficient;
use super::means::Means;
use crate::observe::audit::shown;
use crate::observe::log::{brief, shortened};

/// Number of rejected keys that the log shows.
const SHOWN_KEYS: usize = 8;
/// Bytes of a client's algorithm list that the log shows.
const SHOWN_ALGORITHMS: usize = 512;

/// See the module's description.
#[derive(Default)]
pub(super) struct Attempts {
    client: OnceLock<Vec<u8>>,
    state: Mutex<AttemptState>,
}

#[derive(Default)]
struct AttemptState {
    rejected: usize,
    user: String,
    reason: Option<String>,
    /// A key was accepted; the password must follow.
    first_step: Option<Means>,
    /// Fingerprints of rejected keys.
    keys: Vec<String>,
    key_count: usize,
}

impl Attempts {
    fn state(&self) -> MutexGuard<'_, AttemptState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the client's identification (RFC 4253, section 4.2).
    pub(super) fn identified(&self, client: &[u8]) {
        // A client sends it once.
        let _ = self.client.set(client.to_vec());
    }

    /// Returns the client's identification; empty until it arrives.
    pub(super) fn client(&self) -> &[u8] {
        self.client.get().map(Vec::as_slice).unwrap_or_default()
    }

    /// Counts a request that was rejected.
    pub(super) fn rejected(&self) {
        self.state().rejected += 1;
    }

    /// Records why the last attempt failed or is incomplete.
    pub(super) fn failed(&self, user: &str, reason: &str) {
        let mut state = self.state();
        brief(user).clone_into(&mut state.user);
        state.reason = Some(reason.to_owned());
        state.first_step = None;
    }

    /// Records a rejected key. An unknown key is the least telling reason, since agents offer every key
    /// they have.
    pub(super) fn key_in_vain(&self, user: &str, means: &Means, reason: &str, is_known: bool) {
        if is_known || self.state().reason.is_none() {
            self.failed(user, reason);
        }
        let mut state = self.state();
        state.key_count += 1;
        if state.keys.len() < SHOWN_KEYS {
            state.keys.extend(means.key.clone());
        }
    }

    /// Records that a key was accepted as the first of two steps.
    pub(super) fn first_step(&self, user: &str, means: Means) {
        self.failed(user, PASSWORD_MISSING);
        self.state().first_step = Some(means);
    }

    /// Records that the login is complete.
    pub(super) fn succeeded(&self) {
        self.state().first_step = None;
    }

    /// Returns the user and the key of a first step without a second.
    pub(super) fn unfinished(&self) -> Option<(String, Means)> {
        let state = self.state();
        let means = state.first_step.clone()?;
        Some((state.user.clone(), means))
    }

    /// Writes the log line. `ending` is how the server closed the connection, if it did.
    pub(super) fn log(
        &self,
        peer: std::net::SocketAddr,
        ending: Option<&str>,
        failure: Option<&Error>,
        most: usize,
    ) {
        let client = (!self.client().is_empty()).then(|| shown(self.client()));
        let client = client.as_deref().map(brief);
        let state = self.state();
        if let Some(Error::NoCommonAlgo { kind, theirs, .. }) = failure {
            let reason = format!("no common {kind:?} algorithm").to_lowercase();
            let remedy = sufficient(kind, theirs);
            let remedy = remedy.map(|setting| format!("ssh.algorithms = {}", setting.name()));
            let offered = theirs.join(",");
            let offered = shortened(&offered, SHOWN_ALGORITHMS);
            info!(%peer, client, reason, offered, remedy, "{CLOSED}");
            return;
        }
        let last = state.reason.as_deref();
        let reason = match last.or(ending) {
            Some(last) if state.rejected >= most => {
                format!("too many authentication attempts; the last one: {last}")
            }
            Some(reason) => reason.to_owned(),
            None if state.rejected >= most => "too many authentication attempts".to_owned(),
            None if client.is_none() => "the client sent no SSH identification".to_owned(),
            None => match failure {
                Some(failure) if !is_end_of_stream(failure) => failure.to_string(),
                _ => "the client tried no password and no key".to_owned(),
            },
        };
        let user = last.map(|_| state.user.as_str());
        let keys_offered = (state.key_count > 0).then_some(state.key_count);
        let keys = keys_offered.map(|_| state.keys.join(" "));
        let attempts = state.rejected;
        info!(%peer, client, user, attempts, keys_offered, keys, reason, "{CLOSED}");
    }
}

const CLOSED: &str = "connection closed without a login";

/// The reason for refusing a login without its second step.
pub(super) const PASSWORD_MISSING: &str = "the key was accepted, and no password followed";

fn is_end_of_stream(failure: &Error) -> bool {
    use std::io::ErrorKind::{ConnectionReset, UnexpectedEof};
    match failure {
        Error::HUP | Error::Disconnect => true,
        Error::IO(failure) => [ConnectionReset, UnexpectedEof].contains(&failure.kind()),
        _ => false,
    }
}
