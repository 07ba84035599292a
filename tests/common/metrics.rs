//! The metrics of a server that was started with [`ON`].

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use super::{STEP, TestServer};

/// Turns the metrics on, on a free port.
pub const ON: (&str, &str) = ("metrics.listen", "\"0\"");

pub fn address(server: &TestServer) -> SocketAddr {
    let log = server.log();
    let (_, rest) = log
        .rsplit_once("metrics at http://")
        .expect("it is told where they are");
    rest.split_once("/metrics").unwrap().0.parse().unwrap()
}

/// Sends a request, and returns the whole response.
pub fn ask(server: &TestServer, request: &[u8]) -> String {
    ask_at(address(server), request)
}

fn ask_at(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(STEP)).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Returns the page that Prometheus reads.
pub fn page(server: &TestServer) -> String {
    page_at(address(server))
}

fn page_at(address: SocketAddr) -> String {
    let answer = ask_at(address, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// Returns one sample by its name with labels.
pub fn value(server: &TestServer, name: &str) -> f64 {
    value_at(address(server), name)
}

/// Returns it from this address.
pub fn value_at(address: SocketAddr, name: &str) -> f64 {
    let page = page_at(address);
    let line = page.lines().find_map(|line| {
        let (found, value) = line.rsplit_once(' ')?;
        (found == name).then_some(value)
    });
    line.unwrap_or_else(|| panic!("no {name} in {page}"))
        .parse()
        .unwrap()
}
