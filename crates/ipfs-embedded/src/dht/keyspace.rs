//! The keyspace: keys and their distances, prefixes and preimages of them, and what an answer covers; pure.

use std::fmt;

use sha2::{Digest, Sha256};

/// The longest prefix that a preimage is sought for: 16 million hashes on average, some seconds.
const MAX_PREFIX_BITS: u32 = 24;

/// A point of the keyspace: the SHA-256 of a peer id's or a multihash's bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key([u8; 32]);

/// How far two keys are from each other: their bits by XOR, as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Distance([u8; 32]);

impl Key {
    /// The key of these bytes.
    pub fn of(preimage: &[u8]) -> Self {
        Self(Sha256::digest(preimage).into())
    }

    /// The distance between two keys.
    pub fn distance(&self, other: &Self) -> Distance {
        let mut bytes = self.0;
        bytes.iter_mut().zip(other.0).for_each(|(byte, other)| *byte ^= other);
        Distance(bytes)
    }

    /// The length of the longest prefix of both, in bits: 256 if they are equal.
    pub fn common_bits(&self, other: &Self) -> u32 {
        let distance = self.distance(other).0;
        let zeros = distance.iter().take_while(|byte| **byte == 0).count();
        let rest = distance.get(zeros).map_or(0, |byte| byte.leading_zeros());
        u32::try_from(zeros * 8).unwrap_or_default() + rest
    }

    /// The key with one bit flipped, counted from the first; the same key if it has no such bit.
    pub fn flip(mut self, bit: u32) -> Self {
        if let Some(byte) = usize::try_from(bit / 8).ok().and_then(|index| self.0.get_mut(index)) {
            *byte ^= 0x80 >> (bit % 8);
        }
        self
    }

    fn head(&self) -> u64 {
        self.0[..8].iter().fold(0, |head, byte| head << 8 | u64::from(*byte))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}..", self.head())
    }
}

/// A part of the keyspace: all keys that begin with these bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    /// The bits, the first one highest, zeros after the last.
    bits: u64,
    length: u32,
}

impl Prefix {
    /// The whole keyspace.
    pub const ALL: Self = Self { bits: 0, length: 0 };

    /// The first `length` bits of a key, at most 64.
    pub fn of(key: &Key, length: u32) -> Self {
        Self { bits: key.head(), length: length.min(64) }.cut()
    }

    /// How many bits it has.
    pub fn length(&self) -> u32 {
        self.length
    }

    /// Its place among the parts of its length.
    pub fn index(&self) -> u64 {
        self.bits.checked_shr(64 - self.length).unwrap_or_default()
    }

    /// Whether the key is in this part.
    pub fn contains_key(&self, key: &Key) -> bool {
        Self::of(key, self.length) == *self
    }

    /// Whether the other part lies within this one, or is the same.
    pub fn contains(&self, other: &Self) -> bool {
        self.length <= other.length && Self { bits: other.bits, ..*self }.cut() == *self
    }

    /// All parts of this length, in their order.
    pub fn all(length: u32) -> Vec<Self> {
        (0..length).fold(vec![Self::ALL], |parts, _| parts.iter().flat_map(Self::halves).collect())
    }

    /// The two halves.
    pub fn halves(&self) -> [Self; 2] {
        let length = self.length + 1;
        [0, 1_u64 << (64 - length)].map(|bit| Self { bits: self.bits | bit, length })
    }

    /// The part that this is a half of; the whole is its own.
    pub fn parent(&self) -> Self {
        Self { length: self.length.saturating_sub(1), ..*self }.cut()
    }

    /// Bytes whose key is in this part: `FIND_NODE` carries a preimage, not a key. It takes 2^length hashes on average
    /// (20 us at 9 bits, 20 ms at 16); none for a prefix of more than 24 bits. Another `salt` gives other bytes.
    pub fn preimage(&self, salt: u64) -> Option<Vec<u8>> {
        if self.length > MAX_PREFIX_BITS {
            return None;
        }
        // In the shape of an Ed25519 peer id, since a server may refuse to look for what is none.
        let candidate = |count: u64| {
            let (head, padding) = ([0, 36, 8, 1, 0x12, 32], [0; 16]);
            [&head[..], &padding, &salt.to_be_bytes(), &count.to_be_bytes()].concat()
        };
        (0..u64::MAX).map(candidate).find(|bytes| self.contains_key(&Key::of(bytes)))
    }

    /// Sets the bits after the last to zero.
    fn cut(self) -> Self {
        let mask = u64::MAX.checked_shl(64 - self.length).unwrap_or_default();
        Self { bits: self.bits & mask, ..self }
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        (0..self.length).try_for_each(|index| write!(formatter, "{}", self.bits >> (63 - index) & 1))
    }
}

/// The largest part around `target` of which all servers are among `closest`, the servers that are closest to it: all
/// that share one bit more with it than the one that shares the fewest. The whole keyspace if there are fewer than `k`,
/// for then there are no others.
pub fn covered(target: &Key, closest: &[Key], k: usize) -> Prefix {
    match closest.iter().map(|key| key.common_bits(target)).min() {
        Some(least) if closest.len() >= k => Prefix::of(target, least + 1),
        _ => Prefix::ALL,
    }
}

/// The `k` of `servers` that are closest to `key`, by their index, in no order.
pub fn closest(key: &Key, servers: &[Key], k: usize) -> Vec<usize> {
    let mut order = (0..servers.len()).collect::<Vec<_>>();
    if k < order.len() {
        order.select_nth_unstable_by_key(k, |index| servers[*index].distance(key));
        order.truncate(k);
    }
    order
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> impl Strategy<Value = Key> {
        any::<[u8; 32]>().prop_map(Key)
    }

    fn prefix() -> impl Strategy<Value = Prefix> {
        (key(), 0..64_u32).prop_map(|(key, length)| Prefix::of(&key, length))
    }

    proptest! {
        #[test]
        fn the_nearer_shares_at_least_as_many_bits(target in key(), one in key(), other in key()) {
            if one.distance(&target) < other.distance(&target) {
                prop_assert!(one.common_bits(&target) >= other.common_bits(&target));
            }
            prop_assert_eq!(one.common_bits(&one), 256);
            prop_assert_eq!(one.distance(&other), other.distance(&one));
        }

        #[test]
        fn a_part_is_the_sum_of_its_halves(part in prefix(), key in key()) {
            let [left, right] = part.halves();
            prop_assert!(part.contains(&left) && part.contains(&right) && !left.contains(&part));
            prop_assert_eq!((left.parent(), right.parent()), (part, part));
            let held = usize::from(left.contains_key(&key)) + usize::from(right.contains_key(&key));
            prop_assert_eq!(held, usize::from(part.contains_key(&key)));
        }

        #[test]
        fn a_preimage_has_the_prefix(key in key(), length in 0..12_u32, salt: u64) {
            let prefix = Prefix::of(&key, length);
            let preimage = prefix.preimage(salt).expect("it is short");
            prop_assert!(prefix.contains_key(&Key::of(&preimage)));
            prop_assert_ne!(preimage, prefix.preimage(salt ^ 1).expect("it is short"));
            prop_assert!(libp2p::PeerId::from_bytes(&prefix.preimage(salt).expect("it is short")).is_ok());
        }

        /// Whatever servers exist, none of those that a covered part claims to know is missing.
        #[test]
        fn what_is_covered_is_known_whole(target in key(), seeds in prop::collection::vec(any::<u16>(), 0..200)) {
            let servers = seeds.iter().map(|seed| Key::of(&seed.to_be_bytes())).collect::<Vec<_>>();
            let near = closest(&target, &servers, 20).iter().map(|index| servers[*index]).collect::<Vec<_>>();
            let part = covered(&target, &near, 20);
            prop_assert!(part.contains_key(&target));
            prop_assert!(servers.iter().all(|server| !part.contains_key(server) || near.contains(server)));
        }

        #[test]
        fn the_closest_are_those_of_the_whole_sorted(target in key(), seeds in prop::collection::hash_set(any::<u16>(), 0..60)) {
            let mut servers = seeds.iter().map(|seed| Key::of(&seed.to_be_bytes())).collect::<Vec<_>>();
            let mut near = closest(&target, &servers, 20).iter().map(|index| servers[*index]).collect::<Vec<_>>();
            near.sort_by_key(|key| key.distance(&target));
            servers.sort_by_key(|key| key.distance(&target));
            servers.truncate(20);
            prop_assert_eq!(near, servers);
        }
    }

    #[test]
    fn a_preimage_of_a_long_prefix_is_not_sought() {
        assert_eq!(Prefix::of(&Key::of(b"far"), 25).preimage(0), None);
    }
}
