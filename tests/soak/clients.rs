//! The real clients; each moves one file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{HOST, STEP, TestServer};
use crate::common::{python, run};

/// The clients, and the protocols they use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Sftp,
    /// scp over SFTP, the default today: it writes in place, without TRUNC.
    Scp,
    /// scp -O.
    OldScp,
    Rclone,
    Lftp,
    Paramiko,
    Sshfs,
    Curl,
    /// It exits before it knows whether everything was stored, so it only downloads.
    CurlScp,
}

pub const ALL: [Kind; 9] = [
    Kind::Sftp,
    Kind::Scp,
    Kind::OldScp,
    Kind::Rclone,
    Kind::Lftp,
    Kind::Paramiko,
    Kind::Sshfs,
    Kind::Curl,
    Kind::CurlScp,
];

impl Kind {
    /// With safe overwrites, its interrupted upload leaves the old file.
    pub fn truncates(self) -> bool {
        matches!(
            self,
            Self::Sftp | Self::OldScp | Self::Paramiko | Self::Curl
        )
    }

    /// It removes an incomplete upload.
    pub fn removes(self) -> bool {
        matches!(self, Self::Rclone)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Sftp => "sftp",
            Self::Scp => "scp",
            Self::OldScp => "scp -O",
            Self::Rclone => "rclone",
            Self::Lftp => "lftp",
            Self::Paramiko => "paramiko",
            Self::Sshfs => "sshfs",
            Self::Curl => "curl",
            Self::CurlScp => "curl scp",
        }
    }
}

/// The direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Put,
    Get,
}

/// A user who has all clients.
pub struct Clients {
    folder: PathBuf,
    user: &'static str,
    port: u16,
    key: PathBuf,
}

impl Clients {
    /// Returns clients in a folder of their own that connect to a port.
    pub fn new(server: &TestServer, folder: &str, user: &'static str, port: u16) -> Self {
        let folder = server.local(folder);
        fs::create_dir_all(folder.join("mount")).unwrap();
        let key = server.key();
        let known = fs::read_to_string(server.path("keys/ssh_host_ed25519_key.pub")).unwrap();
        fs::write(
            folder.join("known_hosts"),
            format!("[127.0.0.1]:{port} {known}"),
        )
        .unwrap();
        let config = format!(
            "Host *\n  HostName 127.0.0.1\n  Port {port}\n  User {user}\n  IdentityFile {}\n  \
             IdentitiesOnly yes\n  IdentityAgent none\n  BatchMode yes\n  \
             UserKnownHostsFile {}\n  GlobalKnownHostsFile /dev/null\n  UpdateHostKeys no\n  \
             LogLevel ERROR\n  ConnectTimeout 30\n  RekeyLimit 1M\n",
            key.display(),
            folder.join("known_hosts").display(),
        );
        fs::write(folder.join("ssh_config"), config).unwrap();
        Self {
            folder,
            user,
            port,
            key,
        }
    }

    /// Returns the path of a file on the clients' side.
    pub fn local(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        command
            .current_dir(&self.folder)
            .env("HOME", &self.folder)
            .env_remove("SSH_AUTH_SOCK")
            .env("LC_ALL", "C.UTF-8");
        command
    }

    fn openssh(&self, name: &str) -> Command {
        let mut command = self.program(name);
        command.args(["-F", "ssh_config"]);
        command
    }

    /// Returns an sftp command that runs these lines; it ends at the first failure.
    pub fn sftp(&self, lines: &str) -> Command {
        fs::write(self.local("batch"), lines).unwrap();
        let mut sftp = self.openssh("sftp");
        sftp.args(["-q", "-b", "batch", HOST]);
        sftp
    }

    /// Returns a command that runs `line` on the server.
    pub fn ssh(&self, line: &str) -> Command {
        let mut ssh = self.openssh("ssh");
        ssh.args([HOST, line]);
        ssh
    }

    /// Returns a command that moves a file between `local`, in the folder, and `there`, a path in the home.
    pub fn moves(&self, kind: Kind, verb: Verb, local: &str, there: &str) -> Command {
        let put = verb == Verb::Put;
        let remote = format!("{HOST}:{there}");
        let ends = |remote: &str| {
            let mut ends = [local.to_owned(), remote.to_owned()];
            if !put {
                ends.reverse();
            }
            ends
        };
        match kind {
            Kind::Sftp if put => self.sftp(&format!("put {local} {there}\n")),
            Kind::Sftp => self.sftp(&format!("get {there} {local}\n")),
            Kind::Scp | Kind::OldScp => {
                let mut scp = self.openssh("scp");
                scp.args(if kind == Kind::Scp {
                    &["-q"][..]
                } else {
                    &["-q", "-O"]
                });
                scp.args(ends(&remote));
                scp
            }
            Kind::Rclone => {
                let mut rclone = self.program("rclone");
                rclone.args(["--config", "", "--retries", "1", "--low-level-retries", "1"]);
                let key = self.key.display();
                let place = format!(
                    ":sftp,host=127.0.0.1,port={},user={},key_file='{key}':{there}",
                    self.port, self.user
                );
                rclone.arg("copyto").args(ends(&place));
                rclone
            }
            Kind::Lftp => self.lftp(&if put {
                format!("put {local} -o {there}")
            } else {
                format!("get {there} -o {local}")
            }),
            Kind::Paramiko => {
                let script = format!(
                    "{}/tests/clients/soak_client.py",
                    env!("CARGO_MANIFEST_DIR")
                );
                let mut command = self.program(python().unwrap().to_str().unwrap());
                command.arg(script);
                command.args([&self.port.to_string(), self.user]);
                command.arg(&self.key).arg(if put { "put" } else { "get" });
                command.args(ends(there));
                command
            }
            Kind::Sshfs => self.sshfs(&ends(&format!("mount/{there}"))),
            Kind::Curl => self.curl("sftp", put, local, there),
            Kind::CurlScp => self.curl("scp", put, local, there),
        }
    }

    fn lftp(&self, script: &str) -> Command {
        let connect = format!("ssh -a -x -F {}", self.local("ssh_config").display());
        let mut lftp = self.program("lftp");
        lftp.arg("-c").arg(format!(
            "set cmd:fail-exit yes; set cmd:move-background no; set net:max-retries 1; set net:timeout 30; set net:reconnect-interval-base 1; set xfer:clobber on; \
             set sftp:connect-program \"{connect}\"; \
             open -u {},x -p {} sftp://{HOST}; {script}",
            self.user, self.port
        ));
        lftp
    }

    /// A mount for one copy, which is always removed. sshfs closes files asynchronously, after cp; the
    /// close is done when the file can be read again. If its connection breaks, cp may hang for ever.
    fn sshfs(&self, ends: &[String; 2]) -> Command {
        let mut shell = self.program("sh");
        shell.arg("-c").arg(
            "sshfs -f -F $PWD/ssh_config landfall: mount & sshfs=$!\n\
             until mountpoint -q mount; do \
             case $(cut -d' ' -f3 /proc/$sshfs/stat) in Z|'') exit 3;; esac; sleep 0.05; done\n\
             timeout -s KILL 40 sh -c 'cp \"$1\" \"$2\" && cmp \"$1\" \"$2\"' sh \"$1\" \"$2\"\n\
             outcome=$?\n\
             [ $outcome != 137 ] || kill -9 $sshfs\n\
             fusermount3 -q -u mount || fusermount3 -q -u -z mount\n\
             wait $sshfs\n\
             exit $outcome",
        );
        shell.arg("sh").args(ends);
        shell
    }

    /// Removes a mount that a killed client has left.
    pub fn unmount(&self) {
        let mut unmount = self.program("fusermount3");
        unmount.args(["-q", "-u", "-z", "mount"]);
        run(&mut unmount, STEP);
    }

    fn curl(&self, scheme: &str, put: bool, local: &str, there: &str) -> Command {
        let mut curl = self.program("curl");
        curl.args(["--silent", "--show-error", "--insecure", "--user"])
            .arg(format!("{}:", self.user))
            .arg("--key")
            .arg(&self.key)
            .arg("--pubkey")
            .arg(with_pub(&self.key))
            .args([if put { "-T" } else { "-o" }, local])
            .arg(format!("{scheme}://127.0.0.1:{}/{there}", self.port));
        curl
    }
}

fn with_pub(key: &Path) -> PathBuf {
    key.with_extension("pub")
}
