//! A file as a balanced tree of raw leaves.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use cid::Cid;
use pinrail_spec::multicodec::{DAG_PB, RAW};

use crate::UnixFsError;
use crate::importer::Importer;
use crate::pb::{Link, Node, file_data};

/// The length of a leaf, Helia's default.
const CHUNK_BYTES: usize = 1 << 20;
/// The most children of a node, Helia's default.
const MAX_CHILDREN: usize = 1_024;

/// A node that was stored.
#[derive(Debug, Clone, Copy)]
pub struct Added {
    /// Its CID.
    pub cid: Cid,
    /// The bytes of the file that are behind it.
    pub content: u64,
    /// The bytes of all its blocks.
    pub total_size: u64,
}

/// Store a file. One of a single leaf, or an empty one, is that leaf.
pub fn add(importer: &mut Importer<'_>, path: &Path) -> Result<Added, UnixFsError> {
    let file = File::open(path).map_err(UnixFsError::file(path))?;
    add_leaves(importer, file, CHUNK_BYTES, path)
}

fn add_leaves(
    importer: &mut Importer<'_>,
    mut content: impl Read,
    chunk_bytes: usize,
    path: &Path,
) -> Result<Added, UnixFsError> {
    let mut builder = Builder::default();
    loop {
        let mut chunk = Vec::with_capacity(chunk_bytes);
        let limited = content.by_ref().take(chunk_bytes as u64).read_to_end(&mut chunk);
        let read = limited.map_err(UnixFsError::file(path))?;
        if read > 0 || builder.leaves == 0 {
            builder.add_leaf(importer, chunk)?;
        }
        if read < chunk_bytes {
            return builder.finish(importer);
        }
    }
}

/// A tree that is built from its leaves, with only the unfinished node of each level in memory.
#[derive(Default)]
struct Builder {
    levels: Vec<Vec<Added>>,
    leaves: usize,
}

impl Builder {
    fn add_leaf(&mut self, importer: &mut Importer<'_>, chunk: Vec<u8>) -> Result<(), UnixFsError> {
        let size = chunk.len() as u64;
        let cid = importer.put(RAW, chunk)?;
        self.leaves += 1;
        self.add(importer, 0, Added { cid, content: size, total_size: size })
    }

    fn add(&mut self, importer: &mut Importer<'_>, level: usize, node: Added) -> Result<(), UnixFsError> {
        if self.levels.len() == level {
            self.levels.push(Vec::new());
        }
        if self.levels[level].len() == MAX_CHILDREN {
            let parent = join(importer, &std::mem::take(&mut self.levels[level]))?;
            self.add(importer, level + 1, parent)?;
        }
        self.levels[level].push(node);
        Ok(())
    }

    fn finish(mut self, importer: &mut Importer<'_>) -> Result<Added, UnixFsError> {
        let mut level = 0;
        loop {
            let nodes = std::mem::take(&mut self.levels[level]);
            let top = level + 1 == self.levels.len();
            // A lone node at the top is the root; below it is joined like a full one.
            if top && nodes.len() == 1 {
                return Ok(nodes[0]);
            }
            let parent = join(importer, &nodes)?;
            self.add(importer, level + 1, parent)?;
            level += 1;
        }
    }
}

/// Store the parent of these nodes.
fn join(importer: &mut Importer<'_>, nodes: &[Added]) -> Result<Added, UnixFsError> {
    let sizes = nodes.iter().map(|node| node.content).collect::<Vec<_>>();
    let links = nodes.iter().map(|node| Link { cid: node.cid, name: String::new(), total_size: node.total_size });
    let block = Node { links: links.collect(), data: file_data(&sizes) }.encode();
    let total_size = block.len() as u64 + nodes.iter().map(|node| node.total_size).sum::<u64>();
    Ok(Added { cid: importer.put(DAG_PB, block)?, content: sizes.iter().sum(), total_size })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pinrail_block_store::{BlockStore, StoreOptions};

    /// As the tests against other nodes make it: xorshift with 64 bits.
    fn content(size: usize, seed: u64) -> Vec<u8> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut bytes = Vec::with_capacity(size + 8);
        while bytes.len() < size {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend(state.to_le_bytes());
        }
        bytes.truncate(size);
        bytes
    }

    /// The CIDs are those of ipfs-unixfs-importer 17.1.1 with Helia's settings and chunks of 16 bytes.
    #[test]
    fn trees_of_several_levels_are_those_of_helia() {
        let folder = tempfile::tempdir().expect("a folder");
        let options = StoreOptions { reserve: 0, ballast: 0, ..StoreOptions::default() };
        let store = BlockStore::open(folder.path(), options).expect("the store opens");
        let mut importer = Importer::begin(&store, 1).expect("it begins");
        for (size, expected) in [
            (16 * 1_024, "bafybeihhq346qqqak27we6sxgaw6hh4aqm6m5qqm6wl4smoafp7u2v4e74"),
            (16 * 1_025, "bafybeics2mb6mto3esihqnlomp7mkqfbgad6offz6wr5dmwl655ik32veu"),
            (16 * 2_048 + 1, "bafybeiaryejbzlocfdw2ps472g6rqa236shmpgxjlno627yndodz3looxa"),
        ] {
            let bytes = content(size, 4);
            let added = add_leaves(&mut importer, &bytes[..], 16, Path::new("memory")).expect("it is stored");
            assert_eq!(added.cid.to_string(), expected, "{size} bytes");
        }
    }
}
