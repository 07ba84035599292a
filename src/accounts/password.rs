//! Passwords: argon2id (RFC 9106), bounded in parallel.

use anyhow::{Context, anyhow, ensure};
use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

use crate::config;

/// Longest password in bytes: more would only cost time.
pub const PASSWORD_MAX: usize = 1024;

/// Checks a password that somebody wants to set.
pub fn check_new(password: &str) -> anyhow::Result<()> {
    ensure!(!password.is_empty(), "the password is empty");
    ensure!(
        password.len() <= PASSWORD_MAX,
        "the password is too long: at most {PASSWORD_MAX} bytes"
    );
    ensure!(
        !password.contains(['\0', '\n', '\r']),
        "the password contains a NUL or a line break, which no client can send"
    );
    Ok(())
}

/// Makes and checks hashes, only so many at a time: each takes the memory that the config says.
pub(super) struct Hasher {
    argon2: Argon2<'static>,
    permits: Semaphore,
    /// What a password is compared with where there is none, so that it costs the same.
    dummy: String,
}

impl Hasher {
    pub(super) fn new(login: &config::Login) -> anyhow::Result<Self> {
        let params = Params::new(
            login.argon2_memory,
            login.argon2_passes,
            login.argon2_lanes,
            None,
        )
        .map_err(|error| anyhow!("the argon2 parameters in the config do not fit: {error}"))?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let dummy = hash_now(&argon2, "no password hashes to this")?;
        Ok(Self {
            argon2,
            permits: Semaphore::new(login.parallel_hashes),
            dummy,
        })
    }

    pub(super) async fn hash(&self, password: Zeroizing<String>) -> anyhow::Result<String> {
        check_new(&password)?;
        let _permit = self.permits.acquire().await?;
        let argon2 = self.argon2.clone();
        spawn_blocking(move || hash_now(&argon2, &password)).await?
    }

    /// Does the password match the hash? Without a hash: no, after the same work.
    pub(super) async fn verify(
        &self,
        password: Zeroizing<String>,
        hash: Option<String>,
    ) -> anyhow::Result<bool> {
        let known = hash.is_some() && password.len() <= PASSWORD_MAX;
        let hash = hash.unwrap_or_else(|| self.dummy.clone());
        let password = if password.len() <= PASSWORD_MAX {
            password
        } else {
            Zeroizing::default()
        };
        let _permit = self.permits.acquire().await?;
        let argon2 = self.argon2.clone();
        let matches = spawn_blocking(move || {
            let hash = PasswordHash::new(&hash)
                .map_err(|error| anyhow!("a password hash in the database is damaged: {error}"))?;
            // The hash carries its own parameters: those of the config may have changed since.
            Ok::<_, anyhow::Error>(argon2.verify_password(password.as_bytes(), &hash).is_ok())
        })
        .await
        .context("checking a password failed")??;
        Ok(known && matches)
    }
}

fn hash_now(argon2: &Argon2<'_>, password: &str) -> anyhow::Result<String> {
    let hash = argon2
        .hash_password(password.as_bytes())
        .map_err(|error| anyhow!("the password cannot be hashed: {error}"))?;
    Ok(hash.to_string())
}
