//! The address of a client: the peer of the connection, or the address that a trusted proxy reports.
//!
//! A client can write anything into `X-Forwarded-For`; only what a trusted proxy has appended is reliable. So
//! the header is read from its end, as long as every later hop is trusted. Heroku's router appends the
//! address of its own peer.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Deref;
use std::sync::Arc;

use http::HeaderMap;
use http::request::Parts;
use ipnet::IpNet;

use crate::http::connection_state::ConnectionState;

/// The head of a request, and the address at the other end of its connection.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) connection: Arc<ConnectionState>,
    pub(super) parts: Parts,
    pub(super) peer: IpAddr,
}

/// The proxies whose `X-Forwarded-For` is trusted.
#[derive(Debug)]
pub(super) struct Proxies {
    is_on_dyno: bool,
    trusted: Vec<IpNet>,
}

/// A client for counting: an IPv4 address, or the first half of an IPv6 address, because a household or a
/// server has 2^64 of those.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum ClientAddr {
    /// All clients beyond [`limits::WRONG_CALLERS_MAX`](dynowarden_core::limits::WRONG_CALLERS_MAX).
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
    pub(super) fn new(trusted: &[IpNet], is_on_dyno: bool) -> Self {
        Self { is_on_dyno, trusted: trusted.to_vec() }
    }

    pub(super) fn client_addr(&self, head: &Head) -> ClientAddr {
        ClientAddr::of(self.address(&head.headers, head.peer))
    }

    /// The client of a connection, unless its peer is a proxy.
    pub(super) fn direct_client(&self, peer: IpAddr) -> Option<ClientAddr> {
        let peer = peer.to_canonical();
        (!self.is_on_dyno && !self.trusts(peer)).then(|| ClientAddr::of(peer))
    }

    /// Whether a trusted proxy says that the client speaks HTTPS.
    pub(super) fn says_https(&self, head: &Head) -> bool {
        let proto = head.headers.get("x-forwarded-proto");
        self.direct_client(head.peer).is_none() && proto.is_some_and(|proto| proto.as_bytes() == b"https")
    }

    fn address(&self, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
        let mut address = peer.to_canonical();
        let mut is_trusted = self.is_on_dyno || self.trusts(address);
        let hops = headers.get_all("x-forwarded-for").iter().rev();
        for hop in hops.flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b',')) {
            let Some(named) = read_address(hop).filter(|_| is_trusted) else { break };
            address = named.to_canonical();
            is_trusted = self.trusts(address);
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
    fn only_a_trusted_proxy_names_the_client() {
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().expect("a network"));
        let proxies = Proxies::new(&trusted, false);
        for (peer, forwarded, expect) in [
            ("203.0.113.1", &[][..], "203.0.113.1"),
            ("203.0.113.1", &["198.51.100.1"], "203.0.113.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("::ffff:10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            // The client's own value precedes what the proxy appended.
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
    fn the_last_address_counts_behind_herokus_router() {
        let proxies = Proxies::new(&[], true);
        for (forwarded, expect) in [
            (&[][..], "10.1.2.3"),
            (&["198.51.100.1"], "198.51.100.1"),
            (&["1.1.1.1, 2.2.2.2,198.51.100.1"], "198.51.100.1"),
            (&["1.1.1.1", "198.51.100.1"], "198.51.100.1"),
        ] {
            check(&proxies, "10.1.2.3", forwarded, expect);
        }
        // Another trusted proxy may be in front of the router.
        let proxies = Proxies::new(&["203.0.113.0/24".parse().expect("a network")], true);
        check(&proxies, "10.1.2.3", &["1.1.1.1, 198.51.100.1, 203.0.113.9"], "198.51.100.1");
        check(&proxies, "10.1.2.3", &["1.1.1.1, 198.51.100.1"], "198.51.100.1");
    }
}
