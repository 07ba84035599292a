//! An account that occupies the server with hashes.

use std::fs::File;
use std::thread;

use super::TestServer;
use super::connection::{Connection, Options};
use super::raw::{Channel, Outgoing};

/// Commands on each connection.
pub const CHANNELS: usize = 10;
/// Connections that start at the same time.
const AT_ONCE: usize = 8;
/// The hash takes longer than any test.
const SIZE: u64 = 1 << 42;

/// Many hashes of a large file; dropping it closes the connections.
pub struct Hashing {
    _channels: Vec<[Channel; CHANNELS]>,
    _connections: Vec<Connection>,
}

/// Makes an account hash a large file on this many connections, ten times on each.
pub fn hash_without_end(server: &TestServer, user: &str, connections: usize) -> Hashing {
    let home = server.path("data/homes").join(user);
    let large = File::create(home.join("large")).unwrap();
    large.set_len(SIZE).unwrap();
    let begin = || {
        let connection = Connection::logged_in_to(server, user, &Options::default());
        let channels = [(); CHANNELS].map(|()| {
            let mut channel = connection.channel();
            channel.send(Outgoing::Exec("sha512sum large".to_owned()));
            assert!(channel.accepted());
            channel
        });
        (connection, channels)
    };
    // A few at a time: the server refuses too many without a login.
    let begin_some = |first| {
        (first..connections)
            .step_by(AT_ONCE)
            .map(|_| begin())
            .collect()
    };
    let (connections, channels) = thread::scope(|scope| {
        let begun: Vec<_> = (0..AT_ONCE)
            .map(|first| scope.spawn(move || -> Vec<_> { begin_some(first) }))
            .collect();
        let begun = begun.into_iter().flat_map(|some| some.join().unwrap());
        begun.unzip()
    });
    Hashing {
        _channels: channels,
        _connections: connections,
    }
}
