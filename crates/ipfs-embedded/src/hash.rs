//! The hash functions that blocks are held against.

use libp2p::multihash::Multihash;
use multihash_codetable::{Code, MultihashDigest};

/// The multihash code of `identity`, whose digest is the content itself.
pub const IDENTITY: u64 = 0x00;

/// The shortest truncated digest that other nodes accept.
const MIN_DIGEST_BYTES: usize = 20;

/// The multihash of `bytes` with the function `code`, cut to `size` bytes; none if we do not have the function.
pub fn hash(code: u64, size: usize, bytes: &[u8]) -> Option<Multihash<64>> {
    let whole = supported(code)?.digest(bytes);
    let digest = whole.digest();
    match size {
        size if size == digest.len() => Some(whole),
        size if (MIN_DIGEST_BYTES..digest.len()).contains(&size) => Multihash::wrap(code, &digest[..size]).ok(),
        _ => None,
    }
}

/// Whether `bytes` are what `multihash` names; not if we do not have its function.
pub fn matches(multihash: &Multihash<64>, bytes: &[u8]) -> bool {
    if multihash.code() == IDENTITY {
        return multihash.digest() == bytes;
    }
    hash(multihash.code(), multihash.size().into(), bytes).as_ref() == Some(multihash)
}

/// Whether a block under this multihash can be checked; else the name of what we lack.
pub fn check_supported(multihash: &Multihash<64>) -> Result<(), String> {
    pinrail_spec::check_hash(multihash.code(), multihash.size())
}

fn supported(code: u64) -> Option<Code> {
    let function = Code::try_from(code).ok()?;
    matches!(
        function,
        Code::Sha2_256
            | Code::Sha2_512
            | Code::Sha3_224
            | Code::Sha3_256
            | Code::Sha3_384
            | Code::Sha3_512
            | Code::Blake2b256
            | Code::Blake3_256
    )
    .then_some(function)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_truncated_digest_is_the_head_of_the_whole_one() {
        let whole = hash(0x12, 32, b"block").expect("sha2-256");
        let cut = hash(0x12, 20, b"block").expect("20 bytes are allowed");
        assert_eq!(cut.digest(), &whole.digest()[..20]);
        assert_eq!(hash(0x12, 19, b"block"), None);
        assert_eq!(hash(0x12, 33, b"block"), None);
    }

    #[test]
    fn bytes_are_held_against_their_name() {
        let name = hash(0x12, 32, b"block").expect("sha2-256");
        assert!(matches(&name, b"block") && !matches(&name, b"black"));
        let inline = Multihash::wrap(IDENTITY, b"block").expect("5 bytes fit");
        assert!(matches(&inline, b"block") && !matches(&inline, b"black"));
        let lacked = Multihash::wrap(0xd5, &[1; 16]).expect("16 bytes fit");
        assert!(!matches(&lacked, b"block"));
    }

    #[test]
    fn what_we_lack_is_named() {
        for (code, name) in [(0x11, "sha1"), (0xd5, "md5"), (0x1b, "keccak-256"), (0x7777, "multihash 0x7777")] {
            let multihash = Multihash::wrap(code, &[1; 32]).expect("32 bytes fit");
            assert_eq!(check_supported(&multihash), Err(name.to_owned()));
        }
    }

    #[test]
    fn each_promised_function_is_there() {
        for code in [0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0xb220, 0x1e] {
            let size = usize::from(supported(code).expect("promised").digest(b"").size());
            let multihash = hash(code, size, b"content").expect("promised");
            assert_eq!(check_supported(&multihash), Ok(()));
            assert_ne!(hash(code, size, b"other"), Some(multihash));
        }
    }

    #[test]
    fn what_is_accepted_as_a_root_is_what_can_be_checked() {
        for code in (0x10..0x1100).chain([0xb220, 0xb240, 0xb260, 0xb401]) {
            for size in [1, 19, 20, 28, 32, 33, 48, 64] {
                let multihash = Multihash::wrap(code, &vec![1; size]).expect("at most 64 bytes");
                let can = hash(code, size, b"content").is_some();
                assert_eq!(check_supported(&multihash).is_ok(), can, "{code:#x} with {size} bytes");
            }
        }
    }
}
