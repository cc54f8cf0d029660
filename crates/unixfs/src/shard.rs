//! A folder as a tree of shards (a hash array mapped trie), for more entries than one block should hold.

use std::path::Path;

use pinrail_spec::multicodec::DAG_PB;

use crate::UnixFsError;
use crate::file::Added;
use crate::importer::Importer;
use crate::pb::{Link, Node, shard_data};

/// The places of a shard, one for each byte.
const PLACES: usize = 256;

struct Entry {
    /// The first 64 bits of the name's murmur3 (x64, 128 bits). Byte by byte they are the entry's place in the shard
    /// of each level.
    hash: [u8; 8],
    link: Link,
}

/// Store the shards of the folder at `path`, which has these links in any order; the root among them.
///
/// An entry that is alone at its place is a link of its shard, several are a shard of the next level.
pub fn add(importer: &mut Importer<'_>, links: Vec<Link>, path: &Path) -> Result<Added, UnixFsError> {
    let mut entries = links.into_iter().map(|link| Entry { hash: hash(&link.name), link }).collect::<Vec<_>>();
    entries.sort_unstable_by_key(|entry| entry.hash);
    if let Some(pair) = entries.windows(2).find(|pair| pair[0].hash == pair[1].hash) {
        let [one, other] = [0, 1].map(|index| pair[index].link.name.clone());
        return Err(UnixFsError::SameHash { path: path.to_owned(), one, other });
    }
    add_level(importer, &entries, 0)
}

/// Store the shard of entries whose hashes are sorted, differ, and begin with the same `level` bytes.
fn add_level(importer: &mut Importer<'_>, entries: &[Entry], level: usize) -> Result<Added, UnixFsError> {
    let mut links = Vec::new();
    let mut places = [0; PLACES / 8];
    for group in entries.chunk_by(|one, other| one.hash[level] == other.hash[level]) {
        let place = group[0].hash[level];
        // The lowest place is the lowest bit of the last byte.
        places[PLACES / 8 - 1 - usize::from(place / 8)] |= 1 << (place % 8);
        links.push(if let [Entry { link, .. }] = group {
            Link { name: format!("{place:02X}{}", link.name), ..*link }
        } else {
            let shard = add_level(importer, group, level + 1)?;
            Link { cid: shard.cid, name: format!("{place:02X}"), total_size: shard.total_size }
        });
    }
    let inner_size = links.iter().map(|link| link.total_size).sum::<u64>();
    let block = Node { links, data: shard_data(&places) }.encode();
    let total_size = block.len() as u64 + inner_size;
    Ok(Added { cid: importer.put(DAG_PB, block)?, content: 0, total_size })
}

fn hash(name: &str) -> [u8; 8] {
    let hash = murmur3::murmur3_x64_128(&mut name.as_bytes(), 0).expect("reading from memory cannot fail");
    // The first half of the hash is the lower one of the number.
    *hash.to_be_bytes().last_chunk().expect("a hash has 16 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use pinrail_block_store::{BlockStore, StoreOptions};
    use pinrail_spec::multicodec::RAW;

    fn add_names(names: impl Iterator<Item = String>) -> Result<Added, UnixFsError> {
        let folder = tempfile::tempdir().expect("a folder");
        let options = StoreOptions { reserve: 0, ballast: 0, ..StoreOptions::default() };
        let store = BlockStore::open(folder.path(), options).expect("the store opens");
        let mut importer = Importer::begin(&store, 1).expect("it begins");
        let empty = importer.put(RAW, Vec::new()).expect("it is stored");
        let links = names.map(|name| Link { cid: empty, name, total_size: 0 });
        add(&mut importer, links.collect(), Path::new("memory"))
    }

    /// The CIDs and the sizes are those that ipfs-unixfs-importer 17.1.1 yields with Helia's settings for a folder of
    /// empty files whose names are the numbers from 0, its threshold lowered to 0 where that takes it to shard.
    #[test]
    fn shards_of_several_levels_are_those_of_helia() {
        for (count, size, expected) in [
            (1, 64, "bafybeibfqopz6ao6iefqirouzbewczwkyr4apjckzr5j4vyugq2iyioh2m"),
            (300, 21_971, "bafybeict7dnyw4pw46rkecpa7j5k3ngsd5lyqam4c23iayp3fw7jdwf4da"),
            (6_800, 390_212, "bafybeib5zmpjjyjo7amedktwwc7w77j3w54hk5cnwbwckndphvscyuui74"),
            (60_000, 4_299_030, "bafybeiebbsib2c7x7bthw2dagujawfa6kdzuvvu34aj7msyy2je4wbsdrq"),
        ] {
            let added = add_names((0..count).map(|number| number.to_string())).expect("it is stored");
            assert_eq!((added.total_size, added.cid.to_string().as_str()), (size, expected), "{count} files");
        }
    }

    #[test]
    fn names_with_the_same_hash_are_refused() {
        let answer = add_names(["other", "same", "same"].map(str::to_owned).into_iter());
        assert!(matches!(answer, Err(UnixFsError::SameHash { one, .. }) if one == "same"));
    }
}
