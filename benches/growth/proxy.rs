//! A path with a delay: data that arrives at one end leaves at the other half a round trip later. Neither
//! the speed nor the amount on its way is limited.
//!
//! Each end has its own TCP connection on loopback, which accepts everything at once. So TCP's windows and
//! slow start are not delayed; only SSH and SFTP wait for the round trip.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

/// The size of a read.
const CHUNK: usize = 256 * 1024;

/// Accepts connections until it is dropped; accepted ones continue to their end.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    stopped: Arc<AtomicBool>,
}

impl Proxy {
    /// Starts a path to a port of this machine.
    pub(crate) fn start(to: u16, round_trip: Duration) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let stopped = Arc::new(AtomicBool::new(false));
        let until = stopped.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if until.load(Ordering::Relaxed) {
                    return;
                }
                if let Err(error) = connect(client, to, round_trip / 2) {
                    eprintln!("the proxy cannot connect: {error}");
                }
            }
        });
        Ok(Self { port, stopped })
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Wakes the accepting thread.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

fn connect(client: TcpStream, to: u16, delay: Duration) -> io::Result<()> {
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, to))?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    one_way(client.try_clone()?, server.try_clone()?, delay);
    one_way(server, client, delay);
    Ok(())
}

/// One thread reads and records the time; the other sends when it is due.
fn one_way(mut from: TcpStream, mut to: TcpStream, delay: Duration) {
    let (under_way, arriving) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let mut memory = vec![0; CHUNK];
        loop {
            let taken = match from.read(&mut memory) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Ok(taken) => taken,
                Err(_) => 0,
            };
            let chunk = memory.get(..taken).unwrap_or_default().to_vec();
            // An empty chunk is the end.
            if under_way.send((Instant::now() + delay, chunk)).is_err() || taken == 0 {
                return;
            }
        }
    });
    thread::spawn(move || {
        for (due, chunk) in arriving {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if chunk.is_empty() || to.write_all(&chunk).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
}
