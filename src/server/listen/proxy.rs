//! The PROXY protocol, version 2: a balancer's header gives the client address
//! (<https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt>, section 2.2). Only trusted balancers
//! send it; all other connections start with SSH.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::timeout;

/// Time for a balancer to send its header, which precedes everything else.
const PATIENCE: Duration = Duration::from_secs(5);

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Length of the signature, version and command, family and protocol, and the length of the rest.
const FIXED: usize = 16;
/// Longest rest that is read. Addresses take 36 bytes; other fields are skipped.
const MOST: usize = 2048;

/// Why the server does not serve a balancer's connection.
#[derive(Debug, thiserror::Error)]
pub enum Unproxied {
    /// The connection does not start with a header.
    #[error("no header of the PROXY protocol, version 2")]
    NoHeader,
    /// The header is malformed or not about TCP.
    #[error("unusable PROXY header: {0}")]
    Unusable(&'static str),
    /// The header did not arrive in time or not completely.
    #[error("PROXY header not received: {0}")]
    Io(#[from] io::Error),
}

/// Reads the header and no byte more. Returns the client address, or `None` for the balancer's own
/// connection, such as a health check.
///
/// # Errors
///
/// The header is missing, unusable or late.
pub async fn client(
    stream: &mut (impl AsyncRead + Unpin),
) -> Result<Option<SocketAddr>, Unproxied> {
    let read = timeout(PATIENCE, async {
        let mut fixed = [0; FIXED];
        stream.read_exact(&mut fixed).await?;
        let header = Header::parse(fixed)?;
        let mut rest = vec![0; header.rest];
        stream.read_exact(&mut rest).await?;
        header.client(&rest)
    });
    read.await
        .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
}

/// The fixed part of the header.
struct Header {
    is_local: bool,
    family_and_protocol: u8,
    rest: usize,
}

impl Header {
    fn parse(fixed: [u8; FIXED]) -> Result<Self, Unproxied> {
        let Some((signature, &[version_and_command, family_and_protocol, high, low])) =
            fixed.split_first_chunk::<12>()
        else {
            return Err(Unproxied::NoHeader);
        };
        if *signature != SIGNATURE || version_and_command >> 4 != 2 {
            return Err(Unproxied::NoHeader);
        }
        let is_local = match version_and_command & 0x0f {
            0 => true,
            1 => false,
            _ => return Err(Unproxied::Unusable("an unknown command")),
        };
        let rest = usize::from(u16::from_be_bytes([high, low]));
        if rest > MOST {
            return Err(Unproxied::Unusable("it is too long"));
        }
        Ok(Self {
            is_local,
            family_and_protocol,
            rest,
        })
    }

    fn client(&self, rest: &[u8]) -> Result<Option<SocketAddr>, Unproxied> {
        const SHORT: Unproxied = Unproxied::Unusable("it is too short for its addresses");
        if self.is_local {
            return Ok(None);
        }
        let (ip, port) = match self.family_and_protocol {
            0x00 => return Ok(None),
            // Source and destination address, source and destination port.
            0x11 => {
                let block = rest.first_chunk::<12>().ok_or(SHORT)?;
                let [a, b, c, d, _, _, _, _, high, low, _, _] = *block;
                (IpAddr::from(Ipv4Addr::new(a, b, c, d)), [high, low])
            }
            0x21 => {
                let block = rest.first_chunk::<36>().ok_or(SHORT)?;
                let (source, others) = block.split_first_chunk::<16>().ok_or(SHORT)?;
                let (_, ports) = others.split_first_chunk::<16>().ok_or(SHORT)?;
                let port = ports.first_chunk::<2>().ok_or(SHORT)?;
                (IpAddr::from(Ipv6Addr::from(*source)), *port)
            }
            _ => return Err(Unproxied::Unusable("it is not about TCP")),
        };
        Ok(Some(SocketAddr::new(ip, u16::from_be_bytes(port))))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[0x20 | command, family], &length, rest].concat()
    }

    async fn read(bytes: &[u8]) -> (Result<Option<SocketAddr>, String>, usize) {
        let mut stream = bytes;
        let outcome = client(&mut stream).await.map_err(|e| e.to_string());
        (outcome, stream.len())
    }

    #[tokio::test]
    async fn addresses_of_both_families_are_read_and_nothing_behind_the_header() {
        let v4 = [192, 0, 2, 7, 10, 0, 0, 1, 0x30, 0x39, 0, 22];
        let with_more = [&v4[..], &[0x04, 0, 1, 0]].concat();
        for rest in [&v4[..], &with_more] {
            let bytes = [&header(1, 0x11, rest)[..], b"SSH-2.0"].concat();
            let (client, left) = read(&bytes).await;
            assert_eq!(client, Ok(Some("192.0.2.7:12345".parse().unwrap())));
            assert_eq!(left, 7);
        }
        let mut v6 = [0; 36];
        v6[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        v6[15] = 9;
        v6[32..34].copy_from_slice(&[1, 0]);
        let (client, _) = read(&header(1, 0x21, &v6)).await;
        assert_eq!(client, Ok(Some("[2001:db8::9]:256".parse().unwrap())));
    }

    #[tokio::test]
    async fn a_balancer_may_speak_for_itself() {
        for bytes in [
            header(0, 0, &[]),
            header(0, 0x11, &[0; 12]),
            header(1, 0, &[]),
        ] {
            assert_eq!(read(&bytes).await, (Ok(None), 0));
        }
    }

    #[tokio::test]
    async fn what_is_no_header_is_refused() {
        let bad: [(&[u8], &str); 8] = [
            (b"SSH-2.0-OpenSSH_9.2\r\n", "no header"),
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n", "no header"),
            (&[0x0d; 16], "no header"),
            (&header(2, 0x11, &[0; 12]), "an unknown command"),
            (&header(1, 0x11, &[0; 11]), "too short"),
            (&header(1, 0x21, &[0; 35]), "too short"),
            (&header(1, 0x12, &[0; 12]), "not about TCP"),
            (&header(1, 0x11, &[0; MOST + 1]), "too long"),
        ];
        for (bytes, why) in bad {
            let (outcome, _) = read(bytes).await;
            assert!(outcome.clone().unwrap_err().contains(why), "{outcome:?}");
        }
        let (cut, _) = read(&header(1, 0x11, &[0; 12])[..20]).await;
        assert!(cut.unwrap_err().contains("not received"));
    }
}
