//! The sockets that the server listens on.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::anyhow;
use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpSocket};
use tracing::info;

use crate::server::supervisor;

/// Lower ports need a privilege (capabilities(7), CAP_NET_BIND_SERVICE).
const PRIVILEGED: u16 = 1024;
/// Connections that may wait in the kernel's queue, which has a limit of its own.
const BACKLOG: u32 = 1024;

/// Returns the sockets that systemd passes, or those of the configuration.
pub(in crate::server) async fn listeners(
    addresses: &[SocketAddr],
) -> anyhow::Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    for socket in supervisor::sockets()? {
        socket.set_nonblocking(true)?;
        listeners.push(TcpListener::from_std(socket)?);
    }
    if !listeners.is_empty() {
        info!("listening on the sockets from systemd instead of server.listen");
        return Ok(listeners);
    }
    for address in addresses {
        let listener = listen(address, addresses);
        listeners.push(listener.map_err(|failure| cannot_listen(*address, failure))?);
    }
    Ok(listeners)
}

/// Explains why the server cannot listen on an address, and what to do.
pub(in crate::server) fn cannot_listen(
    address: SocketAddr,
    failure: std::io::Error,
) -> anyhow::Error {
    let advice = match failure.kind() {
        ErrorKind::AddrInUse => ": is another server running there?",
        ErrorKind::PermissionDenied if address.port() < PRIVILEGED => {
            ": ports below 1024 need CAP_NET_BIND_SERVICE, or a socket from systemd (landfall.socket)"
        }
        ErrorKind::AddrNotAvailable => ": no network interface of this machine has this address",
        _ => "",
    };
    anyhow!("cannot listen on {address}: {failure}{advice}")
}

/// Listens. `[::]` accepts IPv4 connections too, unless `0.0.0.0` is configured.
fn listen(address: &SocketAddr, all: &[SocketAddr]) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => {
            let socket = TcpSocket::new_v6()?;
            let twin = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
            sockopt::set_ipv6_v6only(&socket, all.contains(&twin))?;
            socket
        }
    };
    // As the standard library does: a restart must not wait for old connections to time out.
    socket.set_reuseaddr(true)?;
    socket.bind(*address)?;
    socket.listen(BACKLOG)
}
