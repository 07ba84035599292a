//! The folder that servers and clients work in. All of it lies on one file system:
//!
//! ```text
//! home/          what every server serves, and what clients put there
//! source/        what clients put; what is in both are hard links: the same pages in memory
//! fetched/       what clients get and keep
//! client_key, known_hosts
//! OpenSSH-1/ ... one folder for each server that is started: config, host key, log
//! ```

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};
use rand::Rng;
use rand::rngs::StdRng;

use crate::common::servers::Programs;

/// The folder of a run, or of a part of one.
pub(crate) struct Fixture {
    folder: PathBuf,
    /// The programs of this machine.
    pub(crate) programs: Programs,
    /// The number of names that were used.
    names: AtomicU32,
}

impl Fixture {
    /// Creates it, without files to move.
    pub(crate) fn make(folder: &Path, programs: &Programs) -> Result<Self> {
        let fixture = Self {
            folder: folder.to_path_buf(),
            programs: programs.clone(),
            names: AtomicU32::new(0),
        };
        for folder in [fixture.home(), fixture.source(), fixture.fetched()] {
            fs::create_dir(folder)?;
        }
        fixture.make_key("client_key")?;
        fs::write(fixture.known_hosts(), "")?;
        Ok(fixture)
    }

    /// The folder that each server serves.
    pub(crate) fn home(&self) -> PathBuf {
        self.folder.join("home")
    }

    /// A name that was never used in the home: a server may remember earlier names, and the bench removes
    /// uploaded files without the server.
    pub(crate) fn new_name(&self) -> String {
        format!("put-{}", self.names.fetch_add(1, Ordering::Relaxed))
    }

    /// The folder of files to upload.
    pub(crate) fn source(&self) -> PathBuf {
        self.folder.join("source")
    }

    /// The folder of downloaded files.
    pub(crate) fn fetched(&self) -> PathBuf {
        self.folder.join("fetched")
    }

    /// The client's private key.
    pub(crate) fn client_key(&self) -> PathBuf {
        self.folder.join("client_key")
    }

    /// The host keys that the client knows.
    pub(crate) fn known_hosts(&self) -> PathBuf {
        self.folder.join("known_hosts")
    }

    /// A new folder for a server's own files.
    pub(crate) fn server_folder(&self, name: &str) -> Result<PathBuf> {
        let folder = (1..)
            .map(|number| self.folder.join(format!("{name}-{number}")))
            .find(|folder| !folder.exists())
            .context("no name left")?;
        fs::create_dir(&folder)?;
        Ok(folder)
    }

    /// A new ed25519 key pair in the folder.
    pub(crate) fn make_key(&self, name: impl AsRef<Path>) -> Result<PathBuf> {
        let path = self.folder.join(name);
        let output = Command::new(&self.programs.ssh_keygen)
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "bench", "-f"])
            .arg(&path)
            .stdin(Stdio::null())
            .output()
            .context("cannot run ssh-keygen")?;
        if !output.status.success() {
            bail!(
                "ssh-keygen: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(path)
    }

    /// Creates a file of random bytes to upload, which is in the home too.
    pub(crate) fn make_file(&self, name: &str, size: u64, random: &mut StdRng) -> io::Result<()> {
        let mut block = vec![0; 1 << 20];
        let mut file = File::create(self.source().join(name))?;
        let mut left = size;
        while left > 0 {
            random.fill_bytes(&mut block);
            left -= io::copy(&mut block.as_slice().take(left), &mut file)?;
        }
        // Otherwise the kernel would write to the disk during a measurement.
        file.sync_all()?;
        fs::hard_link(self.source().join(name), self.home().join(name))
    }

    /// Creates a directory of empty files in the home.
    pub(crate) fn make_names(&self, directory: &str, names: u32) -> io::Result<()> {
        let directory = self.home().join(directory);
        fs::create_dir(&directory)?;
        for number in 0..names {
            File::create(directory.join(format!("a-file-{number:05}")))?;
        }
        Ok(())
    }
}

/// Compares the bytes of two files; the error names both.
pub(crate) fn same_file(one: &Path, other: &Path) -> Result<()> {
    let open =
        |path: &Path| File::open(path).with_context(|| format!("cannot open {}", path.display()));
    let (mut one_file, mut other_file) = (open(one)?, open(other)?);
    let (mut one_block, mut other_block) = (Vec::new(), Vec::new());
    loop {
        for (file, block) in [
            (&mut one_file, &mut one_block),
            (&mut other_file, &mut other_block),
        ] {
            block.clear();
            file.take(1 << 20).read_to_end(block)?;
        }
        if one_block != other_block {
            bail!("{} and {} differ", one.display(), other.display());
        }
        if one_block.is_empty() {
            return Ok(());
        }
    }
}

/// Compares the names and bytes of two directories of plain files.
pub(crate) fn same_files(one: &Path, other: &Path) -> Result<()> {
    let names = |folder: &Path| -> Result<Vec<_>> {
        let listing =
            fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
        let mut names = listing
            .map(|entry| Ok(entry?.file_name()))
            .collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    };
    let one_names = names(one)?;
    if one_names != names(other)? {
        bail!(
            "{} and {} hold different names",
            one.display(),
            other.display()
        );
    }
    one_names
        .iter()
        .try_for_each(|name| same_file(&one.join(name), &other.join(name)))
}
