//! The sandbox of the server, whatever somebody may bring its code to do: Landlock (landlock(7)) lets it touch
//! its own files and homes, and listen on its own ports; [`syscalls`] refuses what else it does not need
//! ([ADR 13](../../docs/adr/0013-landlock.md)).

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::Context as _;
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, NetPort,
    PathBeneath, PathFd, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetStatus, Scope,
    make_bitflags,
};
use tracing::warn;

use crate::config::Config;
use crate::io::disks;

/// The newest rights that this was written for: one that is forbidden without a thought could be one
/// that is needed. Older kernels know fewer, and forbid those.
const RIGHTS: ABI = ABI::V7;

/// What the homes need. No programs are run, and no devices, FIFOs or sockets are made.
const HOMES: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
    ReadFile | ReadDir | WriteFile | Truncate | MakeReg | MakeDir | MakeSym | RemoveFile | RemoveDir
    | Refer
});

/// What is read beside the config: by SQLite, and to know whether the machine was started anew.
const SYSTEM: &[&str] = &[
    "/dev/urandom",
    "/dev/null",
    "/proc/sys/kernel/random/boot_id",
];

/// The root and /etc hold too much to be let in for a file in them.
const TOO_WIDE: &[&str] = &["/", "/etc"];

/// Where the sandbox runs.
#[derive(Debug)]
pub struct Sandbox {
    data: PathBuf,
    homes: Vec<(PathBuf, PathFd)>,
    read: Vec<PathBuf>,
    ports: Vec<u16>,
}

/// The sandbox around this process.
static AROUND: OnceLock<Sandbox> = OnceLock::new();

/// Does the sandbox around this process leave this home out?
pub fn leaves_out(home: &Path) -> bool {
    AROUND.get().is_some_and(|sandbox| !sandbox.has_home(home))
}

/// What of it the kernel holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// All.
    All,
    /// Most: the kernel is older than some of the rights.
    Most,
    /// Nothing: the kernel has no Landlock, or one that would forbid renames between directories.
    Nothing,
}

impl Sandbox {
    /// Around what a config names, and the homes of the accounts that there are.
    pub fn new(config: &Config, homes: impl IntoIterator<Item = PathBuf>) -> Self {
        let data = real(&config.server.data);
        // It may be a link to a larger disk.
        let own = real(&data.join("homes"));
        let mut named = disks::ask(config.sandbox.homes.iter().cloned(), real);
        let named = config.sandbox.homes.iter().map(|folder| {
            let real = named.remove(folder);
            real.unwrap_or_else(|| folder.clone())
        });
        let wide: Vec<_> = named.chain([own]).collect();
        let is_within = |home: &PathBuf| {
            let mut folders = wide.iter().chain([&data]);
            folders.any(|folder| home.starts_with(folder))
        };
        let beyond = homes.into_iter().filter(|home| !is_within(home));
        let homes = open_in_time(wide.iter().cloned().chain(beyond).collect());
        let login = [&config.login.user_ca_keys, &config.login.revoked_keys];
        let files = login.into_iter().flatten().chain(&config.file);
        let mut read: Vec<_> = files.map(|file| with_its_folder(&real(file))).collect();
        read.push(real(&config.server.keys));
        read.extend(SYSTEM.iter().map(PathBuf::from));
        let listen = config.server.listen.iter().chain(&config.metrics.listen);
        Self {
            homes,
            data,
            read,
            ports: listen.map(SocketAddr::port).collect(),
        }
    }

    /// Remembers that it is raised around the whole process.
    pub fn stand(self) -> &'static Self {
        AROUND.get_or_init(|| self)
    }

    /// May a home lie here?
    pub fn has_home(&self, home: &Path) -> bool {
        let mut folders = self.homes.iter().map(|(folder, _)| folder);
        home.starts_with(&self.data) || folders.any(|folder| home.starts_with(folder))
    }

    /// Raises it around this thread and those that it starts from now on. There is no way back.
    ///
    /// # Errors
    /// The kernel knows Landlock, and does not take what it is told.
    pub fn raise(&self) -> anyhow::Result<Holds> {
        let refer = Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::Refer);
        // Without that right, renames between directories are forbidden as soon as anything is.
        let Ok(ruleset) = refer else {
            return Ok(Holds::Nothing);
        };
        let cannot = "cannot raise the sandbox (sandbox.landlock)";
        let mut ruleset = ruleset
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(RIGHTS))
            .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(RIGHTS)))
            .and_then(|ruleset| ruleset.scope(Scope::from_all(RIGHTS)))
            .and_then(Ruleset::create)
            .context(cannot)?;
        for (home, opened) in &self.homes {
            let added = ruleset.add_rule(PathBeneath::new(opened, HOMES));
            ruleset = added.with_context(|| format!("{cannot} around {}", home.display()))?;
        }
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        let others = self.read.iter().map(|path| (path, read));
        for (path, rights) in others.chain([(&self.data, HOMES | AccessFs::MakeSock)]) {
            // What is not there is missed by those who need it, in their own words.
            let Ok(opened) = PathFd::new(path) else {
                continue;
            };
            let rights = if path.is_dir() {
                rights
            } else {
                rights & AccessFs::from_file(RIGHTS)
            };
            let added = ruleset.add_rule(PathBeneath::new(opened, rights));
            ruleset = added.with_context(|| format!("{cannot} around {}", path.display()))?;
        }
        for port in &self.ports {
            let added = ruleset.add_rule(NetPort::new(*port, AccessNet::BindTcp));
            ruleset = added.with_context(|| format!("{cannot} around port {port}"))?;
        }
        let status = ruleset.restrict_self().context(cannot)?;
        Ok(match status.ruleset {
            RulesetStatus::FullyEnforced => Holds::All,
            RulesetStatus::PartiallyEnforced => Holds::Most,
            RulesetStatus::NotEnforced => Holds::Nothing,
        })
    }
}

/// A file that an editor or `mv` replaces is another one, which only its folder lets in.
fn with_its_folder(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if !TOO_WIDE.iter().any(|wide| folder == Path::new(wide)) => folder.to_owned(),
        _ => file.to_owned(),
    }
}

/// Opens folders. Those on a disk that hangs are left out: a server must start without them.
fn open_in_time(folders: Vec<PathBuf>) -> Vec<(PathBuf, PathFd)> {
    let mut answers = disks::ask(folders.iter().cloned(), |folder| PathFd::new(folder));
    let mut opened = Vec::new();
    for folder in folders {
        match answers.remove(&folder) {
            Some(Ok(found)) => opened.push((folder, found)),
            // The accounts that need it report it in their own words.
            Some(Err(_)) => {}
            None => warn!(
                "{} does not answer: it is left out of the sandbox until the next start",
                folder.display()
            ),
        }
    }
    opened
}

/// Without links, where that is possible.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
