//! The files of a run. All lie in one folder, so on one file system:
//!
//! ```text
//! home/          what every server serves: big, half, small/, names/, and what clients put there
//! source/        what clients put: big, half (of its size) and small/ (hard links: the same pages in memory)
//! fetched/       what clients get and keep
//! client_key, known_hosts
//! OpenSSH-1/ ... one folder for each server that is started: config, host key, log
//! ```

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::args::Scale;
use crate::servers::Programs;

/// Size of a small file in bytes.
const SMALL: usize = 4096;

/// The folder of a run.
pub(crate) struct Fixture {
    folder: PathBuf,
    /// The programs of this machine.
    pub(crate) programs: Programs,
    /// How many new names have been given out.
    names: AtomicU32,
}

impl Fixture {
    /// Makes all files.
    pub(crate) fn make(folder: &Path, scale: &Scale, programs: &Programs) -> Result<Self> {
        let fixture = Self {
            folder: folder.to_path_buf(),
            programs: programs.clone(),
            names: AtomicU32::new(0),
        };
        for folder in [fixture.home(), fixture.source(), fixture.fetched()] {
            fs::create_dir(folder)?;
        }
        fixture
            .make_files(scale)
            .context("cannot make the files to move")?;
        fixture.make_key("client_key")?;
        fs::write(fixture.known_hosts(), "")?;
        Ok(fixture)
    }

    /// What every server serves.
    pub(crate) fn home(&self) -> PathBuf {
        self.folder.join("home")
    }

    /// A name that nothing in the home has had yet: a server may remember what it has seen there, and
    /// what is put is removed behind its back.
    pub(crate) fn new_name(&self) -> String {
        format!("put-{}", self.names.fetch_add(1, Ordering::Relaxed))
    }

    /// What clients put.
    pub(crate) fn source(&self) -> PathBuf {
        self.folder.join("source")
    }

    /// What clients get and keep.
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
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "compare", "-f"])
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

    /// The file system that all of this lies on.
    pub(crate) fn file_system(&self) -> String {
        // Longest mount point that the folder is beneath: "... mount-point ... - type source ..."
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        mounts
            .lines()
            .filter_map(|line| {
                let (before, after) = line.split_once(" - ")?;
                let point = Path::new(before.split(' ').nth(4)?);
                let kind = after.split(' ').next()?;
                self.folder
                    .starts_with(point)
                    .then(|| (point.as_os_str().len(), kind.to_owned()))
            })
            .max()
            .map_or_else(|| "unknown".to_owned(), |(_, kind)| kind)
    }

    fn make_files(&self, scale: &Scale) -> io::Result<()> {
        let mut random = StdRng::seed_from_u64(1);
        let mut block = vec![0; 1 << 20];
        for (name, size) in [("big", scale.size), ("half", scale.size / 2)] {
            let mut file = File::create(self.source().join(name))?;
            let mut left = size;
            while left > 0 {
                random.fill_bytes(&mut block);
                left -= io::copy(&mut block.as_slice().take(left), &mut file)?;
            }
            // What is still to be written to the disk would be written while we measure.
            file.sync_all()?;
            fs::hard_link(self.source().join(name), self.home().join(name))?;
        }

        for folder in [self.source(), self.home()] {
            fs::create_dir(folder.join("small"))?;
        }
        let mut small = vec![0; SMALL];
        for number in 0..scale.small_files {
            let name = format!("small/{number:04}");
            random.fill_bytes(&mut small);
            File::create(self.source().join(&name))?.write_all(&small)?;
            fs::hard_link(self.source().join(&name), self.home().join(&name))?;
        }

        fs::create_dir(self.home().join("names"))?;
        for number in 0..scale.names {
            File::create(self.home().join(format!("names/a-file-{number:05}")))?;
        }
        Ok(())
    }
}

/// Are the bytes of two files the same? Says which two, if not.
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

/// Do two directories of plain files hold the same names and bytes?
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
