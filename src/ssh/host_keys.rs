//! The host keys: generated on the first start, loaded on every other.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, bail};
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};

const DEFAULT_KEY: &str = "ssh_host_ed25519_key";

/// Loads all keys `ssh_host_*_key` in a folder, in OpenSSH's format without a passphrase. Generates an
/// ed25519 key if there is none. Of several keys of one kind, the server presents the first by name.
pub fn load_or_make(folder: &Path) -> anyhow::Result<Vec<PrivateKey>> {
    let mut keys = read(folder)?;
    if keys.is_empty() {
        keys.push(make(folder)?);
    }
    Ok(keys)
}

/// Loads as [`load_or_make`] does, for a running server. A missing key is an error: clients would take the
/// server for another one.
pub fn load(folder: &Path) -> anyhow::Result<Vec<PrivateKey>> {
    let keys = read(folder)?;
    if keys.is_empty() {
        bail!(
            "no host key in {} any more: restore the keys; only a start of the server generates a new one",
            folder.display()
        );
    }
    Ok(keys)
}

fn read(folder: &Path) -> anyhow::Result<Vec<PrivateKey>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut paths = Vec::new();
    let cannot_list = || format!("cannot list the keys folder {}", folder.display());
    for entry in fs::read_dir(folder).with_context(cannot_list)? {
        let entry = entry.with_context(cannot_list)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("ssh_host_") && name.ends_with("_key") {
            paths.push(entry.path());
        }
    }
    paths.sort();
    paths.iter().map(|path| load_one(path)).collect()
}

fn load_one(path: &Path) -> anyhow::Result<PrivateKey> {
    let shown = path.display();
    let mode = fs::metadata(path)
        .with_context(|| format!("cannot read the host key {shown}"))?
        .mode();
    if mode & 0o077 != 0 {
        bail!("the host key {shown} is readable by others: run `chmod 600 {shown}`");
    }
    let key = PrivateKey::read_openssh_file(path)
        .with_context(|| format!("{shown} is not a private key in OpenSSH's format"))?;
    if key.is_encrypted() {
        bail!("the host key {shown} has a passphrase: remove it with `ssh-keygen -p -f {shown}`");
    }
    Ok(key)
}

fn make(folder: &Path) -> anyhow::Result<PrivateKey> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("cannot create the keys folder {}", folder.display()))?;
    let mut key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519)
        .context("cannot generate a host key")?;
    key.set_comment("landfall host key");
    let path = folder.join(DEFAULT_KEY);
    write_new(&path, 0o600, key.to_openssh(LineEnding::LF)?.as_bytes())?;
    let public = format!("{}\n", key.public_key().to_openssh()?);
    write_new(&path.with_extension("pub"), 0o644, public.as_bytes())?;
    tracing::info!(path = %path.display(), "generated a host key");
    Ok(key)
}

fn write_new(path: &Path, mode: u32, content: &[u8]) -> anyhow::Result<()> {
    let write = || -> std::io::Result<()> {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(path)?;
        file.write_all(content)?;
        file.sync_all()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
