//! The file sandbox of the server, in case an attacker takes over its code: Landlock (landlock(7)) lets it
//! access only its own files and homes, and listen only on its own ports. [`syscalls`] refuses the system
//! calls that it does not need ([ADR 13](../../docs/adr/0013-landlock.md)).

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

/// The newest rights known to this code; newer ones might be needed. Older kernels know fewer rights.
const RIGHTS: ABI = ABI::V7;

/// The rights in homes: no execution, no devices, FIFOs or sockets.
const HOMES: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
    ReadFile | ReadDir | WriteFile | Truncate | MakeReg | MakeDir | MakeSym | RemoveFile | RemoveDir
    | Refer
});

/// Files outside of the configuration that are read: by SQLite, and to detect a reboot of the machine.
const SYSTEM: &[&str] = &[
    "/dev/urandom",
    "/dev/null",
    "/proc/sys/kernel/random/boot_id",
];

/// The root and /etc contain too much to be allowed for one file in them.
const TOO_WIDE: &[&str] = &["/", "/etc"];

/// The paths and ports that the sandbox allows.
#[derive(Debug)]
pub struct Sandbox {
    data: PathBuf,
    homes: Vec<(PathBuf, PathFd)>,
    read: Vec<PathBuf>,
    ports: Vec<u16>,
}

/// The sandbox around this process.
static AROUND: OnceLock<Sandbox> = OnceLock::new();

/// Returns whether the sandbox around this process excludes a home.
pub fn leaves_out(home: &Path) -> bool {
    AROUND.get().is_some_and(|sandbox| !sandbox.has_home(home))
}

/// How much of the sandbox the kernel enforces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// All of it.
    All,
    /// Most of it: the kernel lacks some of the rights.
    Most,
    /// None: the kernel has no Landlock, or a version that would forbid renames between directories.
    Nothing,
}

impl Sandbox {
    /// Makes a sandbox for a configuration and the homes of existing accounts.
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

    /// Records that the sandbox holds for the whole process.
    pub fn stand(self) -> &'static Self {
        AROUND.get_or_init(|| self)
    }

    /// Returns whether a home may be at this path.
    pub fn has_home(&self, home: &Path) -> bool {
        let mut folders = self.homes.iter().map(|(folder, _)| folder);
        home.starts_with(&self.data) || folders.any(|folder| home.starts_with(folder))
    }

    /// Enters the sandbox with this thread and those that it starts later. This cannot be undone.
    ///
    /// # Errors
    ///
    /// The kernel supports Landlock and rejects the rules.
    pub fn raise(&self) -> anyhow::Result<Holds> {
        let refer = Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::Refer);
        // Without this right, any Landlock rule forbids renames between directories.
        let Ok(ruleset) = refer else {
            return Ok(Holds::Nothing);
        };
        let cannot = "cannot enter the sandbox (sandbox.landlock)";
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
            // The code that needs a missing file reports it.
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

/// Allows the folder of a file, since an editor or `mv` replaces the file by a new one.
fn with_its_folder(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if !TOO_WIDE.iter().any(|wide| folder == Path::new(wide)) => folder.to_owned(),
        _ => file.to_owned(),
    }
}

/// Opens folders. Skips those on a disk that hangs: a server must start without them.
fn open_in_time(folders: Vec<PathBuf>) -> Vec<(PathBuf, PathFd)> {
    let mut answers = disks::ask(folders.iter().cloned(), |folder| PathFd::new(folder));
    let mut opened = Vec::new();
    for folder in folders {
        match answers.remove(&folder) {
            Some(Ok(found)) => opened.push((folder, found)),
            // The accounts that need it report the error.
            Some(Err(_)) => {}
            None => warn!(
                "{} does not answer: the sandbox excludes it until the next start",
                folder.display()
            ),
        }
    }
    opened
}

/// Resolves links where possible.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
