//! Security keys (FIDO; OpenSSH's PROTOCOL.u2f), implemented in software: what their signatures must
//! assert about the user.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use ed25519_dalek::{Signer as _, SigningKey};
use russh::keys::agent::AgentIdentity;
use russh::keys::{HashAlg, PublicKey};
use sha2::{Digest, Sha256};

use crate::common::connection::{Connection, Options};
use crate::common::server::make_key;
use crate::common::wire::string;
use crate::common::{STEP, TestServer, USER, run_ok, wait_until};

const APPLICATION: &str = "ssh:";

/// Flags of a signature.
const PRESENT: u8 = 0x01;
const VERIFIED: u8 = 0x04;
/// A flag without a meaning for SSH.
const OTHER: u8 = 0x80;

/// The key types.
#[derive(Clone)]
enum Secret {
    Ed25519(Box<SigningKey>),
    P256(Arc<EcdsaKeyPair>),
}

impl Secret {
    fn p256() -> Self {
        Self::P256(Arc::new(
            EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
        ))
    }

    fn ed25519(seed: u8) -> Self {
        Self::Ed25519(Box::new(SigningKey::from_bytes(&[seed; 32])))
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Ed25519(_) => "sk-ssh-ed25519@openssh.com",
            Self::P256(_) => "sk-ecdsa-sha2-nistp256@openssh.com",
        }
    }

    fn public(&self) -> PublicKey {
        let mut blob = Vec::new();
        string(&mut blob, self.kind().as_bytes());
        match self {
            Self::Ed25519(key) => string(&mut blob, key.verifying_key().as_bytes()),
            Self::P256(key) => {
                string(&mut blob, b"nistp256");
                string(&mut blob, key.public_key().as_ref());
            }
        }
        string(&mut blob, APPLICATION.as_bytes());
        PublicKey::from_bytes(&blob).unwrap()
    }

    /// Signs, without flags and counter.
    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Ed25519(key) => key.sign(message).to_bytes().to_vec(),
            Self::P256(key) => {
                let signature = key.sign(&SystemRandom::new(), message).unwrap();
                let mut out = Vec::new();
                for number in signature.as_ref().chunks(32) {
                    mpint(&mut out, number);
                }
                out
            }
        }
    }
}

fn mpint(out: &mut Vec<u8>, number: &[u8]) {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let mut bytes = number[zeros..].to_vec();
    if bytes.first().is_some_and(|first| first & 0x80 != 0) {
        bytes.insert(0, 0);
    }
    string(out, &bytes);
}

/// A key that signs with these flags.
struct SecurityKey {
    secret: Secret,
    flags: u8,
}

impl russh::Signer for SecurityKey {
    type Error = russh::SendError;

    async fn auth_sign(
        &mut self,
        _key: &AgentIdentity,
        _hash: Option<HashAlg>,
        to_sign: Vec<u8>,
    ) -> Result<Vec<u8>, Self::Error> {
        let counter = 7_u32;
        let mut signed = Sha256::digest(APPLICATION).to_vec();
        signed.push(self.flags);
        signed.extend(counter.to_be_bytes());
        signed.extend(Sha256::digest(&to_sign));
        let mut blob = Vec::new();
        string(&mut blob, self.secret.kind().as_bytes());
        string(&mut blob, &self.secret.sign(&signed));
        blob.push(self.flags);
        blob.extend(counter.to_be_bytes());
        let mut out = to_sign;
        string(&mut out, &blob);
        Ok(out)
    }
}

/// Returns whether a login with a signature of these flags succeeds.
fn logs_in(server: &TestServer, secret: &Secret, flags: u8) -> bool {
    let connection = Connection::open(server, &Options::default());
    let key = SecurityKey {
        secret: secret.clone(),
        flags,
    };
    let result = connection.signed_by(USER, secret.public(), key);
    let success = result.unwrap().success();
    if success {
        connection.sftp().assert_alive();
    }
    success
}

/// Gives the account this key and no other, with these options.
fn authorize(server: &TestServer, options: &str, secret: &Secret) {
    let public = secret.public();
    let line = server.local("sk.pub");
    let text = format!("{options} {}", public.to_openssh().unwrap());
    fs::write(&line, text.trim()).unwrap();
    let fingerprint = public.fingerprint(HashAlg::Sha256).to_string();
    server.admin(&["user", "key", "rm", USER, &fingerprint], "");
    let add = ["user", "key", "add", USER, line.to_str().unwrap()];
    server.admin(&add, "").ok();
}

/// The flags to try, and for each set of options those that are accepted.
const TRIED: [u8; 7] = [
    0,
    PRESENT,
    VERIFIED,
    PRESENT | VERIFIED,
    OTHER,
    OTHER | PRESENT,
    OTHER | VERIFIED,
];

fn let_in(touch: bool, verify: bool) -> Vec<u8> {
    let good = |flags: &u8| (!touch || flags & PRESENT != 0) && (!verify || flags & VERIFIED != 0);
    TRIED.into_iter().filter(good).collect()
}

#[test]
fn a_login_requires_a_touch_and_what_the_options_of_the_key_say() {
    let server = TestServer::start_with(&[("login.max_attempts", "20")]);
    for secret in [Secret::ed25519(7), Secret::p256()] {
        for (options, touch, verify) in [
            ("", true, false),
            ("no-touch-required", false, false),
            ("verify-required", true, true),
            ("no-touch-required,verify-required", false, true),
        ] {
            authorize(&server, options, &secret);
            let mut good = TRIED.to_vec();
            good.retain(|flags| logs_in(&server, &secret, *flags));
            let kind = secret.kind();
            assert_eq!(good, let_in(touch, verify), "{kind}: {options:?}");
        }
    }
    let log = server.log();
    assert!(log.contains("security key: it was not touched"), "{log}");
    assert!(log.contains("security key: it did not verify its user"));
}

#[test]
fn another_security_key_is_refused() {
    let server = TestServer::start();
    let own = Secret::ed25519(7);
    authorize(&server, "", &own);
    assert!(!logs_in(&server, &Secret::ed25519(8), PRESENT));
    // The right public key, but a signature by another private key.
    let connection = Connection::open(&server, &Options::default());
    let forged = SecurityKey {
        secret: Secret::ed25519(9),
        flags: PRESENT,
    };
    let refused = connection.signed_by(USER, own.public(), forged);
    assert!(!refused.is_ok_and(|result| result.success()));
    assert!(logs_in(&server, &own, PRESENT));
}

#[test]
fn a_certificate_for_a_security_key_requires_a_touch_unless_it_says_otherwise() {
    let mut server = TestServer::start();
    server.stop();
    make_key(&server.local("ca"), &["-t", "ed25519"]);
    let ca = server.path("ca.pub");
    fs::copy(server.local("ca.pub"), &ca).unwrap();
    let config = fs::read_to_string(server.path("config.toml")).unwrap();
    let trust = "login.user_ca_keys = \"ca.pub\"\n";
    fs::write(server.path("config.toml"), config + trust).unwrap();
    server.serve();
    let sign = |public: &Path, option: &str| {
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-s"]).arg(server.local("ca"));
        keygen.args(["-I", "a test", "-n", USER]);
        for option in option.split(',').filter(|option| !option.is_empty()) {
            keygen.args(["-O", option]);
        }
        run_ok(keygen.arg(public), STEP);
    };
    for secret in [Secret::ed25519(7), Secret::p256()] {
        let public = server.local("user.pub");
        fs::write(&public, secret.public().to_openssh().unwrap()).unwrap();
        for (options, touch, verify) in [
            ("", true, false),
            ("no-touch-required", false, false),
            ("verify-required", true, true),
            ("no-touch-required,verify-required", false, true),
        ] {
            sign(&public, options);
            let mut good = TRIED.to_vec();
            good.retain(|flags| {
                let connection = Connection::open(&server, &Options::default());
                let key = SecurityKey {
                    secret: secret.clone(),
                    flags: *flags,
                };
                let certificate = server.local("user-cert.pub");
                let result = connection.certificate_signed_by(USER, &certificate, key);
                result.unwrap().success()
            });
            let kind = secret.kind();
            assert_eq!(good, let_in(touch, verify), "{kind}: {options:?}");
        }
    }
    // A list of authorities has no such options: each certificate contains its requirements.
    let text = fs::read_to_string(&ca).unwrap();
    let authority = Secret::ed25519(1).public().to_openssh().unwrap();
    for option in ["no-touch-required", "verify-required"] {
        fs::write(&ca, format!("{text}\n{option} {authority}\n")).unwrap();
        let refused = server.admin(&["reload"], "").failed();
        assert!(refused.err().contains(option), "{}", refused.describe());
    }
}

#[test]
fn a_session_ends_when_its_key_comes_to_require_more() {
    let server = TestServer::start();
    let secret = Secret::ed25519(7);
    let config = fs::read_to_string(server.path("config.toml")).unwrap();
    let declare = |options: &str| {
        let key = secret.public().to_openssh().unwrap();
        let zoe = format!("[user.zoe]\nkeys = ['{options}{key}']\n");
        fs::write(server.path("config.toml"), format!("{config}\n{zoe}")).unwrap();
        server.admin(&["reload"], "").ok();
    };
    declare("no-touch-required ");
    let connection = Connection::open(&server, &Options::default());
    let key = SecurityKey {
        secret: secret.clone(),
        flags: 0,
    };
    let result = connection.signed_by("zoe", secret.public(), key);
    assert!(result.unwrap().success());
    declare("restrict,no-touch-required ");
    connection.sftp().assert_alive();
    declare("");
    wait_until("the session is ended", STEP, || {
        server.log().contains("closing a session")
    });
}
