//! Addresses and paths in settings. An error is read behind the setting's name and value, as in
//! `listen is "here": not an address to listen on, …`.

use std::net::{IpAddr, SocketAddr};

use pinrail_spec::Multiaddr;

/// What stands in a list for its being empty on purpose.
pub const NONE: &str = "none";

/// Paths of the API's own, which a base path must not hide.
const OWN_PATHS: [&str; 5] = ["pins", "health", "docs", "openapi.json", "api"];

/// Reads an address that a program listens on over TCP, such as `127.0.0.1:7401`.
pub fn parse_socket(text: &str) -> Result<SocketAddr, String> {
    let wanted = "not an address to listen on, wanted an IP address and a port such as 127.0.0.1:7400";
    text.parse().map_err(|_| wanted.to_owned())
}

/// Checks an address that an IPFS node listens on: an IP address and a port of TCP, QUIC (`/udp/<port>/quic-v1`) or
/// plain WebSocket (`/tcp/<port>/ws`).
pub fn check_listen(text: &str) -> Result<(), String> {
    const WANTED: &str = "not an address to listen on, wanted one such as /ip4/0.0.0.0/tcp/4401, \
                          /ip6/::/udp/4401/quic-v1 or /ip4/127.0.0.1/tcp/4402/ws";
    match parts_of(text).as_slice() {
        [kind @ ("ip4" | "ip6"), address, "tcp", port]
        | [kind @ ("ip4" | "ip6"), address, "tcp", port, "ws"]
        | [kind @ ("ip4" | "ip6"), address, "udp", port, "quic-v1"]
            if is_ip(kind, address) && port.parse::<u16>().is_ok() =>
        {
            Ok(())
        }
        _ => Err(WANTED.to_owned()),
    }
}

/// Checks an address that clients are to dial: an IP address or a DNS name with a port of TCP, QUIC or WebSocket (within
/// TLS too, as behind a proxy), or a `/dnsaddr` name, which lists addresses itself. A `/p2p/<peer id>` may follow.
pub fn check_announce(text: &str) -> Result<(), String> {
    const WANTED: &str = "not an address that clients can dial, wanted one such as /dns4/pins.example.net/tcp/4401";
    let parts = parts_of(text);
    let address = match parts.as_slice() {
        [address @ .., "p2p", _peer] => address,
        address => address,
    };
    if let ["dnsaddr", name] = address {
        return if is_name(name) { Ok(()) } else { Err(WANTED.to_owned()) };
    }
    match address {
        [kind @ ("ip4" | "ip6"), ip, transport @ ..] if is_ip(kind, ip) && is_dialled(transport) => {
            let unspecified = ip.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_unspecified());
            if unspecified {
                Err("the address of every interface, which nobody can dial: name one of them".to_owned())
            } else {
                Ok(())
            }
        }
        ["dns" | "dns4" | "dns6", name, transport @ ..] if is_name(name) && is_dialled(transport) => Ok(()),
        _ => Err(WANTED.to_owned()),
    }
}

/// Checks the address of a server through which a node enters the DHT, which ends in `/p2p/<peer id>`; or [`NONE`].
pub fn check_bootstrap(text: &str) -> Result<(), String> {
    if text == NONE { Ok(()) } else { Multiaddr::parse(text).map(drop).map_err(|error| error.to_string()) }
}

/// Checks the URL of a service that speaks `/routing/v1`; or [`NONE`].
pub fn check_router(text: &str) -> Result<(), String> {
    let rest = ["https://", "http://"].into_iter().find_map(|scheme| text.strip_prefix(scheme));
    let is_url = rest.is_some_and(|rest| {
        !rest.is_empty()
            && !rest.starts_with(['/', ':'])
            && !rest.contains(['?', '#'])
            && !rest.contains(char::is_whitespace)
    });
    if text == NONE || is_url {
        Ok(())
    } else {
        Err("not the URL of a router, wanted one such as https://delegated-ipfs.dev, without a query".to_owned())
    }
}

/// Reads a path such as `/psa` under which the API is found as well.
pub fn parse_base_path(text: &str) -> Result<String, String> {
    let plain = |character: char| character.is_ascii_alphanumeric() || "/-._~".contains(character);
    let parts = text.split('/').filter(|part| !part.is_empty()).collect::<Vec<_>>();
    if !text.chars().all(plain) || parts.iter().any(|part| matches!(*part, "." | "..")) {
        return Err("not a path, wanted one of letters, digits and -._~ such as /psa".to_owned());
    }
    if parts.first().is_some_and(|first| OWN_PATHS.contains(first)) {
        return Err("hides a path of the API itself, wanted one such as /psa".to_owned());
    }
    Ok(text.to_owned())
}

/// The parts of a multiaddr; none if it does not begin with a slash.
fn parts_of(text: &str) -> Vec<&str> {
    text.strip_prefix('/').map(|rest| rest.split('/').collect()).unwrap_or_default()
}

fn is_ip(kind: &str, text: &str) -> bool {
    match text.parse() {
        Ok(IpAddr::V4(_)) => kind == "ip4",
        Ok(IpAddr::V6(_)) => kind == "ip6",
        Err(_) => false,
    }
}

/// Whether nodes and browsers dial this, which follows the host.
fn is_dialled(transport: &[&str]) -> bool {
    match transport {
        ["tcp", port, rest @ ..] => is_port(port) && matches!(rest, [] | ["ws" | "wss"] | ["tls", "ws"]),
        ["udp", port, "quic-v1"] => is_port(port),
        _ => false,
    }
}

/// Whether a port can be dialled: 0 stands for any.
fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|port| port != 0)
}

fn is_name(text: &str) -> bool {
    let is_label =
        |label: &str| !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    text.len() <= 253 && text.trim_end_matches('.').split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(check: fn(&str) -> Result<(), String>, right: &[&str], wrong: &[&str]) {
        for text in right {
            assert_eq!(check(text), Ok(()), "{text}");
        }
        for text in wrong {
            assert!(check(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_node_listens_on_ip_addresses_with_ports() {
        let right = [
            "/ip4/0.0.0.0/tcp/4401",
            "/ip6/::/tcp/4401",
            "/ip4/127.0.0.1/tcp/0",
            "/ip4/0.0.0.0/udp/4401/quic-v1",
            "/ip4/127.0.0.1/tcp/4402/ws",
        ];
        let wrong = [
            "/ip4/0.0.0.0",
            "/ip4/::/tcp/1",
            "/ip6/1.2.3.4/tcp/1",
            "/ip4/1.2.3.4/tcp/65536",
            "/dns4/a.example/tcp/1",
            "/ip4/1.2.3.4/udp/1",
            "/ip4/1.2.3.4/udp/1/quic",
            "/ip4/1.2.3.4/tcp/1/tls/ws",
            "/ip4/1.2.3.4/tcp/1/p2p/QmPeer",
            "0.0.0.0:4401",
            "",
        ];
        judge(check_listen, &right, &wrong);
    }

    #[test]
    fn what_is_announced_can_be_dialled() {
        let right = [
            "/ip4/203.0.113.142/tcp/4401",
            "/ip6/2001:db8::1/tcp/4401",
            "/dns4/pins.example.net/tcp/4401",
            "/dns/pins.example.net/tcp/4401/p2p/QmPeer",
            "/dnsaddr/pins.example.net",
            "/ip4/203.0.113.142/udp/4401/quic-v1",
            "/dns4/pins.example.net/tcp/443/tls/ws",
            "/dns4/pins.example.net/tcp/443/wss/p2p/QmPeer",
        ];
        let wrong = [
            "/ip4/0.0.0.0/tcp/4401",
            "/ip6/::/tcp/4401",
            "/ip6/::ffff:0.0.0.0/tcp/4401",
            "/ip4/203.0.113.142",
            "/ip4/203.0.113.142/tcp/0",
            "/ip4/203.0.113.142/udp/4401",
            "/dns4/pins.example.net/tcp/443/http",
            "/dns4/pins.example.net",
            "/dns4/pins.example.net/udp/4401",
            "/dns4/pins.example.net/tcp/443/tls",
            "/dns4//tcp/4401",
            "/dns4/pins example/tcp/4401",
            "/ip4/8.8.8.8/ip4/127.0.0.1/tcp/4401",
        ];
        judge(check_announce, &right, &wrong);
    }

    #[test]
    fn whom_a_node_asks_is_named_by_address_or_url() {
        let peer = "/p2p/12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8";
        let right = ["none", &format!("/ip4/192.0.2.1/tcp/4001{peer}"), &format!("/dnsaddr/bootstrap.example{peer}")];
        judge(check_bootstrap, &right, &["", "None", "/ip4/192.0.2.1/tcp/4001", "192.0.2.1:4001"]);
        let right = ["none", "https://delegated-ipfs.dev", "http://10.0.0.1:8190/base/", "https://[2001:db8::1]:8190"];
        let wrong =
            ["", "delegated-ipfs.dev", "ftp://a.example", "https://", "https:///routing/v1", "https://a.example/?b"];
        judge(check_router, &right, &wrong);
    }

    #[test]
    fn a_base_path_hides_nothing_of_the_api() {
        let wrong = ["/pins", "pins/", "/docs/x", "/health", "/psa?x", "/a b", "/a/../b", "/%70ins", "/psa#"];
        judge(
            |text| parse_base_path(text).map(drop),
            &["", "/", "/psa", "psa/", "/services/psa.v1", "/psa/pins"],
            &wrong,
        );
    }
}
