//! Which texts are CIDs that can be pinned, and what each other one is told.

use pinrail_spec::{Cid, CidError, Reason};

fn multihash(code: u64, digest: &[u8]) -> multihash::Multihash<64> {
    multihash::Multihash::wrap(code, digest).unwrap()
}

fn sample() -> cid::Cid {
    cid::Cid::new_v1(0x70, multihash(0x12, &[7; 32]))
}

/// A binary CIDv1 of codec raw with an identity digest of `length` bytes, which `cid::Cid` may be too small for.
fn identity(length: u8) -> Vec<u8> {
    let varint = if length < 128 { vec![length] } else { vec![length, 1] };
    [vec![1, 0x55, 0], varint, vec![9; length.into()]].concat()
}

fn base32(bytes: &[u8]) -> String {
    multibase::encode(multibase::Base::Base32Lower, bytes)
}

#[test]
fn every_base_that_go_reads_is_read_and_kept_as_text() {
    for code in "0fFbBcCvVtTkKzZmMuU\u{1F680}".chars() {
        let base = multibase::Base::from_code(code).unwrap();
        let text = sample().to_string_of_base(base).unwrap();
        let cid = Cid::parse(&text).unwrap();
        assert_eq!((cid.as_str(), cid.inner()), (text.as_str(), &sample()), "{base:?}");
        assert_eq!(cid.to_v1_base32(), sample().to_string());
    }
}

#[test]
fn case_does_not_matter_where_it_does_not_for_go() {
    for base in [multibase::Base::Base16Lower, multibase::Base::Base32Lower, multibase::Base::Base36Lower] {
        let text = sample().to_string_of_base(base).unwrap();
        let mixed = format!("{}{}", &text[..1], text[1..].to_ascii_uppercase());
        assert_eq!(Cid::parse(&mixed).unwrap().inner(), &sample(), "{mixed}");
    }
    let base58 = sample().to_string_of_base(multibase::Base::Base58Btc).unwrap();
    assert!(Cid::parse(&base58.to_ascii_lowercase()).is_err());
}

#[test]
fn bases_that_go_does_not_read_are_refused_but_filter() {
    for code in ['7', '9', 'h', 'R'] {
        let text = sample().to_string_of_base(multibase::Base::from_code(code).unwrap()).unwrap();
        assert_eq!(Cid::parse(&text), Err(CidError::UnsupportedBase(code)));
        assert_eq!(Cid::parse_any_codec(&text).unwrap(), (&sample()).into());
    }
}

#[test]
fn version_0_is_read_and_is_the_same_root_as_its_version_1() {
    let v0 = cid::Cid::new_v0(multihash(0x12, &[7; 32])).unwrap().to_string();
    let cid = Cid::parse(&v0).unwrap();
    assert_eq!(cid.as_str(), v0);
    assert_eq!(cid.root(), Cid::parse(&sample().to_string()).unwrap().root());
    for byte in [7, 67, 200] {
        let multihash = multihash(0x12, &[byte; 32]).to_bytes();
        let in_a_multibase = multibase::encode(multibase::Base::Base58Btc, multihash);
        assert_eq!(Cid::parse(&in_a_multibase), Err(CidError::Malformed), "{in_a_multibase}");
    }
}

#[test]
fn what_is_too_long_is_told_so() {
    assert!(Cid::parse(&base32(&identity(64))).unwrap().is_whole());
    assert_eq!(Cid::parse(&base32(&identity(65))), Err(CidError::DigestTooLong(65)));
    assert_eq!(Cid::parse(&base32(&identity(128))), Err(CidError::DigestTooLong(128)));
    assert_eq!(Cid::parse(&base32(&identity(200))), Err(CidError::TooLong(205)));
    assert_eq!(Cid::parse(&"b".repeat(60_000)), Err(CidError::TooLong(60_000)));
}

#[test]
fn what_is_no_cid_is_told_so() {
    let bytes = sample().to_bytes();
    let trailing = base32(&[bytes.as_slice(), &[0]].concat());
    let cut = base32(&bytes[..bytes.len() - 1]);
    let version_2 = base32(&[&[2], &bytes[1..]].concat());
    let long_varint = base32(&[&[0x81, 0], &bytes[1..]].concat());
    let cut_v0 = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5";
    for text in [
        "",
        "b",
        "z",
        "Qm",
        "abc",
        "notAValidCID",
        "hello",
        "70",
        "\0",
        "é",
        &trailing,
        &cut,
        &version_2,
        &long_varint,
        cut_v0,
    ] {
        assert_eq!(Cid::parse(text), Err(CidError::Malformed), "{text:?}");
    }
}

#[test]
fn a_root_that_nobody_here_could_check_is_known_by_its_hash() {
    let root = |code, digest: &[u8]| Cid::parse(&cid::Cid::new_v1(0x55, multihash(code, digest)).to_string()).unwrap();
    for (code, length) in [(0x12, 32), (0x12, 20), (0x13, 64), (0x16, 32), (0x1e, 32), (0xb220, 32), (0x00, 3)] {
        assert_eq!(root(code, &vec![7; length]).check_hash(), Ok(()), "{code:#x} with {length} bytes");
    }
    for (code, length, name) in
        [(0x11, 20, "sha1"), (0x12, 19, "sha2-256 with a digest of 19 bytes"), (0x7777, 32, "multihash 0x7777")]
    {
        let refused = root(code, &vec![7; length]).check_hash().unwrap_err();
        assert_eq!(refused, CidError::UnsupportedHash(name.to_owned()));
        assert_eq!(refused.reason(), Reason::UnsupportedCid);
        let told = refused.to_string();
        assert!(
            told.contains(name) && told.contains("wanted sha2-256, sha2-512, sha3, blake2b-256 or blake3"),
            "{told}"
        );
    }
}

#[test]
fn each_error_has_its_reason() {
    let with_codec = |codec| Cid::parse(&cid::Cid::new_v1(codec, multihash(0x12, &[7; 32])).to_string());
    for (result, reason) in [
        (with_codec(0x72), Reason::IpnsNotSupported),
        (with_codec(72), Reason::UnsupportedCodec),
        (with_codec(0x51), Reason::UnsupportedCodec),
        (Cid::parse(&sample().to_string_of_base(multibase::Base::Base10).unwrap()), Reason::UnsupportedCid),
        (Cid::parse(&base32(&identity(65))), Reason::UnsupportedCid),
        (Cid::parse(&base32(&identity(200))), Reason::UnsupportedCid),
        (Cid::parse("nothing"), Reason::BadRequest),
    ] {
        assert_eq!(result.unwrap_err().reason(), reason);
    }
}
