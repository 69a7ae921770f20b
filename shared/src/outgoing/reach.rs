//! Which addresses a call may reach whose host an operator declares: the internet's, or this machine's own. A name is
//! resolved once and its addresses are checked before they are connected to, so that a name that leads elsewhere a
//! moment later (DNS rebinding) doesn't help.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// The addresses that are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Globally routed ones: none of a private network, of this machine or of a cloud's metadata.
    Public,
    /// The loopback interface, for development.
    ThisMachine,
}

/// An address that is not allowed. Its text says no address: a name may lead into somebody's network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the host leads to an address that is not on the internet")]
pub struct Unreachable;

impl Reach {
    /// Of a URL. This machine must be named as it is: `127.0.0.1`, `localhost` or `[::1]`.
    ///
    /// # Errors
    /// If its host is an address that can't be allowed, or is a name for this machine.
    pub fn of(text: &str, url: &Url) -> Result<Self, Unreachable> {
        let host = text.split_once("://").map_or(text, |(_, rest)| rest).split(['/', '?', '#']).next();
        let host = host.unwrap_or_default();
        let host = if host.ends_with(']') { host } else { host.rsplit_once(':').map_or(host, |(host, _)| host) };
        if matches!(host, "127.0.0.1" | "localhost" | "[::1]") && url.host_str() == Some(host) {
            return Ok(Self::ThisMachine);
        }
        let is_public = match url.host() {
            Some(Host::Ipv4(address)) => is_public_v4(address),
            Some(Host::Ipv6(address)) => is_public_v6(address),
            // RFC 6761.
            Some(Host::Domain(name)) => {
                let name = name.trim_end_matches('.').to_ascii_lowercase();
                name != "localhost" && !name.ends_with(".localhost") && !name.is_empty()
            }
            None => false,
        };
        if is_public { Ok(Self::Public) } else { Err(Unreachable) }
    }

    /// All of a name's addresses must be allowed: with one among them that isn't, it isn't what it seems.
    fn check(self, addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Unreachable> {
        let is_allowed = |address: &SocketAddr| match (self, address.ip()) {
            (Self::ThisMachine, ip) => ip.is_loopback(),
            (Self::Public, IpAddr::V4(ip)) => is_public_v4(ip),
            (Self::Public, IpAddr::V6(ip)) => is_public_v6(ip),
        };
        if addresses.iter().all(is_allowed) { Ok(addresses) } else { Err(Unreachable) }
    }
}

impl Resolve for Reach {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = *self;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(Box::new(reach.check(found)?.into_iter()) as Addrs)
        })
    }
}

/// By the IANA's registry of special-purpose addresses.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = matches!(
        (a, b, c),
        (0 | 10 | 127 | 224..=255, _, _)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 168, _)
            | (198, 18..=19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    );
    !is_special
}

/// Of what is allocated (2000::/3), and IPv4 in its two forms.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let v4 = || {
        let [.., high, low] = segments;
        is_public_v4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))
    };
    match segments {
        // IPv4-mapped, and NAT64.
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => v4(),
        // Teredo and other protocols, documentation, 6to4.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..=0xfff, ..] => false,
        [first, ..] => (0x2000..=0x3fff).contains(&first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<Result<Reach, Unreachable>> {
        Some(Reach::of(text, &Url::parse(text).ok()?))
    }

    #[test]
    fn a_private_address_is_refused_in_every_spelling() {
        for host in [
            "10.0.0.1",
            "10.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "169.254.170.2",
            "2852039166",
            "0xa9fea9fe",
            "0251.0376.0251.0376",
            "0xA9.0xFE.0xA9.0xFE",
            "169.254.43518",
            "100.64.0.1",
            "0.0.0.0",
            "0",
            "127.1",
            "127.0.0.2",
            "2130706433",
            "017700000001",
            "0x7f.1",
            "127.0.0.1.",
            "１２７.0.0.1",
            "localhost.",
            "LOCALHOST",
            "app.localhost",
            "255.255.255.255",
            "224.0.0.1",
            "192.0.2.1",
            "[::]",
            "[0:0:0:0:0:0:0:1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::ffff:169.254.169.254]",
            "[::ffff:10.0.0.1]",
            "[::127.0.0.1]",
            "[64:ff9b::169.254.169.254]",
            "[64:ff9b:1::1]",
            "[fd00:ec2::254]",
            "[fc00::1]",
            "[fe80::1]",
            "[fec0::1]",
            "[ff02::1]",
            "[2001:db8::1]",
            "[2002:7f00:1::1]",
            "[2001::1]",
        ] {
            for url in [format!("https://{host}/v1"), format!("https://{host}:8443/v1")] {
                assert_eq!(of(&url), Some(Err(Unreachable)), "{url}");
            }
        }
    }

    #[test]
    fn a_public_address_or_name_is_allowed() {
        for host in [
            "api.example.com",
            "example.com.",
            "8.8.8.8",
            "172.15.0.1",
            "172.32.0.1",
            "100.63.0.1",
            "192.0.1.1",
            "[2606:4700::1111]",
            "[64:ff9b::8.8.8.8]",
            "[::ffff:8.8.8.8]",
            "localhost.example.com",
        ] {
            assert_eq!(of(&format!("https://{host}/v1?a=b")), Some(Ok(Reach::Public)), "{host}");
        }
    }

    #[test]
    fn this_machine_is_named_as_it_is() {
        for url in ["http://127.0.0.1:8080/a", "http://localhost/a", "https://localhost", "http://[::1]:80?a=b"] {
            assert_eq!(of(url), Some(Ok(Reach::ThisMachine)), "{url}");
        }
        for url in ["http://127.0.0.1@example.com/", "http://localhost:80@example.com/"] {
            assert_ne!(of(url), Some(Ok(Reach::ThisMachine)), "{url}");
        }
    }

    #[test]
    fn all_addresses_of_a_name_must_be_allowed() {
        let check = |reach: Reach, addresses: &[&str]| {
            reach.check(addresses.iter().map(|it| format!("{it}:0").parse().unwrap()).collect()).is_ok()
        };
        for (addresses, is_public, is_here) in [
            (&["8.8.8.8"][..], true, false),
            (&["8.8.8.8", "[2606:4700::1111]"], true, false),
            (&["8.8.8.8", "10.0.0.1"], false, false),
            (&["10.0.0.1"], false, false),
            (&["8.8.8.8", "[::ffff:127.0.0.1]"], false, false),
            (&["127.0.0.1"], false, true),
            (&["127.0.0.1", "[::1]"], false, true),
            (&["127.0.0.1", "8.8.8.8"], false, false),
            (&["169.254.169.254"], false, false),
        ] {
            assert_eq!(check(Reach::Public, addresses), is_public, "{addresses:?}");
            assert_eq!(check(Reach::ThisMachine, addresses), is_here, "{addresses:?}");
        }
    }
}
