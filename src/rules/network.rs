//! Networks from which users may log in, in CIDR notation (RFC 4632).

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A network or an address. IPv4-mapped IPv6 addresses (`::ffff:192.0.2.1`) are IPv4 addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    first: IpAddr,
    /// The prefix length.
    common: u8,
}

/// Why text is not a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotANetwork {
    /// Neither an address nor a network.
    #[error(
        "a network is an address, or an address with a prefix length: 192.0.2.7, 10.0.0.0/8, 2001:db8::/32"
    )]
    Malformed,
    /// An address inside a network: the prefix length may be wrong.
    #[error("this address is inside the network {0}; give that, or a longer prefix")]
    Inside(Network),
}

impl Network {
    /// Returns the network of this prefix length around an address.
    pub fn around(address: IpAddr, common: u8) -> Self {
        let address = address.to_canonical();
        let common = common.min(if address.is_ipv4() { 32 } else { 128 });
        Self {
            first: start(address, common),
            common,
        }
    }

    /// Returns its first address.
    pub fn first(&self) -> IpAddr {
        self.first
    }

    /// Returns whether it is an IPv4 network.
    pub fn is_ipv4(&self) -> bool {
        self.first.is_ipv4()
    }

    /// Returns whether one of the two contains the other.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other.first) || other.contains(self.first)
    }

    /// Returns whether it contains an address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.first.is_ipv4() && start(address, self.common) == self.first
    }
}

/// Returns the first address of the network of this prefix length around an address.
fn start(address: IpAddr, common: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(common)).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(common)).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let written: IpAddr = address.parse().map_err(|_| NotANetwork::Malformed)?;
        let all = if written.is_ipv4() { 32 } else { 128 };
        let common = match length {
            None => all,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits
                .parse()
                .ok()
                .filter(|common| *common <= all)
                .ok_or(NotANetwork::Malformed)?,
            Some(_) => return Err(NotANetwork::Malformed),
        };
        // "::ffff:192.0.2.0/120" is 192.0.2.0/24; a prefix shorter than ::ffff:0:0/96 stays IPv6.
        let (address, common) = match written.to_canonical() {
            v4 @ IpAddr::V4(_) if written.is_ipv6() && common >= 96 => (v4, common - 96),
            _ => (written, common),
        };
        let network = Self {
            first: start(address, common),
            common,
        };
        if network.first == address {
            Ok(network)
        } else {
            Err(NotANetwork::Inside(network))
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = if self.first.is_ipv4() { 32 } else { 128 };
        if self.common == all {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}/{}", self.first, self.common)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_are_in_their_networks_and_in_no_others() {
        for (text, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("192.0.2.128/25", "192.0.2.255", "192.0.2.127"),
            ("0.0.0.0/0", "203.0.113.9", "2001:db8::1"),
            ("::/0", "2001:db8::1", "203.0.113.9"),
            ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::10.1.2.3"),
            ("::ffff:192.0.2.0/120", "192.0.2.9", "192.0.3.9"),
        ] {
            assert!(network(text).contains(inside.parse().unwrap()), "{text}");
            assert!(!network(text).contains(outside.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn networks_around_addresses_hold_them_and_overlap_with_what_holds_them() {
        for (address, common, around) in [
            ("192.0.2.7", 24, "192.0.2.0/24"),
            ("192.0.2.7", 200, "192.0.2.7"),
            ("2001:db8::1:0:0:1", 64, "2001:db8:0:0::/64"),
            ("::ffff:192.0.2.7", 32, "192.0.2.7"),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(Network::around(address, common), network(around));
            assert!(network(around).overlaps(&Network::around(address, 128)));
            assert!(Network::around(address, 128).overlaps(&network(around)));
        }
        assert!(!network("10.0.0.0/8").overlaps(&network("11.0.0.0/8")));
        assert!(!network("0.0.0.0/0").overlaps(&network("::/0")));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "/8",
            "10.0.0.0/",
            "10.0.0.0/33",
            "::/129",
            "10.0.0/8",
            "10.0.0.0/+8",
            "a.b.c.d",
            "10.0.0.0/8/8",
            "10.0.0.0/999",
            " 10.0.0.0",
            "[::1]",
        ] {
            let refused = text.parse::<Network>();
            assert_eq!(refused, Err(NotANetwork::Malformed), "{text}");
        }
        let inside = "10.1.2.3/8".parse::<Network>();
        assert_eq!(inside, Err(NotANetwork::Inside(network("10.0.0.0/8"))));
    }

    #[test]
    fn they_are_shown_as_they_are_read() {
        for text in [
            "10.0.0.0/8",
            "192.0.2.7",
            "2001:db8::/32",
            "::1",
            "0.0.0.0/0",
        ] {
            assert_eq!(network(text).to_string(), text);
        }
        assert_eq!(network("192.0.2.7/32").to_string(), "192.0.2.7");
        assert_eq!(network("::ffff:192.0.2.7").to_string(), "192.0.2.7");
    }
}
