//! The order in which a DAG's nodes are visited: depth first, each once, in bounded memory.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use pinrail_block_store::NodeKey;

/// Links kept in memory; beyond it those of the oldest nodes are read again from the store when their turn comes.
/// A hostile DAG can have 50,000 links in each of its nodes and be arbitrarily deep.
const MAX_LINKS: usize = 1 << 20;

/// What is still to be visited.
#[derive(Debug, Default)]
pub struct Walk {
    frames: Vec<Frame>,
    links: usize,
    max_links: usize,
    /// Frames before this index are forgotten ones.
    first_kept: usize,
    /// Keyed hashes in place of keys, a tenth of the memory. Should two collide, a node is left out, the store's own
    /// walk finds the hole, and the next walk has another key.
    seen: HashSet<u64>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Frame {
    parent: NodeKey,
    /// In reverse, so that the next one is the last.
    links: Option<Vec<NodeKey>>,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Visit this node, for the first time.
    Visit(NodeKey),
    /// Read the links of this node again and push them.
    Reload(NodeKey),
    /// Nothing is left.
    Done,
}

impl Walk {
    /// A walk that begins at `root`.
    pub fn new(root: NodeKey) -> Self {
        Self::with_limit(root, MAX_LINKS)
    }

    fn with_limit(root: NodeKey, max_links: usize) -> Self {
        let mut walk = Self { max_links, ..Self::default() };
        walk.push(root, vec![root]);
        walk
    }

    /// Visit these links of `parent` before anything else.
    pub fn push(&mut self, parent: NodeKey, mut links: Vec<NodeKey>) {
        if links.is_empty() {
            return;
        }
        links.reverse();
        self.links += links.len();
        self.frames.push(Frame { parent, links: Some(links) });
        while self.links > self.max_links && self.first_kept + 1 < self.frames.len() {
            let oldest = &mut self.frames[self.first_kept];
            // One without links left has nothing to be read again for.
            if let Some(forgotten) = oldest.links.take_if(|links| !links.is_empty()) {
                self.links -= forgotten.len();
            }
            self.first_kept += 1;
        }
    }

    /// The next node that was not visited before.
    pub fn next(&mut self) -> Next {
        while let Some(frame) = self.frames.last_mut() {
            let parent = frame.parent;
            match &mut frame.links {
                None => {
                    self.drop_frame();
                    return Next::Reload(parent);
                }
                Some(links) => match links.pop() {
                    None => self.drop_frame(),
                    Some(link) => {
                        self.links -= 1;
                        if self.seen.insert(self.hasher.hash_one(link)) {
                            return Next::Visit(link);
                        }
                    }
                },
            }
        }
        Next::Done
    }

    fn drop_frame(&mut self) {
        self.frames.pop();
        self.first_kept = self.first_kept.min(self.frames.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pinrail_ipfs::hash::hash;

    fn key(name: usize) -> NodeKey {
        NodeKey { codec: 0x71, multihash: hash(0x12, 32, &name.to_le_bytes()).expect("sha2-256") }
    }

    #[test]
    fn children_come_before_siblings_and_nothing_twice() {
        let mut walk = Walk::new(key(0));
        assert_eq!(walk.next(), Next::Visit(key(0)));
        walk.push(key(0), vec![key(1), key(2), key(1)]);
        assert_eq!(walk.next(), Next::Visit(key(1)));
        walk.push(key(1), vec![key(3), key(2)]);
        assert_eq!(walk.next(), Next::Visit(key(3)));
        assert_eq!(walk.next(), Next::Visit(key(2)));
        assert_eq!(walk.next(), Next::Done);
    }

    #[test]
    fn a_wide_and_deep_dag_stays_within_memory_and_is_visited_whole() {
        let (width, depth, limit) = (400, 4, 1_000);
        let links = |level: usize| (0..width).map(|index| key(level * width + index)).collect::<Vec<_>>();
        let mut walk = Walk::with_limit(key(usize::MAX), limit);
        assert_eq!(walk.next(), Next::Visit(key(usize::MAX)));
        let parents = (0..depth).map(|level| key(level * width + width)).collect::<Vec<_>>();
        for (level, parent) in parents.iter().enumerate() {
            walk.push(*parent, links(level));
            assert!(walk.links <= limit);
        }
        let (mut visited, mut reloaded) = (0, 0);
        loop {
            match walk.next() {
                Next::Visit(_) => visited += 1,
                Next::Reload(parent) => {
                    let level = parents.iter().position(|known| *known == parent).expect("one of ours");
                    walk.push(parent, links(level));
                    reloaded += 1;
                }
                Next::Done => break,
            }
        }
        assert_eq!((visited, reloaded), (width * depth, 2));
    }
}
