//! Clients that need files before they start.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

use super::{HOST, Running, STEP, TestServer, USER, have, run, run_ok, skip, wait_until};

/// rclone with the server as `there:`.
pub fn rclone(server: &TestServer, args: &[&str]) -> Command {
    let config = server.local("rclone.conf");
    if !config.exists() {
        let text = format!(
            "[there]\ntype = sftp\nhost = 127.0.0.1\nport = {}\nuser = {}\nkey_file = {}\nknown_hosts_file = {}\n",
            server.port(),
            server.user(),
            server.key().display(),
            server.known_hosts().display()
        );
        fs::write(&config, text).unwrap();
    }
    let mut command = Command::new("rclone");
    command
        .arg("--config")
        .arg(config)
        .args(args)
        .current_dir(server.path("client"));
    command
}

/// lftp with a script in its own language; the first command that fails ends it.
pub fn lftp(server: &TestServer, script: &str) -> Command {
    lftp_with(server, "", "", script)
}

/// lftp that types a password at the prompt of ssh with these options.
pub fn lftp_with(server: &TestServer, password: &str, ssh: &str, script: &str) -> Command {
    let connect = format!("ssh -a -x -F {} {ssh}", server.ssh_config().display());
    let mut command = Command::new("lftp");
    command
        .env("HOME", server.path("client"))
        .current_dir(server.path("client"))
        .args(["-c"])
        .arg(format!(
            "set cmd:fail-exit yes; set net:max-retries 1; set sftp:connect-program \"{connect}\"; \
             open -u \"{USER},{password}\" -p {} sftp://{HOST}; {script}",
            server.port()
        ));
    command
}

/// curl with the account's key, on a path that begins with a slash.
pub fn curl(server: &TestServer, path: &str, args: &[&str]) -> Command {
    curl_by(server, "sftp", path, args)
}

/// curl over sftp or scp.
pub fn curl_by(server: &TestServer, scheme: &str, path: &str, args: &[&str]) -> Command {
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--show-error", "--insecure", "--user"])
        .arg(format!("{}:", server.user()))
        .arg("--key")
        .arg(server.key())
        .arg("--pubkey")
        .arg(server.public_key())
        .args(args)
        .arg(format!("{scheme}://127.0.0.1:{}{path}", server.port()))
        .current_dir(server.path("client"));
    command
}

/// A PuTTY program that knows the host key and logs in with these options.
pub fn putty(server: &TestServer, program: &str, login: &[OsString]) -> Command {
    let mut keygen = Command::new("ssh-keygen");
    let host_key = server.path("keys/ssh_host_ed25519_key.pub");
    let shown = run_ok(keygen.arg("-lf").arg(host_key), STEP).out();
    let fingerprint = shown.split_whitespace().nth(1).unwrap();
    let mut command = Command::new(program);
    command
        .args(["-batch", "-hostkey", fingerprint, "-P"])
        .arg(server.port().to_string())
        .args(login)
        .env("HOME", server.path("client"))
        .current_dir(server.path("client"));
    command
}

/// The options of [`putty`] for a login with a password.
pub fn putty_password(password: &str) -> [OsString; 2] {
    ["-pw".into(), password.into()]
}

/// psftp with a script of its commands.
pub fn psftp(server: &TestServer, login: &[OsString], script: &str) -> Command {
    fs::write(server.local("script"), script).unwrap();
    let mut command = putty(server, "psftp", login);
    command
        .args(["-b", "script"])
        .arg(format!("{USER}@127.0.0.1"));
    command
}

/// The account's key in PuTTY's format.
pub fn ppk(server: &TestServer) -> PathBuf {
    let path = server.local("key.ppk");
    let mut puttygen = Command::new("puttygen");
    puttygen.arg(server.key()).args(["-O", "private", "-o"]);
    run_ok(puttygen.arg(&path), STEP);
    path
}

/// The home mounted by sshfs, unmounted in any case.
pub struct Mount(pub PathBuf, Running);

impl Mount {
    /// `None` if this machine cannot mount it, which was reported.
    pub fn sshfs(server: &TestServer) -> Option<Self> {
        if !have(&["sshfs", "fusermount3"]) {
            return None;
        }
        if !Path::new("/dev/fuse").exists() {
            skip("this machine has no /dev/fuse");
            return None;
        }
        let point = server.local("mount");
        fs::create_dir(&point).unwrap();
        let outside = device_of(&point);
        let mut sshfs = Command::new("sshfs");
        sshfs.arg("-F").arg(server.ssh_config());
        sshfs.args(["-f", &format!("{HOST}:")]).arg(&point);
        let mut mount = Self(point, Running::start(&mut sshfs));
        wait_until("the mount is there", STEP, || {
            assert!(mount.1.is_running(), "sshfs has ended");
            device_of(&mount.0).is_some_and(|device| Some(device) != outside)
        });
        Some(mount)
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.0.join(relative)
    }

    /// Kills sshfs and the ssh below it (SIGKILL), as when the machine loses its network.
    pub fn kill(&self) {
        self.1.signal_group(Signal::KILL);
    }
}

fn device_of(path: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata(path).ok().map(|found| found.dev())
}

impl Drop for Mount {
    fn drop(&mut self) {
        let mut unmount = Command::new("fusermount3");
        run(unmount.args(["-u", "-z"]).arg(&self.0), STEP);
    }
}
