//! A user who moves files with all clients and knows their possible contents.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::clients::{ALL, Clients, Kind, Verb};
use crate::common::files::{Random, sha256_of};
use crate::common::{KIB, MIB, Output, Running, TRANSFER, TestServer, bytes_of, run};
use crate::trouble::Trouble;
use crate::way::Way;

/// The number of names in a worker's folder: few, so that files are overwritten.
const NAMES: u64 = 12;

/// The number of actions, by name.
#[derive(Default)]
pub struct Totals(Mutex<BTreeMap<String, u64>>);

impl Totals {
    pub fn add(&self, what: impl Into<String>, count: u64) {
        *self.0.lock().unwrap().entry(what.into()).or_default() += count;
    }

    pub fn lines(&self) -> String {
        let totals = self.0.lock().unwrap();
        let lines = totals
            .iter()
            .map(|(what, count)| format!("{count:>14}  {what}\n"));
        lines.collect()
    }
}

/// A content: this many bytes from this seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version {
    seed: u64,
    size: usize,
}

impl Version {
    fn bytes(self) -> Vec<u8> {
        bytes_of(self.size, self.seed)
    }
}

/// The possible contents of a name.
#[derive(Clone, Debug)]
struct Entry {
    /// The versions that were uploaded, the newest last. More than one: an interrupted upload lies over an
    /// older version.
    versions: Vec<Version>,
    /// It equals one version, not a mixture.
    whole: bool,
    may_be_absent: bool,
}

impl Entry {
    const ABSENT: Self = Self {
        versions: Vec::new(),
        whole: true,
        may_be_absent: true,
    };

    fn sure(version: Version) -> Self {
        Self {
            versions: vec![version],
            whole: true,
            may_be_absent: false,
        }
    }

    fn known(&self) -> Option<Version> {
        match self.versions[..] {
            [version] if self.whole && !self.may_be_absent => Some(version),
            _ => None,
        }
    }

    /// Describes the content that was found, and where it first differs from the newest.
    fn describe(&self, found: Option<&[u8]>) -> String {
        let (Some(found), Some(newest)) = (found, self.versions.last()) else {
            return format!("{:?}", found.map(<[u8]>::len));
        };
        let newest = newest.bytes();
        let same = found.iter().zip(&newest).map(|(left, right)| left == right);
        let wrong: Vec<_> = same
            .enumerate()
            .filter_map(|(at, same)| (!same).then_some(at))
            .collect();
        format!(
            "{} bytes, {} of them wrong, from {:?} to {:?},",
            found.len(),
            wrong.len(),
            wrong.first(),
            wrong.last()
        )
    }

    fn fits(&self, found: Option<&[u8]>) -> bool {
        let Some(found) = found else {
            return self.may_be_absent;
        };
        let contents: Vec<_> = self
            .versions
            .iter()
            .map(|version| version.bytes())
            .collect();
        if self.whole {
            return contents.iter().any(|content| content == found);
        }
        // A hole has zeros.
        found.iter().enumerate().all(|(at, byte)| {
            *byte == 0 || contents.iter().any(|content| content.get(at) == Some(byte))
        }) && contents.iter().any(|content| found.len() <= content.len())
    }
}

const CURL_PUT: &str = "curl put";
/// A client may take this long to notice that its connection has ended.
const LONG_ENOUGH: Duration = Duration::from_secs(30);

/// The properties of an account.
#[derive(Clone, Copy)]
pub struct Account {
    pub name: &'static str,
    pub safe_overwrite: bool,
    /// An upload may not fit.
    pub is_tight: bool,
}

pub struct Worker {
    pub account: Account,
    clients: Clients,
    way: Way,
    /// In the home.
    folder: String,
    /// The same on the disk.
    on_disk: PathBuf,
    random: Random,
    entries: BTreeMap<String, Entry>,
}

impl Worker {
    pub fn new(server: &TestServer, number: u64, account: Account, way: Way, seed: u64) -> Self {
        let folder = format!("w{number}");
        let clients = Clients::new(server, &folder, account.name, way.port());
        run(&mut clients.sftp(&format!("mkdir {folder}\n")), TRANSFER).ok();
        let home = server.path("data/homes").join(account.name);
        Self {
            account,
            clients,
            way,
            on_disk: home.join(&folder),
            folder,
            random: Random::new(seed),
            entries: BTreeMap::new(),
        }
    }

    /// Works until then.
    pub fn work(&mut self, until: Instant, trouble: &Trouble, totals: &Totals) {
        while Instant::now() < until {
            self.step(trouble, totals);
        }
    }

    fn step(&mut self, trouble: &Trouble, totals: &Totals) {
        let name = format!("f{}", self.random.below(NAMES));
        let entry = self.entries.get(&name).cloned().unwrap_or(Entry::ABSENT);
        match (self.random.below(10), entry.known()) {
            (0, Some(_)) => self.remove(&name, &entry, trouble, totals),
            (1, Some(_)) => self.rename(&name, &entry, trouble, totals),
            (2, Some(version)) => self.hash(&name, version, trouble, totals),
            (3..6, Some(version)) => self.get(&name, version, trouble, totals),
            _ => self.put(&name, entry, trouble, totals),
        }
    }

    fn size(&mut self) -> usize {
        let largest = match self.random.below(20) {
            0..11 => 64 * KIB,
            11..18 => 2 * MIB,
            _ => 12 * MIB,
        };
        self.random.below(largest as u64) as usize
    }

    fn there(&self, name: &str) -> String {
        format!("{}/{name}", self.folder)
    }

    fn client(&mut self, verb: Verb) -> Kind {
        loop {
            let kind = ALL[self.random.below(ALL.len() as u64) as usize];
            let fits = match kind {
                Kind::CurlScp => verb == Verb::Get,
                // After a lost connection it continues in the file itself on a new connection: with safe
                // overwrites, that is the old file (PROTOCOL.md).
                Kind::Lftp => verb == Verb::Get || !self.account.safe_overwrite,
                _ => true,
            };
            if fits {
                return kind;
            }
        }
    }

    /// Runs a client; sometimes its connection is cut or it is killed. Returns `None` if it failed for a
    /// possible reason.
    fn run(
        &mut self,
        what: &str,
        size: usize,
        mut command: std::process::Command,
        trouble: &Trouble,
        totals: &Totals,
    ) -> Option<Output> {
        let before = trouble.of(self.account.name);
        // Roughly the position in the transfer, from the login on.
        let somewhere = 1 + self.random.below(size as u64 + 6000);
        let by_reset = self.random.below(2) == 0;
        let fate = self.random.below(12);
        if fate == 0 {
            self.way.cut_after(somewhere, by_reset);
        }
        let output = if fate == 1 {
            let client = Running::start(command.stdin(std::process::Stdio::null()));
            std::thread::sleep(Duration::from_millis(20 + self.random.below(600)));
            let output = client.kill();
            self.clients.unmount();
            output
        } else {
            let client = Running::start(command.stdin(std::process::Stdio::null()));
            let is_lost = || self.way.is_cut() || trouble.since(before, self.account.name);
            // rclone 1.60 may hang if its connection ends while it opens a channel (docs/clients.md).
            let hangs = |ran| what.starts_with("rclone") && ran > LONG_ENOUGH && is_lost();
            client.wait_unless(TRANSFER, hangs)
        };
        let was_cut = self.way.mend();
        totals.add(format!("steps: {what}"), 1);
        let killed = fate == 1 && !output.status.success();
        totals.add("connections cut", u64::from(was_cut));
        totals.add("clients killed", u64::from(killed));
        let excused = was_cut || killed || trouble.since(before, self.account.name);
        // curl exits with 0 though its CLOSE got no reply (docs/clients.md).
        let is_sure = !(excused && what == CURL_PUT);
        if output.status.success() && is_sure {
            return Some(output);
        }
        let refused = self.account.is_tight && what.ends_with("put");
        assert!(
            excused || refused,
            "{} of {} failed for no reason: {}",
            what,
            self.account.name,
            output.describe()
        );
        totals.add(
            if excused {
                "steps that were cut, killed, or met the end of a session or server"
            } else {
                "uploads refused at the quota"
            },
            1,
        );
        None
    }

    fn put(&mut self, name: &str, before: Entry, trouble: &Trouble, totals: &Totals) {
        let version = Version {
            seed: self.random.next(),
            size: self.size(),
        };
        let kind = self.client(Verb::Put);
        fs::write(self.clients.local("up"), version.bytes()).unwrap();
        let command = self.clients.moves(kind, Verb::Put, "up", &self.there(name));
        let what = format!("{} put", kind.name());
        let done = self.run(&what, version.size, command, trouble, totals);
        let after = if done.is_some() {
            totals.add("bytes uploaded", version.size as u64);
            Entry::sure(version)
        } else {
            let safe = self.account.safe_overwrite && kind.truncates() && !before.may_be_absent;
            let mut versions = before.versions;
            versions.push(version);
            Entry {
                versions,
                whole: before.whole && safe,
                may_be_absent: before.may_be_absent || kind.removes(),
            }
        };
        self.entries.insert(name.to_owned(), after);
        if done.is_some() {
            self.verify(name, &what);
        }
    }

    fn get(&mut self, name: &str, version: Version, trouble: &Trouble, totals: &Totals) {
        let kind = self.client(Verb::Get);
        let _ = fs::remove_file(self.clients.local("down"));
        let command = self
            .clients
            .moves(kind, Verb::Get, "down", &self.there(name));
        let what = format!("{} get", kind.name());
        if self
            .run(&what, version.size, command, trouble, totals)
            .is_some()
        {
            let got = fs::read(self.clients.local("down")).unwrap();
            assert!(
                got == version.bytes(),
                "{what}: other bytes than were put: {version:?} {}",
                got.len()
            );
            totals.add("bytes downloaded and compared", version.size as u64);
        }
    }

    fn hash(&mut self, name: &str, version: Version, trouble: &Trouble, totals: &Totals) {
        let command = self.clients.ssh(&format!("sha256sum {}", self.there(name)));
        if let Some(output) = self.run("ssh sha256sum", 0, command, trouble, totals) {
            fs::write(self.clients.local("up"), version.bytes()).unwrap();
            let expected = sha256_of(&self.clients.local("up"));
            assert!(output.out().starts_with(&expected), "{}", output.describe());
        }
    }

    fn remove(&mut self, name: &str, before: &Entry, trouble: &Trouble, totals: &Totals) {
        let command = self.clients.sftp(&format!("rm {}\n", self.there(name)));
        let after = if self.run("sftp rm", 0, command, trouble, totals).is_some() {
            Entry::ABSENT
        } else {
            Entry {
                may_be_absent: true,
                ..before.clone()
            }
        };
        self.entries.insert(name.to_owned(), after);
    }

    /// Renames to another name, whatever is there.
    fn rename(&mut self, name: &str, before: &Entry, trouble: &Trouble, totals: &Totals) {
        let onto = format!("f{}", self.random.below(NAMES));
        if onto == name {
            return;
        }
        let (from, to) = (self.there(name), self.there(&onto));
        let command = self.clients.sftp(&format!("rename {from} {to}\n"));
        let other = self.entries.get(&onto).cloned().unwrap_or(Entry::ABSENT);
        if self
            .run("sftp rename", 0, command, trouble, totals)
            .is_some()
        {
            self.entries.insert(name.to_owned(), Entry::ABSENT);
            self.entries.insert(onto, before.clone());
            return;
        }
        let versions = [&other.versions[..], &before.versions].concat();
        let onto_after = Entry {
            versions,
            ..other.clone()
        };
        self.entries.insert(onto, onto_after);
        let gone = Entry {
            may_be_absent: true,
            ..before.clone()
        };
        self.entries.insert(name.to_owned(), gone);
    }

    /// Removes what interrupted uploads have left under other names, as their user would.
    pub fn tidy(&mut self) {
        let lines = [".landfall-upload-*", "*.filepart", "*.partial"]
            .map(|names| format!("-rm {}/{names}\n", self.folder));
        run(&mut self.clients.sftp(&lines.concat()), TRANSFER).ok();
    }

    fn verify(&self, name: &str, why: &str) {
        let entry = &self.entries[name];
        let found = fs::read(self.on_disk.join(name)).ok();
        assert!(
            entry.fits(found.as_deref()),
            "{}/{name} of {} after {why}: {} found, to be {entry:?}",
            self.folder,
            self.account.name,
            entry.describe(found.as_deref()),
        );
    }

    /// Checks every file while nobody works.
    pub fn verify_all(&self, totals: &Totals) {
        for (name, entry) in &self.entries {
            self.verify(name, "a round");
            totals.add(
                if entry.known().is_some() {
                    "files verified: whole"
                } else {
                    "files verified: what a cut may leave"
                },
                1,
            );
        }
    }
}
