//! Hashes and verifies passwords (argon2id, RFC 9106), a limited number at a time.

use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use argon2::password_hash::Error as HashError;
use argon2::password_hash::phc::{Output, ParamsString, PasswordHash as PhcHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use rand::TryRng as _;
use rand::rngs::SysRng;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::options::LoginOptions;
use super::password::Password;

const SALT: usize = 16;

/// Hashes a password for config.toml.
pub async fn hash_password(login: &LoginOptions, password: &Password) -> anyhow::Result<String> {
    PasswordHasher::new(login)?.hash(password).await
}

/// Hashes and verifies passwords, a limited number at a time.
pub(super) struct PasswordHasher {
    argon2: Argon2<'static>,
    pub(super) permits: Arc<Semaphore>,
    /// A hash of no password, so that an account without one takes as long as others.
    nobody: String,
}

/// The result of checking a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The password is wrong.
    Wrong,
    /// The password is right.
    Right,
    /// The password is right; its hash uses other parameters than the current ones.
    RightButOutdated,
}

impl PasswordHasher {
    pub(super) fn new(login: &LoginOptions) -> anyhow::Result<Self> {
        let params = Params::new(
            login.argon2_memory,
            login.argon2_passes,
            login.argon2_lanes,
            None,
        )
        .map_err(|e| anyhow!("the argon2 settings cannot be used together: {e}"))?;
        let nobody = hash_of_nothing(&params)?;
        Ok(Self {
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            permits: Arc::new(Semaphore::new(login.parallel_hashes)),
            nobody,
        })
    }

    /// Returns the salted hash of a password as a PHC string.
    pub(super) async fn hash(&self, password: &Password) -> anyhow::Result<String> {
        let argon2 = self.argon2.clone();
        let password = password.clone();
        self.work(move || {
            let mut salt = [0; SALT];
            SysRng
                .try_fill_bytes(&mut salt)
                .context("the system has no random numbers")?;
            let output = output(&argon2, password.as_str().as_bytes(), &salt);
            let hash = output.and_then(|output| phc(argon2.params(), &salt, output));
            let hash = hash.map_err(|e| anyhow!("cannot hash a password: {e}"))?;
            Ok(hash.to_string())
        })
        .await
    }

    /// Compares a password with a hash. Without a hash, or for a password that cannot have been set, the
    /// result is `Wrong` after the same work.
    pub(super) async fn verify(
        &self,
        password: Zeroizing<String>,
        hash: Option<String>,
    ) -> anyhow::Result<Verdict> {
        let argon2 = self.argon2.clone();
        let password = Password::new(password).ok();
        let possible = password.is_some() && hash.is_some();
        let hash = hash.unwrap_or_else(|| self.nobody.clone());
        self.work(move || {
            let hash = PhcHash::new(&hash)
                .map_err(|e| anyhow!("a password hash in the database is damaged: {e}"))?;
            let bytes = password
                .as_ref()
                .map_or(&b""[..], |password| password.as_str().as_bytes());
            match is_of(bytes, &hash) {
                Ok(true) if !possible => Ok(Verdict::Wrong),
                Ok(true) if is_current(argon2.params(), &hash) => Ok(Verdict::Right),
                Ok(true) => Ok(Verdict::RightButOutdated),
                Ok(false) => Ok(Verdict::Wrong),
                Err(e) => Err(anyhow!("a password hash in the database is damaged: {e}")),
            }
        })
        .await
    }

    /// Runs a hash on the blocking pool. The permit stays with it, so that a client that disconnects does
    /// not make room for more than the limit.
    async fn work<T: Send + 'static>(
        &self,
        hash: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let permit = self.permits.clone().acquire_owned().await?;
        tokio::task::spawn_blocking(move || {
            let result = hash();
            drop(permit);
            result
        })
        .await
        .context("a password could not be hashed")?
    }
}

/// Returns whether this is the hash of the password.
fn is_of(password: &[u8], hash: &PhcHash) -> Result<bool, HashError> {
    let (Some(salt), Some(expected)) = (&hash.salt, &hash.hash) else {
        return Ok(false);
    };
    let algorithm = Algorithm::try_from(hash.algorithm.as_str())?;
    let version = Version::try_from(hash.version.unwrap_or(Version::V0x13.into()))?;
    let argon2 = Argon2::new(algorithm, version, Params::try_from(hash)?);
    // The comparison takes the same time wherever they differ.
    Ok(output(&argon2, password, salt)? == *expected)
}

fn output(argon2: &Argon2<'_>, password: &[u8], salt: &[u8]) -> Result<Output, HashError> {
    let params = argon2.params();
    let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
    let mut output = [0; Output::MAX_LENGTH];
    let output = output.get_mut(..length).ok_or(HashError::OutputSize)?;
    let mut memory = memory(params.block_count());
    argon2.hash_password_into_with_memory(password, salt, output, &mut memory)?;
    Ok(Output::new(output)?)
}

/// Allocates the memory of one hash, 19 MiB by default. glibc returns allocations beyond 32 MiB to the
/// system (malloc(3), M_MMAP_THRESHOLD). Smaller ones would stay with the heap of each thread that has
/// hashed a password: 600 MB while clients guess passwords. The unused part is never touched, so it takes
/// no memory.
fn memory(blocks: usize) -> Vec<Block> {
    const GIVEN_BACK: usize = (32 << 20) / size_of::<Block>() + 1;
    let mut memory = Vec::with_capacity(blocks.max(GIVEN_BACK));
    memory.resize(blocks, Block::new());
    memory
}

/// Returns a hash in the stored format.
fn phc(params: &Params, salt: &[u8], output: Output) -> Result<PhcHash, HashError> {
    Ok(PhcHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(params)?,
        salt: Some(Salt::new(salt)?),
        hash: Some(output),
    })
}

fn is_current(params: &Params, hash: &PhcHash) -> bool {
    Params::try_from(hash).is_ok_and(|old| {
        (old.m_cost(), old.t_cost(), old.p_cost())
            == (params.m_cost(), params.t_cost(), params.p_cost())
    })
}

/// Returns a hash with the cost of a real one. Its output is random instead of computed.
fn hash_of_nothing(params: &Params) -> anyhow::Result<String> {
    let mut random = [0; SALT + Params::DEFAULT_OUTPUT_LEN];
    SysRng
        .try_fill_bytes(&mut random)
        .context("the system has no random numbers")?;
    let (salt, output) = random.split_at(SALT);
    let made = Output::new(output).map_err(HashError::from);
    let hash = made.and_then(|output| phc(params, salt, output));
    let hash = hash.map_err(|e| anyhow!("the argon2 settings cannot be used together: {e}"))?;
    Ok(hash.to_string())
}
