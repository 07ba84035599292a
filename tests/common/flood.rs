//! Unauthenticated clients by the thousand, from other addresses of this machine (all of 127.0.0.0/8 is
//! loopback), and a user who logs in beside them.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::{Resource, Rlimit};

use super::connection::{Connection, Options};
use super::{STEP, TestServer, run};

/// Connects from an address.
pub fn connect_from(source: impl Into<IpAddr>, to: SocketAddr) -> io::Result<TcpStream> {
    let family = if to.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let (kind, flags) = (SocketType::STREAM, SocketFlags::CLOEXEC);
    let socket = rustix::net::socket_with(family, kind, flags, None)?;
    rustix::net::bind(&socket, &SocketAddr::new(source.into(), 0))?;
    rustix::net::connect(&socket, &to)?;
    Ok(TcpStream::from(socket))
}

/// Returns the address 127.0.HIGH.LOW of this number, which no other test uses.
pub fn source(number: usize) -> Ipv4Addr {
    let number = u32::try_from(number).unwrap() + 0x0100;
    Ipv4Addr::from_bits(0x7f00_0000 + number)
}

/// Connects, sends this, and returns what the server sends until it closes.
#[track_caller]
pub fn knock(server: &TestServer, from: Ipv4Addr, words: &[u8]) -> String {
    knock_at(server.address(), from, words)
}

/// Does so at an address.
#[track_caller]
pub fn knock_at(address: SocketAddr, from: impl Into<IpAddr>, words: &[u8]) -> String {
    let mut stream = connect_from(from, address).unwrap();
    stream.set_read_timeout(Some(STEP)).unwrap();
    // A refused connection may be closed already.
    let _ = stream.write_all(words);
    let mut said = Vec::new();
    // Unread data causes a reset.
    let _ = stream.read_to_end(&mut said);
    String::from_utf8_lossy(&said).into_owned()
}

/// Data that is not SSH.
pub const HTTP: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/// `sftp` with the account's key, from an address.
pub fn sftp_from(server: &TestServer, from: Ipv4Addr) -> Command {
    server.sftp_batch(&["-o", &format!("BindAddress={from}")], "pwd\n")
}

/// What unauthenticated clients do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flood {
    /// Connect and send nothing.
    Silent,
    /// Send an identification, begin a key exchange, and stop.
    Stuck,
    /// Offer a wrong key.
    Failing,
}

/// The outcome of logins beside a flood.
#[derive(Debug)]
pub struct Beside {
    pub logins: Vec<Duration>,
    pub failures: usize,
    /// How long the flood took to arrive.
    pub flood: Duration,
}

impl Beside {
    /// Returns the time that this percentage of logins did not exceed.
    pub fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.logins.clone();
        sorted.sort();
        let place = (sorted.len() * percent).div_ceil(100).max(1) - 1;
        sorted.get(place).copied().unwrap_or_default()
    }
}

/// Opens connections from several addresses, sixteen at a time; those that the server does not close stay
/// open. Beside it a user logs in again and again, at least this often, from an address of their own.
pub fn beside(
    server: &TestServer,
    flood: Flood,
    (connections, sources): (usize, usize),
    (legitimate, logins): (Ipv4Addr, usize),
) -> Beside {
    may_open_many_files();
    let wrong_key = server.local("wrong");
    if flood == Flood::Failing && !wrong_key.exists() {
        super::server::make_key(&wrong_key, &["-t", "ed25519"]);
    }
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let held = Mutex::new(Vec::new());
    let mut beside = Beside {
        logins: Vec::new(),
        failures: 0,
        flood: Duration::ZERO,
    };
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= connections {
                        break;
                    }
                    let from = source(1000 + number % sources);
                    if flood == Flood::Failing {
                        let options = Options {
                            from: Some(from),
                            ..Options::default()
                        };
                        if let Ok(connection) = Connection::try_open(server, &options) {
                            let _ = connection.key(server.user(), &wrong_key, None);
                        }
                    } else if let Ok(mut stream) = connect_from(from, server.address()) {
                        if flood == Flood::Stuck {
                            let _ = stream.write_all(b"SSH-2.0-flood\r\n\0\0\x04\0\x08\x14");
                        }
                        held.lock().unwrap().push(stream);
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        while done.load(Ordering::Relaxed) < connections
            || beside.logins.len() + beside.failures < logins
        {
            if done.load(Ordering::Relaxed) >= connections && beside.flood.is_zero() {
                beside.flood = began.elapsed();
            }
            let login = Instant::now();
            let outcome = run(&mut sftp_from(server, legitimate), STEP);
            if outcome.status.success() {
                beside.logins.push(login.elapsed());
            } else {
                beside.failures += 1;
            }
        }
    });
    drop(held);
    beside
}

fn may_open_many_files() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    rustix::process::setrlimit(Resource::Nofile, raised).unwrap();
}
