//! Who sends a request: the client of the connection, or whom a proxy names that is believed.
//!
//! `X-Forwarded-For` is whatever its sender likes, except for what a trusted proxy has appended. So it is
//! read from its end, and only as far as every hop behind it is trusted. Heroku's router appends the address
//! of its own peer, whoever may have written something in front of that.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Deref;

use http::HeaderMap;
use http::request::Parts;
use ipnet::IpNet;

/// The head of a request, and the address at the other end of its connection.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) parts: Parts,
    pub(super) peer: IpAddr,
}

/// Whose word about addresses counts.
#[derive(Debug)]
pub(super) struct Proxies {
    is_on_dyno: bool,
    trusted: Vec<IpNet>,
}

/// An address as far as it tells one sender from another: a household or a server has 2^64 addresses of
/// IPv6, so their common half is one caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum ClientAddr {
    /// All for whom there is no place of their own.
    Overflow,
    V4(Ipv4Addr),
    /// The first 64 bits.
    V6(u64),
}

impl Deref for Head {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

impl Proxies {
    /// Those of the settings, and Heroku's router where the program runs behind it.
    pub(super) fn new(trusted: &[IpNet], is_on_dyno: bool) -> Self {
        Self { is_on_dyno, trusted: trusted.to_vec() }
    }

    /// Who has sent this.
    pub(super) fn caller(&self, head: &Head) -> ClientAddr {
        ClientAddr::of(self.address(&head.headers, head.peer))
    }

    fn address(&self, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
        let mut address = peer.to_canonical();
        let mut is_believed = self.is_on_dyno || self.trusts(address);
        let hops = headers.get_all("x-forwarded-for").iter().rev();
        for hop in hops.flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b',')) {
            let Some(named) = read_address(hop).filter(|_| is_believed) else { break };
            address = named.to_canonical();
            is_believed = self.trusts(address);
        }
        address
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&address))
    }
}

/// An address, perhaps with a port, as proxies write it.
fn read_address(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop.trim_ascii()).ok()?;
    let with_port = || text.parse().map(|address: SocketAddr| address.ip()).ok();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(with_port)
}

impl ClientAddr {
    fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => Self::V6((address.to_bits() >> 64) as u64),
        }
    }
}

impl fmt::Display for ClientAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overflow => f.write_str("many addresses"),
            Self::V4(address) => address.fmt(f),
            Self::V6(half) => write!(f, "{}/64", Ipv6Addr::from_bits(u128::from(*half) << 64)),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::HeaderValue;

    use super::{ClientAddr, Proxies};

    #[track_caller]
    fn check(proxies: &Proxies, peer: &str, forwarded: &[&str], expect: &str) {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", HeaderValue::from_str(value).expect("a header"));
        }
        let address = proxies.address(&headers, peer.parse().expect("an address"));
        assert_eq!(ClientAddr::of(address).to_string(), expect, "{peer} {forwarded:?}");
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().expect("a network"));
        let proxies = Proxies::new(&trusted, false);
        for (peer, forwarded, expect) in [
            ("203.0.113.1", &[][..], "203.0.113.1"),
            ("203.0.113.1", &["198.51.100.1"], "203.0.113.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("::ffff:10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            // What a stranger wrote stands in front of what the proxy appended.
            ("10.0.0.1", &["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["1.1.1.1", "198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["1.1.1.1, 198.51.100.1, 10.9.9.9"], "198.51.100.1"),
            ("10.0.0.1", &["1.1.1.1,10.9.9.9,\t198.51.100.1:4711 "], "198.51.100.1"),
            ("10.0.0.1", &["198.51.100.1, garbage"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1, unknown, 10.9.9.9"], "10.9.9.9"),
            ("10.0.0.1", &["198.51.100.1,"], "10.0.0.1"),
            ("10.0.0.1", &[""], "10.0.0.1"),
            ("fd00::1", &["2001:db8:1:2:3:4:5:6"], "2001:db8:1:2::/64"),
            ("fd00::1", &["[2001:db8:1:2::1]:443"], "2001:db8:1:2::/64"),
            ("fd00::1", &["[2001:db8:1:2::1]"], "2001:db8:1:2::/64"),
            ("fd00::1", &["::ffff:198.51.100.1"], "198.51.100.1"),
        ] {
            check(&proxies, peer, forwarded, expect);
        }
    }

    #[test]
    fn of_herokus_router_the_last_word_counts() {
        let proxies = Proxies::new(&[], true);
        for (forwarded, expect) in [
            (&[][..], "10.1.2.3"),
            (&["198.51.100.1"], "198.51.100.1"),
            (&["1.1.1.1, 2.2.2.2,198.51.100.1"], "198.51.100.1"),
            (&["1.1.1.1", "198.51.100.1"], "198.51.100.1"),
        ] {
            check(&proxies, "10.1.2.3", forwarded, expect);
        }
        // In front of the router may be somebody else who is trusted.
        let proxies = Proxies::new(&["203.0.113.0/24".parse().expect("a network")], true);
        check(&proxies, "10.1.2.3", &["1.1.1.1, 198.51.100.1, 203.0.113.9"], "198.51.100.1");
        check(&proxies, "10.1.2.3", &["1.1.1.1, 198.51.100.1"], "198.51.100.1");
    }
}
