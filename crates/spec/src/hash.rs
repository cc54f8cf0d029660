//! The hash functions of CIDs: what they are called, and which of them content can be checked with.

use crate::multicodec::IDENTITY;

/// The shortest truncated digest that other nodes accept.
const MIN_DIGEST_BYTES: u8 = 20;

/// The name of a multihash code in the multicodec table, for those that are met in the field.
const fn hash_name(code: u64) -> Option<&'static str> {
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

/// How many bytes a whole digest has, of the functions that content is checked with.
const fn whole_digest(code: u64) -> Option<u8> {
    Some(match code {
        0x13 | 0x14 => 64,
        0x15 => 48,
        0x12 | 0x16 | 0x1e | 0xb220 => 32,
        0x17 => 28,
        _ => return None,
    })
}

/// Whether content can be checked with a digest of `size` bytes of this function; else what it is.
///
/// It is the policy of the whole service: what is refused here could only fail later.
pub fn check_hash(code: u64, size: u8) -> Result<(), String> {
    if code == IDENTITY {
        return Ok(());
    }
    let name = || hash_name(code).map_or_else(|| format!("multihash {code:#x}"), str::to_owned);
    match whole_digest(code) {
        None => Err(name()),
        Some(whole) if (MIN_DIGEST_BYTES..=whole).contains(&size) => Ok(()),
        Some(_) => Err(format!("{} with a digest of {size} bytes", name())),
    }
}
