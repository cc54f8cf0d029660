//! IP addresses that the public internet routes, by IANA's registries of special-purpose addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Ranges of IPv4 that are not publicly routable, each with the length of its prefix.
const SPECIAL_IPV4: [(Ipv4Addr, u32); 15] = [
    (Ipv4Addr::UNSPECIFIED, 8),           // this network
    (Ipv4Addr::new(10, 0, 0, 0), 8),      // private
    (Ipv4Addr::new(100, 64, 0, 0), 10),   // shared by a provider's customers
    (Ipv4Addr::new(127, 0, 0, 0), 8),     // loopback
    (Ipv4Addr::new(169, 254, 0, 0), 16),  // link-local
    (Ipv4Addr::new(172, 16, 0, 0), 12),   // private
    (Ipv4Addr::new(192, 0, 0, 0), 24),    // protocol assignments
    (Ipv4Addr::new(192, 0, 2, 0), 24),    // documentation
    (Ipv4Addr::new(192, 88, 99, 0), 24),  // 6to4 relays
    (Ipv4Addr::new(192, 168, 0, 0), 16),  // private
    (Ipv4Addr::new(198, 18, 0, 0), 15),   // benchmarks
    (Ipv4Addr::new(198, 51, 100, 0), 24), // documentation
    (Ipv4Addr::new(203, 0, 113, 0), 24),  // documentation
    (Ipv4Addr::new(224, 0, 0, 0), 4),     // multicast
    (Ipv4Addr::new(240, 0, 0, 0), 4),     // class E and broadcast
];

/// Ranges within `2000::/3`, all that is routed of IPv6, that are not.
const SPECIAL_IPV6: [(Ipv6Addr, u32); 3] = [
    // Protocol assignments: Teredo, benchmarks (2001:2::/48), ORCHID (2001:10::/28) and ORCHIDv2 (2001:20::/28).
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0x0db8, 0, 0, 0, 0, 0, 0), 32), // documentation
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),      // documentation
];

/// Returns whether `address` is publicly routable. One that carries an IPv4 address is judged by that.
pub fn is_public_ip(address: IpAddr) -> bool {
    match without_wrapping(address) {
        IpAddr::V4(v4) => {
            !SPECIAL_IPV4.iter().any(|(net, length)| (v4.to_bits() ^ net.to_bits()).leading_zeros() >= *length)
        }
        IpAddr::V6(v6) => {
            let is_special =
                SPECIAL_IPV6.iter().any(|(net, length)| (v6.to_bits() ^ net.to_bits()).leading_zeros() >= *length);
            v6.segments()[0] & 0xe000 == 0x2000 && !is_special
        }
    }
}

/// Returns the IPv4 address that an IPv6 one leads to: mapped, 6to4 or NAT64; any other address as it is.
///
/// Teredo's is obfuscated and its relays are gone, so it stays what it is and is not public.
pub fn without_wrapping(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let [first, second, third, .., seventh, eighth] = v6.segments();
    let is_nat64 = v6.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
    let carried = match first {
        0x2002 => Some((second, third)),
        _ if is_nat64 || v6.to_ipv4_mapped().is_some() => Some((seventh, eighth)),
        _ => None,
    };
    carried.map_or(address, |(high, low)| IpAddr::V4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))))
}
