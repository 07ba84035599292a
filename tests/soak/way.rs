//! The path of a worker's clients to the server; it can be cut at any byte.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;

/// Never cut.
const WHOLE: i64 = i64::MAX;

/// A port that forwards to the server, whatever the server's port is now.
pub struct Way {
    port: u16,
    state: Arc<State>,
}

struct State {
    /// The port of the server, shared by all paths.
    server: Arc<AtomicU16>,
    /// Bytes that may still pass, in both directions of all connections together.
    left: AtomicI64,
    /// A cut sends a reset instead of an end.
    resets: AtomicBool,
    /// Both ends of each connection.
    open: Mutex<Vec<[TcpStream; 2]>>,
    closed: AtomicBool,
}

impl Way {
    pub fn open(server: Arc<AtomicU16>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            server,
            left: AtomicI64::new(WHOLE),
            resets: AtomicBool::new(false),
            open: Mutex::default(),
            closed: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if accepting.closed.load(Ordering::SeqCst) {
                    break;
                }
                accepting.connect(client);
            }
        });
        Self { port, state }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Lets `bytes` more pass, then cuts all connections, present and future.
    pub fn cut_after(&self, bytes: u64, by_reset: bool) {
        self.state.resets.store(by_reset, Ordering::SeqCst);
        let bytes = i64::try_from(bytes).unwrap();
        self.state.left.store(bytes, Ordering::SeqCst);
    }

    /// Returns whether something was cut.
    pub fn is_cut(&self) -> bool {
        self.state.left.load(Ordering::SeqCst) <= 0
    }

    /// Lets everything pass again; returns whether something was cut.
    pub fn mend(&self) -> bool {
        self.state.left.swap(WHOLE, Ordering::SeqCst) <= 0
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.state.closed.store(true, Ordering::SeqCst);
        self.state.cut();
        // Wakes the accepting thread.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

impl State {
    fn connect(self: &Arc<Self>, client: TcpStream) {
        let port = self.server.load(Ordering::SeqCst);
        // Nobody listens while the server restarts: the client's connection ends.
        let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else {
            return;
        };
        for end in [&client, &server] {
            end.set_nodelay(true).unwrap();
        }
        let again = |end: &TcpStream| end.try_clone().unwrap();
        {
            let mut open = self.open.lock().unwrap();
            open.retain(|[client, _]| client.peer_addr().is_ok());
            open.push([again(&client), again(&server)]);
        }
        for (from, to) in [(again(&client), again(&server)), (server, client)] {
            let state = Arc::clone(self);
            std::thread::spawn(move || state.pass(from, to));
        }
    }

    /// Forwards bytes until the end or the cut.
    fn pass(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut block = [0; 1 << 15];
        while let Ok(length @ 1..) = from.read(&mut block) {
            let length = i64::try_from(length).unwrap();
            let whole = self.left.load(Ordering::SeqCst) == WHOLE;
            let left = if whole {
                length
            } else {
                self.left.fetch_sub(length, Ordering::SeqCst)
            };
            let passes = usize::try_from(left.clamp(0, length)).unwrap();
            if to.write_all(&block[..passes]).is_err() {
                break;
            }
            if left < length {
                self.cut();
                return;
            }
        }
        // The end of one direction is passed on; after an error the other direction ends by itself.
        let _ = to.shutdown(Shutdown::Write);
        let _ = from.shutdown(Shutdown::Read);
    }

    fn cut(&self) {
        for ends in self.open.lock().unwrap().drain(..) {
            for end in ends {
                if self.resets.load(Ordering::SeqCst) {
                    let _ = set_socket_linger(&end, Some(Duration::ZERO));
                }
                let _ = end.shutdown(Shutdown::Both);
            }
        }
    }
}
