//! Which addresses may be connected to, decided on the address itself: a name is judged by every address it has.
//!
//! Follows the IANA special-purpose address registries for IPv4 and IPv6. Opens no connection.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;
use url::{Host, Url};

/// What a fetch may reach.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AddressPolicy {
    /// Every address, name and port. Right on somebody's own machine, wrong wherever strangers' specs are run.
    pub allow_private: bool,
    /// Networks that may be reached although they are not public: an object store on the premises.
    pub allowed: Vec<IpNet>,
    /// Names that may be used although they are internal, in lower case and without a final dot. Their addresses are judged all the same.
    pub allowed_hosts: Vec<String>,
    /// Ports that may be reached besides 80, 443 and 8443.
    pub allowed_ports: Vec<u16>,
}

/// A host, port or address that the policy refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub what: String,
    pub why: &'static str,
}

/// Ports that public servers offer HTTP on.
const PUBLIC_PORTS: [u16; 3] = [80, 443, 8443];

const NOT_PUBLIC_V4: &[(Ipv4Addr, u32, &str)] = &[
    (Ipv4Addr::UNSPECIFIED, 8, "this network"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "private"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "shared address space"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "loopback"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "link-local"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "private"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "protocol assignments"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "documentation"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "6to4 relay"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "private"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "benchmarking"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "documentation"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "documentation"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "multicast"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "reserved or broadcast"),
];

/// Within 2000::/3, outside of which nothing is public unicast.
const NOT_PUBLIC_V6: &[(Ipv6Addr, u32, &str)] = &[
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, "protocol assignments, Teredo among them"),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, "documentation"),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, "6to4, which embeds an IPv4 address"),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, "documentation"),
];

/// Names that lead into a cluster or to a cloud's metadata.
const INTERNAL_SUFFIXES: [&str; 6] = ["localhost", "local", "internal", "svc", "cluster.local", "home.arpa"];

// === impl AddressPolicy ===

impl AddressPolicy {
    /// Checks the host and port of a URL, before any name is looked up. Literals are judged here: a client connects to them without
    /// asking its resolver.
    pub fn check_url(&self, url: &Url) -> Result<(), Refused> {
        let refused = |what: String, why| Err(Refused { what, why });
        match url.host() {
            None => return refused(url.scheme().to_owned(), "a URL without a host"),
            Some(Host::Ipv4(address)) => self.check(address.into())?,
            Some(Host::Ipv6(address)) => self.check(address.into())?,
            Some(Host::Domain(name)) => self.check_name(name)?,
        }
        match url.port_or_known_default() {
            None | Some(0) => refused("port 0".to_owned(), "no server listens there"),
            Some(port) if !self.allow_private && !PUBLIC_PORTS.contains(&port) && !self.allowed_ports.contains(&port) => {
                refused(format!("port {port}"), "only 80, 443 and 8443 may be reached")
            }
            Some(_) => Ok(()),
        }
    }

    /// Checks one address.
    pub fn check(&self, address: IpAddr) -> Result<(), Refused> {
        if self.allow_private || self.allowed.iter().any(|network| network.contains(&address)) {
            return Ok(());
        }
        match why_not_public(address) {
            None => Ok(()),
            Some(why) => Err(Refused { what: address.to_string(), why }),
        }
    }

    /// Checks a name without looking it up.
    pub fn check_name(&self, name: &str) -> Result<(), Refused> {
        if self.allow_private {
            return Ok(());
        }
        let bare = name.trim_end_matches('.').to_ascii_lowercase();
        if self.allowed_hosts.contains(&bare) {
            return Ok(());
        }
        let internal = INTERNAL_SUFFIXES.iter().any(|suffix| bare == *suffix || bare.ends_with(&format!(".{suffix}")));
        match (internal, bare.contains('.')) {
            (true, _) => Err(Refused { what: name.to_owned(), why: "a name of an internal network" }),
            (false, false) => Err(Refused { what: name.to_owned(), why: "a name without a domain" }),
            (false, true) => Ok(()),
        }
    }

    /// The addresses of a name, all of them checked: one that is refused refuses the name.
    pub async fn resolve(&self, name: &str) -> Result<Vec<SocketAddr>, ResolveError> {
        self.check_name(name).map_err(ResolveError::Refused)?;
        // With its final dot a name is looked up as it stands, not in the search domains of this machine.
        let absolute = if self.allow_private { name.to_owned() } else { format!("{}.", name.trim_end_matches('.')) };
        let addresses: Vec<_> = tokio::net::lookup_host((absolute.as_str(), 0)).await.map_err(ResolveError::LookUp)?.collect();
        for address in &addresses {
            self.check(address.ip())
                .map_err(|refused| ResolveError::Refused(Refused { what: format!("{name} ({})", refused.what), why: refused.why }))?;
        }
        Ok(addresses)
    }
}

/// Why a name leads to no address.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    #[error("{0}")]
    Refused(Refused),
    #[error("the name could not be looked up")]
    LookUp(#[source] std::io::Error),
}

// === impl Refused ===

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} may not be reached: {}", self.what, self.why)
    }
}

impl std::error::Error for Refused {}

/// What kind of address this is, when it is not a public unicast one.
fn why_not_public(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(v4) => {
            let bits = v4.to_bits();
            NOT_PUBLIC_V4.iter().find(|(network, length, _)| (bits ^ network.to_bits()) >> (32 - length) == 0).map(|row| row.2)
        }
        IpAddr::V6(v6) => {
            if let Some(v4) = v6.to_ipv4_mapped() {
                return why_not_public(v4.into()).or(Some("an IPv4 address in IPv6 clothes"));
            }
            if v6.segments()[0] & 0xe000 != 0x2000 {
                return Some("not global unicast");
            }
            let bits = v6.to_bits();
            NOT_PUBLIC_V6.iter().find(|(network, length, _)| (bits ^ network.to_bits()) >> (128 - length) == 0).map(|row| row.2)
        }
    }
}

#[cfg(test)]
mod tests;
