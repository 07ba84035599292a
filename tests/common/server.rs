//! The server under test: the real binary on a free port with a folder of its own.
//!
//! With `TESTS_AGAINST=openssh` the same tests run against Debian's openssh-server instead (loopback, a
//! temporary configuration and key, confined to the same kind of home). That keeps the tests honest: a test
//! that OpenSSH cannot pass requires more than the protocol does.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use super::command::{Output, run_ok, run_with_input, tail};
use super::missing::program;
use super::process::threads_of;
use super::{STEP, files::wait_until};

/// The account that every test server has (OpenSSH: the user who runs the tests).
pub const USER: &str = "alice";
/// Her password.
pub const PASSWORD: &str = "correct horse battery staple";
/// Its name in the ssh_config of a test server.
pub const HOST: &str = "landfall";

/// The cheapest argon2id that the configuration allows, since most tests concern something else.
const CHEAP: &[(&str, &str)] = &[
    ("server.listen", r#"["127.0.0.1:0"]"#),
    ("server.data", r#""data""#),
    ("server.keys", r#""keys""#),
    ("login.argon2_memory", "\"8MiB\""),
    ("login.argon2_passes", "1"),
    ("login.argon2_lanes", "1"),
    ("server.stop_grace", "\"1s\""),
    // Tests move homes to disks of their own while the server runs.
    (
        "sandbox.homes",
        concat!("[\"", env!("CARGO_TARGET_TMPDIR"), "\"]"),
    ),
];

/// Confines a user of sshd to a home; the path is added.
const CONFINED: &str = "MaxStartups 500\nForceCommand internal-sftp\nChrootDirectory HOME\n";
/// The same, with sshd's default limit of unauthenticated connections.
const AS_SHIPPED: &str = "ForceCommand internal-sftp\nChrootDirectory HOME\n";
/// Runs commands in the home instead.
const WITH_COMMANDS: &str =
    "MaxStartups 500\nForceCommand cd HOME && eval \"$SSH_ORIGINAL_COMMAND\"\n";
const SAFE_OVERWRITE: &str = "uploads.safe_overwrite";

/// sshd confines users only to a folder that nobody but root can change, including its parents.
fn parent_of_folders(is_reference: bool) -> &'static Path {
    let usual = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let is_roots = |folder: &Path| {
        let found = fs::metadata(folder).unwrap();
        found.uid() == 0 && found.mode() & 0o022 == 0
    };
    if !is_reference || usual.ancestors().all(is_roots) {
        usual
    } else {
        Path::new("/var/lib")
    }
}

/// A running server; dropping it stops it, and fails the test if it did not end properly.
pub struct TestServer {
    folder: TempDir,
    process: Option<Child>,
    lines: Arc<Mutex<Vec<String>>>,
    port: u16,
    user: String,
    home: PathBuf,
    is_reference: bool,
}

impl TestServer {
    /// Starts a server with one account, [`USER`], with [`PASSWORD`] and the key [`Self::key`].
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts it with values for config.toml: dotted key and TOML value.
    pub fn start_with(settings: &[(&str, &str)]) -> Self {
        if against_openssh() {
            Self::start_openssh(CONFINED)
        } else {
            Self::start_landfall(settings)
        }
    }

    /// As [`Self::start`]. The reference server then runs commands, in the home but not confined to it:
    /// only relative paths mean the same there.
    pub fn start_for_commands() -> Self {
        if against_openssh() {
            Self::start_openssh(WITH_COMMANDS)
        } else {
            Self::start()
        }
    }

    /// Starts OpenSSH's server, whatever the tests run against, with its own limits of unauthenticated
    /// connections.
    pub fn start_reference() -> Self {
        Self::start_openssh(AS_SHIPPED)
    }

    /// Starts a server without accounts.
    pub fn start_without_accounts(settings: &[(&str, &str)]) -> Self {
        let mut server = Self::prepare(settings);
        server.serve();
        server
    }

    fn start_landfall(settings: &[(&str, &str)]) -> Self {
        let mut server = Self::prepare(settings);
        server.add_user(USER, PASSWORD, &[&server.public_key()]);
        server.serve();
        server
    }

    fn prepare(settings: &[(&str, &str)]) -> Self {
        let server = Self::in_new_folder(USER, "data/homes/alice", false);
        let mut config = String::new();
        for (key, value) in CHEAP {
            if !settings.iter().any(|(set, _)| set == key) {
                config.push_str(&format!("{key} = {value}\n"));
            }
        }
        if with_safe_overwrite() && !settings.iter().any(|(set, _)| *set == SAFE_OVERWRITE) {
            config.push_str(&format!("{SAFE_OVERWRITE} = true\n"));
        }
        for (key, value) in settings {
            config.push_str(&format!("{key} = {value}\n"));
        }
        fs::write(server.path("config.toml"), config).unwrap();
        server
    }

    fn in_new_folder(user: &str, home: &str, is_reference: bool) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("s")
            .tempdir_in(parent_of_folders(is_reference))
            .unwrap();
        fs::DirBuilder::new()
            .mode(0o700)
            .create(folder.path().join("client"))
            .unwrap();
        let server = Self {
            home: folder.path().join(home),
            folder,
            process: None,
            lines: Arc::default(),
            port: 0,
            user: user.to_owned(),
            is_reference,
        };
        make_key(&server.key(), &["-t", "ed25519"]);
        server
    }

    /// Starts the server (again) on the folder as it is, and waits until it accepts.
    pub fn serve(&mut self) {
        self.serve_by(&mut Command::new(env!("CARGO_BIN_EXE_landfall")));
    }

    /// Starts it with this many descriptors.
    pub fn serve_with_descriptors(&mut self, most: usize) {
        self.serve_under(&[&format!("--nofile={most}")]);
    }

    /// Starts it with limits of the system, as prlimit takes them.
    pub fn serve_under(&mut self, limits: &[&str]) {
        let mut program = Command::new("prlimit");
        self.serve_by(program.args(limits).arg(env!("CARGO_BIN_EXE_landfall")));
    }

    fn serve_by(&mut self, program: &mut Command) {
        self.start_process(program.arg("serve"));
        let mut port = None;
        wait_until("the server says where it listens", STEP, || {
            port = self.listening_port();
            let ended = self.process.as_mut().unwrap().try_wait().unwrap();
            assert!(
                ended.is_none(),
                "the server ended at once: {ended:?}\n{}",
                self.log()
            );
            port.is_some()
        });
        self.port = port.unwrap();
        self.write_client_files();
        self.wait_for_accept();
    }

    fn start_openssh(rules: &str) -> Self {
        let user = std::env::var("USER").unwrap_or_else(|_| "root".into());
        let mut server = Self::in_new_folder(&user, "home", true);
        fs::create_dir(&server.home).unwrap();
        fs::set_permissions(server.folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        fs::set_permissions(&server.home, PermissionsExt::from_mode(0o755)).unwrap();
        let _ = fs::create_dir("/run/sshd");
        fs::create_dir(server.path("keys")).unwrap();
        make_key(
            &server.path("keys/ssh_host_ed25519_key"),
            &["-t", "ed25519"],
        );
        // sshd cannot choose a port itself, so another process may take it first: try again.
        for _ in 0..10 {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            server.port = free.local_addr().unwrap().port();
            drop(free);
            fs::write(server.path("sshd_config"), server.sshd_config(rules)).unwrap();
            let config = server.path("sshd_config");
            let sshd = program("sshd").expect("openssh-server is not installed");
            server.start_process(Command::new(sshd).args(["-D", "-e", "-f"]).arg(config));
            server.write_client_files();
            let began = Instant::now();
            while began.elapsed() < STEP {
                if TcpStream::connect(server.address()).is_ok() {
                    return server;
                }
                if server
                    .process
                    .as_mut()
                    .unwrap()
                    .try_wait()
                    .unwrap()
                    .is_some()
                {
                    break;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            server.process = None;
        }
        panic!("sshd does not start:\n{}", server.log());
    }

    fn sshd_config(&self, rules: &str) -> String {
        format!(
            "Port {port}\nListenAddress 127.0.0.1\nPidFile none\nUsePAM no\nStrictModes no\n\
             HostKey {folder}/keys/ssh_host_ed25519_key\n\
             AuthorizedKeysFile {folder}/client/id_ed25519.pub\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             PermitRootLogin prohibit-password\n\
             MaxSessions 100\nLogLevel VERBOSE\n\
             Subsystem sftp internal-sftp\n{rules}",
            port = self.port,
            folder = self.folder.path().display(),
            rules = rules.replace("HOME", self.home.to_str().unwrap()),
        )
    }

    fn start_process(&mut self, command: &mut Command) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.path("log"))
            .unwrap();
        let mut process = command
            .current_dir(self.folder.path())
            .env_remove("LANDFALL_CONFIG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let stdout = process.stdout.take().unwrap();
        let lines = Arc::clone(&self.lines);
        lines.lock().unwrap().clear();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                lines.lock().unwrap().push(line);
            }
        });
        self.process = Some(process);
    }

    fn listening_port(&self) -> Option<u16> {
        self.stdout_lines().iter().find_map(|line| {
            let address = line.strip_prefix("Listening on ")?.parse::<SocketAddr>();
            let address = address.ok()?;
            (address.ip().to_canonical() == Ipv4Addr::LOCALHOST).then_some(address.port())
        })
    }

    fn wait_for_accept(&self) {
        wait_until("the server accepts", STEP, || {
            TcpStream::connect(self.address()).is_ok()
        });
    }

    fn write_client_files(&self) {
        let host_key = fs::read_to_string(self.path("keys/ssh_host_ed25519_key.pub")).unwrap();
        fs::write(
            self.known_hosts(),
            format!("[127.0.0.1]:{} {host_key}", self.port),
        )
        .unwrap();
        fs::write(
            self.ssh_config(),
            format!(
                "Host *\n  HostName 127.0.0.1\n  Port {port}\n  User {user}\n  \
                 IdentityFile {key}\n  IdentitiesOnly yes\n  IdentityAgent none\n  \
                 BatchMode yes\n  StrictHostKeyChecking yes\n  UserKnownHostsFile {known}\n  \
                 GlobalKnownHostsFile /dev/null\n  UpdateHostKeys no\n  LogLevel ERROR\n  \
                 ConnectTimeout 30\n",
                port = self.port,
                user = self.user,
                key = self.key().display(),
                known = self.known_hosts().display(),
            ),
        )
        .unwrap();
    }

    /// Stops the server by SIGTERM, or by SIGKILL if that takes too long: it waits for the disk, which
    /// other tests keep busy. `None`: it was not running; an unsuccessful status: it did not end properly.
    pub fn stop(&mut self) -> Option<ExitStatus> {
        self.terminate();
        self.wait(STEP)
    }

    /// Kills the server by SIGKILL: like a power failure, except for the disk cache.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Sends the running server SIGTERM.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends the running server SIGHUP.
    pub fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    fn signal(&self, signal: Signal) {
        if let Some(process) = &self.process {
            let _ = rustix::process::kill_process(Pid::from_child(process), signal);
        }
    }

    /// Waits until the server ends by itself; kills it at the deadline.
    pub fn wait(&mut self, deadline: Duration) -> Option<ExitStatus> {
        let mut process = self.process.take()?;
        let began = Instant::now();
        while began.elapsed() < deadline {
            if let Some(status) = process.try_wait().unwrap() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        eprintln!("the server goes on:\n{}", threads_of(process.id()));
        let _ = process.kill();
        Some(process.wait().unwrap())
    }

    // ---- where things are

    pub fn is_reference(&self) -> bool {
        self.is_reference
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// Returns the home of the account.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Returns a file in the home.
    pub fn at_home(&self, relative: &str) -> PathBuf {
        self.home.join(relative)
    }

    /// Returns the path of a client's own file.
    pub fn local(&self, relative: &str) -> PathBuf {
        self.path("client").join(relative)
    }

    pub fn user(&self) -> &str {
        &self.user
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Returns whether its process has ended. The kernel may keep the rest of it, for a disk that hangs.
    pub fn has_exited(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process_id()));
        stat.map_or(true, |stat| {
            let (_, state) = stat.rsplit_once(')').unwrap();
            state.trim_start().starts_with(['Z', 'X'])
        })
    }

    pub fn process_id(&self) -> u32 {
        self.process
            .as_ref()
            .expect("the server is not running")
            .id()
    }

    /// Returns the client's private key (OpenSSH format); the public one has the suffix ".pub".
    pub fn key(&self) -> PathBuf {
        self.local("id_ed25519")
    }

    pub fn public_key(&self) -> PathBuf {
        self.local("id_ed25519.pub")
    }

    pub fn known_hosts(&self) -> PathBuf {
        self.local("known_hosts")
    }

    pub fn ssh_config(&self) -> PathBuf {
        self.local("ssh_config")
    }

    /// Returns the server's standard output so far.
    pub fn stdout_lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// Returns the server's log so far.
    pub fn log(&self) -> String {
        self.wait_for_log();
        String::from_utf8_lossy(&fs::read(self.path("log")).unwrap_or_default()).into_owned()
    }

    /// Waits until the log thread has written everything: then it sleeps.
    fn wait_for_log(&self) {
        let Some(process) = &self.process else { return };
        let tasks = format!("/proc/{}/task", process.id());
        let threads = fs::read_dir(tasks).into_iter().flatten().flatten();
        let stats = threads.map(|thread| thread.path().join("stat"));
        let read = |stat: &PathBuf| fs::read_to_string(stat).unwrap_or_default();
        let Some(stat) = stats.into_iter().find(|stat| read(stat).contains("(log) ")) else {
            return;
        };
        let began = Instant::now();
        while !read(&stat).is_empty() && !read(&stat).contains("(log) S") {
            assert!(began.elapsed() < STEP, "the log is written without an end");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    // ---- the operator's commands

    /// `landfall ARGS...`, in the server's folder.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_landfall"));
        command
            .args(args)
            .current_dir(self.folder.path())
            .env_remove("LANDFALL_CONFIG");
        command
    }

    /// Runs `landfall ARGS...` with `input` on its standard input.
    #[track_caller]
    pub fn admin(&self, args: &[&str], input: &str) -> Output {
        run_with_input(&mut self.command(args), input.as_bytes(), STEP)
    }

    /// Adds an account with the real command.
    #[track_caller]
    pub fn add_user(&self, name: &str, password: &str, keys: &[&Path]) {
        let mut args = vec!["user", "add", name, "--password-stdin"];
        for key in keys {
            args.extend(["--key", key.to_str().unwrap()]);
        }
        self.admin(&args, &format!("{password}\n")).ok();
    }

    // ---- OpenSSH's clients, which need no prompt

    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("-F").arg(self.ssh_config());
        for variable in ["SSH_AUTH_SOCK", "SSH_ASKPASS", "DISPLAY"] {
            command.env_remove(variable);
        }
        command
            .env("LC_ALL", "C.UTF-8")
            .current_dir(self.path("client"));
        command
    }

    pub fn ssh(&self) -> Command {
        self.client("ssh")
    }

    pub fn sftp(&self) -> Command {
        self.client("sftp")
    }

    pub fn scp(&self) -> Command {
        self.client("scp")
    }

    /// A batch of sftp commands, one per line; the first that fails ends it.
    pub fn sftp_batch(&self, options: &[&str], lines: impl AsRef<[u8]>) -> Command {
        let batch = self.local(&super::random_name("batch"));
        fs::write(&batch, lines).unwrap();
        let mut command = self.sftp();
        command.args(options).arg("-b").arg(batch).arg(HOST);
        command
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        let status = self.stop();
        let log = self.log();
        let crashed = log.contains("panicked at");
        let ended_well = status.is_none_or(|status| status.success()) || self.is_reference;
        if std::thread::panicking() {
            eprintln!("--- log of the server ({status:?})\n{}", tail(&log));
        } else {
            assert!(!crashed, "the server panicked:\n{}", tail(&log));
            assert!(
                ended_well,
                "the server ended with {status:?}:\n{}",
                tail(&log)
            );
        }
    }
}

/// Returns whether the tests run against the reference server. Tests of Landfall's own features then do
/// nothing.
pub fn against_openssh() -> bool {
    std::env::var("TESTS_AGAINST").as_deref() == Ok("openssh")
}

/// Returns whether the tests run with `safe_overwrite`, unless a test sets it. Clients must be able to rely
/// on the same then.
pub fn with_safe_overwrite() -> bool {
    std::env::var("TESTS_WITH").as_deref() == Ok("safe_overwrite")
}

/// Generates a temporary key without passphrase by ssh-keygen.
#[track_caller]
pub fn make_key(path: &Path, kind: &[&str]) {
    let mut keygen = Command::new("ssh-keygen");
    keygen
        .args(kind)
        .args(["-q", "-N", "", "-C", "throw-away", "-f"])
        .arg(path);
    run_ok(&mut keygen, STEP);
}

/// `program ARGS...` that types [`PASSWORD`] or another one at the prompt of ssh.
pub fn with_password(server: &TestServer, password: &str, program: &str) -> Command {
    let mut command = Command::new("sshpass");
    command
        .args(["-e", program, "-F"])
        .arg(server.ssh_config())
        .args(["-o", "BatchMode=no", "-o", "PubkeyAuthentication=no"])
        .args(["-o", "NumberOfPasswordPrompts=1"])
        .env("SSHPASS", password)
        .env("LC_ALL", "C.UTF-8")
        .current_dir(server.path("client"));
    command
}
