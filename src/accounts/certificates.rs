//! Checks of OpenSSH certificates (PROTOCOL.certkeys), except for the signature and possession of the key,
//! which the caller has verified.

use std::net::IpAddr;

use super::credential::{Allowed, Certificate};
use super::keys::{self, AuthorizedKey};
use super::refusal::LoginRefusal;
use super::revoked::Revoked;
use super::security_key::Required;
use crate::rules::Network;

/// Checks whether the certificate may log in to the account of this name from this address at this time, in
/// seconds since 1970-01-01 00:00 UTC.
pub(super) fn check(
    certificate: &Certificate,
    name: &str,
    from: IpAddr,
    now: i64,
    authorities: &[AuthorizedKey],
    revoked: &Revoked,
) -> Result<Allowed, LoginRefusal> {
    let refused = |reason| Err(LoginRefusal::Certificate(reason));
    let Certificate { authority, key, .. } = certificate;
    let trusted = keys::from_wire(authority).is_some_and(|authority| {
        let valid = |key: &&AuthorizedKey| key.expires_at.is_none_or(|time| time > now);
        let mut valid = authorities.iter().filter(valid);
        valid.any(|trusted| trusted.public_key == authority)
    });
    if !trusted {
        return refused("its authority is not trusted");
    }
    let Some(own) = keys::from_wire(key) else {
        return refused("its key has a type or size that is not accepted");
    };
    if certificate.is_signed_with_sha1 {
        return refused("it is signed with SHA-1");
    }
    if revoked.has_certificate(authority, key, certificate.serial, &certificate.key_id) {
        return Err(LoginRefusal::Revoked);
    }
    if !certificate.is_for_users {
        return refused("it is a host certificate");
    }
    let seconds = u64::try_from(now).unwrap_or(0);
    if seconds < certificate.valid_after || seconds >= certificate.valid_before {
        return refused("it is not valid now");
    }
    // Without principals it would be valid for every account.
    if !certificate.principals.iter().any(|one| one == name) {
        return refused("the account is not one of its principals");
    }
    options(certificate, keys::is_security_key(&own), from)
}

/// Returns what the critical options allow; an unknown one is an error.
fn options(
    certificate: &Certificate,
    is_security_key: bool,
    from: IpAddr,
) -> Result<Allowed, LoginRefusal> {
    let refused = |reason| Err(LoginRefusal::Certificate(reason));
    let mut allowed = Allowed {
        until: i64::try_from(certificate.valid_before).ok(),
        only_sftp: false,
        required: Required {
            presence: !certificate.no_touch_required,
            verification: false,
        },
    };
    for (option, value) in &certificate.critical_options {
        match (option.as_str(), value.as_str()) {
            ("source-address", networks) => {
                let networks: Result<Vec<Network>, _> =
                    networks.split(',').map(str::parse).collect();
                let has = |networks: Vec<Network>| networks.iter().any(|one| one.contains(from));
                if !networks.is_ok_and(has) {
                    return refused("it is not valid for the client's address");
                }
            }
            ("force-command", "internal-sftp") => allowed.only_sftp = true,
            ("force-command", _) => {
                return refused("it forces a command that this server does not have");
            }
            ("verify-required", _) if is_security_key => allowed.required.verification = true,
            ("verify-required", _) => {
                return refused("it requires user verification, which its kind of key cannot do");
            }
            _ => return refused("it has an unknown critical option"),
        }
    }
    Ok(allowed)
}
