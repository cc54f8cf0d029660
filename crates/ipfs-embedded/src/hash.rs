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
    let code = multihash.code();
    if code == IDENTITY {
        return Ok(());
    }
    let Some(function) = supported(code) else {
        return Err(name(code).map_or_else(|| format!("multihash {code:#x}"), str::to_owned));
    };
    let (size, whole) = (usize::from(multihash.size()), function.digest(&[]).size());
    if (MIN_DIGEST_BYTES..=usize::from(whole)).contains(&size) {
        return Ok(());
    }
    Err(format!("{} with a digest of {size} bytes", name(code).unwrap_or("a hash")))
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

/// The name of a multihash code in the multicodec table, for those that are met in the field.
fn name(code: u64) -> Option<&'static str> {
    Some(match code {
        0x11 => "sha1",
        0x12 => "sha2-256",
        0x13 => "sha2-512",
        0x14 => "sha3-512",
        0x15 => "sha3-384",
        0x16 => "sha3-256",
        0x17 => "sha3-224",
        0x18 => "shake-128",
        0x19 => "shake-256",
        0x1a => "keccak-224",
        0x1b => "keccak-256",
        0x1c => "keccak-384",
        0x1d => "keccak-512",
        0x1e => "blake3",
        0x20 => "sha2-384",
        0x22 => "murmur3-x64-64",
        0x56 => "dbl-sha2-256",
        0xd4 => "md4",
        0xd5 => "md5",
        0x1012 => "sha2-256-trunc254-padded",
        0x1013 => "sha2-224",
        0x1053 => "ripemd-160",
        0xb220 => "blake2b-256",
        0xb240 => "blake2b-512",
        0xb260 => "blake2s-256",
        0xb401 => "poseidon-bls12_381-a2-fc1",
        _ => return None,
    })
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
}
