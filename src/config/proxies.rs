//! `trusted_proxies`: the networks whose proxies are believed about the address of a sender.

use core::net::IpAddr;
use std::fmt;
use std::str::FromStr;

use ipnet::IpNet;

use crate::config::reader::{self, Reader, Section};
use dynowarden_core::limits;

/// A network, or one address.
#[derive(PartialEq)]
struct Network(IpNet);

/// Neither of them.
struct NotANetwork;

/// Reads the networks; none where none are set.
pub(super) fn read(reader: &mut Reader<'_>, root: &Section) -> Vec<IpNet> {
    let allowed = "networks or addresses of proxies, such as 10.0.0.0/8, 192.0.2.1 or fd00::/8";
    let networks = reader.list::<Network>(root, "trusted_proxies", allowed, reader::at_commas);
    let mut networks: Vec<IpNet> =
        networks.unwrap_or_default().into_iter().map(|network| network.0).collect();
    if networks.len() > limits::PROXIES_MAX {
        networks.truncate(limits::PROXIES_MAX);
        if let Some(found) = reader.find(root, "trusted_proxies") {
            reader.refuse(&found, format!("at most {} networks", limits::PROXIES_MAX));
        }
    }
    if networks.iter().any(|network| network.prefix_len() == 0) {
        let warning = "trusted_proxies holds every address: any stranger may choose the address that is \
                       counted and logged";
        reader.warnings.push(warning.to_owned());
    }
    networks
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let address = || text.parse::<IpAddr>().map(IpNet::from);
        text.parse::<IpNet>()
            .or_else(|_| address())
            .map(|network| Self(network.trunc()))
            .map_err(|_| NotANetwork)
    }
}

impl fmt::Display for NotANetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an address, or an address with / and a number of bits")
    }
}
