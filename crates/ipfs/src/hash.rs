//! The hash functions that blocks are held against.

use cid::multihash::Multihash;
use multihash_codetable::{Code, MultihashDigest};
use pinrail_spec::check_hash;
use pinrail_spec::multicodec::IDENTITY;

/// The multihash of `bytes` with the function `code`, cut to `size` bytes; none if we do not have the function.
pub fn hash(code: u64, size: usize, bytes: &[u8]) -> Option<Multihash<64>> {
    check_hash(code, u8::try_from(size).ok()?).ok()?;
    let whole = Code::try_from(code).ok()?.digest(bytes);
    Multihash::wrap(code, whole.digest().get(..size)?).ok()
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
    check_hash(multihash.code(), multihash.size())
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
            let size = usize::from(Code::try_from(code).expect("promised").digest(b"").size());
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
