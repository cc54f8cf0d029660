//! Which texts are addresses of a peer, and which of them the public internet reaches.

use pinrail_spec::{Multiaddr, MultiaddrError, Pin};

const PEER: &str = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N";

fn parse(start: &str) -> Result<Multiaddr, MultiaddrError> {
    Multiaddr::parse(&format!("{start}/p2p/{PEER}"))
}

#[test]
fn addresses_end_in_their_peer() {
    for start in ["/ip4/1.2.3.4/tcp/1", "/dnsaddr/example.com", "/ip6/::1/udp/4001/quic-v1", "", "/future/x/y"] {
        assert!(parse(start).is_ok(), "{start}");
    }
    assert!(Multiaddr::parse("/ip4/1.2.3.4/tcp/1/ipfs/12D3KooWGzxzKZYveHXtpG6AsrUJBcWxHBFS2HsEoGTxrMLvKXtf").is_ok());
    for no_peer in ["/ip4/1.2.3.4/tcp/1", "/ip4/1.2.3.4", "/p2p/a-b", &format!("/p2p/{PEER}/p2p-circuit")] {
        assert_eq!(Multiaddr::parse(no_peer), Err(MultiaddrError::NoPeer), "{no_peer}");
    }
    for malformed in
        ["", "/", "//", "/p2p", "ip4/1.2.3.4", "/ip4//tcp/1/p2p/Qm", "/a b/p2p/Qm", "/x/p2p/Qm\n", "/x/p2p/"]
    {
        assert_eq!(Multiaddr::parse(malformed), Err(MultiaddrError::Malformed), "{malformed:?}");
    }
    for start in
        ["/ip4/1.2.3/tcp/1", "/ip4/::1/tcp/1", "/ip6/1.2.3.4/tcp/1", "/ip4/1.2.3.4/tcp/65536", "/ip4/999.1.1.1"]
    {
        assert_eq!(parse(start), Err(MultiaddrError::Malformed), "{start}");
    }
    assert_eq!(parse(&format!("/dns4/{}", "a".repeat(1024))), Err(MultiaddrError::Malformed));
}

#[test]
fn an_address_that_nobody_can_dial_is_known() {
    for (start, is_so) in [
        ("/ip4/0.0.0.0/tcp/4001", true),
        ("/ip6/::/udp/4001/quic-v1", true),
        ("/ip6/::ffff:0.0.0.0/tcp/1", true),
        ("/ip4/0.0.0.1/tcp/1", false),
        ("/ip6/::1/tcp/1", false),
        ("/dns4/localhost/tcp/1", false),
        ("", false),
    ] {
        assert_eq!(parse(start).unwrap().is_unspecified(), is_so, "{start}");
    }
}

#[test]
fn what_is_not_routed_publicly_is_known() {
    for public in [
        "/ip4/8.8.8.8/tcp/4001",
        "/ip4/172.32.0.1/udp/4001/quic-v1",
        "/ip4/100.128.0.1/tcp/1",
        "/ip6/2a00:1450::1/tcp/1",
        "/ip6/2002:808:808::1/tcp/1",
        "/dns4/example.com/tcp/443/wss",
        "/dnsaddr/bootstrap.libp2p.io",
        "/ip6/::ffff:8.8.8.8/tcp/1",
        "/ip6/64:ff9b::808:808/tcp/1",
        "/ip4/8.8.8.8/tcp/1/p2p/QmRelay/p2p-circuit",
    ] {
        assert!(parse(public).unwrap().is_public(), "{public}");
    }
    for private in [
        "/ip4/127.0.0.1/tcp/1",
        "/ip4/10.0.0.1/tcp/1",
        "/ip4/172.16.0.1/tcp/1",
        "/ip4/192.168.0.1/tcp/1",
        "/ip4/169.254.169.254/tcp/80",
        "/ip4/100.64.0.1/tcp/1",
        "/ip4/192.0.0.1/tcp/1",
        "/ip4/192.0.2.1/tcp/1",
        "/ip4/198.18.0.1/tcp/1",
        "/ip4/203.0.113.1/tcp/1",
        "/ip4/224.0.0.1/udp/1",
        "/ip4/255.255.255.255/tcp/1",
        "/ip4/0.0.0.0/tcp/1",
        "/ip6/::1/tcp/1",
        "/ip6/::/tcp/1",
        "/ip6/fe80::1/tcp/1",
        "/ip6/fd00::1/tcp/1",
        "/ip6/::ffff:10.0.0.1/tcp/1",
        "/ip6/2001:db8::1/tcp/1",
        "/ip6/2002:a00:1::1/tcp/1",
        "/ip6/64:ff9b::a00:1/tcp/1",
        "/ip6/64:ff9b:1::808:808/tcp/1",
        "/ip6/2001::808:808/tcp/1",
        "/ip6/2001:2::1/tcp/1",
        "/ip6/2001:20::1/tcp/1",
        "/ip6/3fff::1/tcp/1",
        "/ip6/fec0::1/tcp/1",
        "/ip6/ff02::1/tcp/1",
        "/ip4/0.1.2.3/tcp/1",
        "/ip4/192.88.99.1/tcp/1",
        "/ip4/240.0.0.1/tcp/1",
        "/ip4/8.8.8.8/ip4/127.0.0.1/tcp/1",
        "/ip4/8.8.8.8/ip6/::1/tcp/1",
        "/ip4/8.8.8.8/tcp/1/ip4/10.0.0.1/tcp/1",
        "/dns4/example.com/ip4/127.0.0.1/tcp/1",
        "/ip4/8.8.8.8/dnsaddr/example.com",
        "/tcp/1/ip4/8.8.8.8",
        "/ip6zone/eth0/ip6/fe80::1/tcp/1",
        "/dns/localhost/tcp/1",
        "/dns4/LOCALHOST/tcp/1",
        "/dns4/printer.local/tcp/1",
        "/dns4/db.internal/tcp/1",
        "/dns4/intranet/tcp/1",
        "/unix/x",
        "",
    ] {
        assert!(!parse(private).unwrap().is_public(), "{private}");
    }
}

#[test]
fn a_peer_alone_is_an_origin_whose_addresses_are_to_be_found() {
    let body = format!(
        r#"{{"cid": "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy",
            "origins": ["/p2p/{PEER}", "/ip4/10.0.0.1/tcp/1/p2p/{PEER}", "/unix/x/p2p/{PEER}"]}}"#
    );
    let pin = Pin::parse(body.as_bytes(), false).expect("a pin");
    assert_eq!(pin.origins, [parse("").unwrap()]);
}
