//! What there is to pin: a bounded set of small DAGs that share blocks, and who has them.

mod blocks;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, RngCore, SeedableRng};

pub use blocks::{Block, Cid};
use blocks::{Codec, cbor_links, varint};

/// How many DAGs there are.
const DAGS: usize = 28;
/// Those that nobody has.
const NOWHERE: [usize; 4] = [3, 15, 24, 27];
/// How many leaves they pick from.
const LEAVES: usize = 120;
/// What some CIDs carry in themselves.
const INLINE: [&[u8]; 2] = [b"", b"the whole of it"];
/// How many nodes provide something.
pub const PROVIDERS: usize = 2;

/// A DAG that can be pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dag {
    /// Its root, in two spellings.
    pub cid: String,
    pub spelt: String,
    /// Its distinct blocks, and their bytes together.
    pub blocks: u64,
    pub bytes: u64,
    /// Which provider has it; nobody has some.
    pub provider: Option<usize>,
    /// Whether its CID is its one block, so that anybody has it.
    pub inline: bool,
}

/// All there is to pin.
#[derive(Debug)]
pub struct Material {
    pub dags: Vec<Dag>,
    /// One more, for who keeps it alone.
    pub kept: Dag,
    /// For each provider what it has.
    pub cars: Vec<PathBuf>,
}

impl Material {
    /// Make the material of a seed, and write what each provider has into `folder`.
    pub fn make(seed: u64, folder: &Path) -> Result<Self> {
        let pool = Pool::fill(&mut StdRng::seed_from_u64(seed));
        let mut cars = Vec::new();
        for provider in 0..PROVIDERS {
            let path = folder.join(format!("provider-{provider}.car"));
            fs::write(&path, pool.car(provider)?).with_context(|| format!("{} cannot be written", path.display()))?;
            cars.push(path);
        }
        let mut dags = pool.dags();
        let kept = dags.pop().context("there is nothing to keep")?;
        dags.extend(INLINE.map(inline));
        Ok(Self { dags, kept, cars })
    }

    /// The DAG with this root, however it is spelt.
    pub fn find(&self, cid: &str) -> Option<&Dag> {
        self.dags.iter().chain([&self.kept]).find(|dag| dag.cid == cid || dag.spelt == cid)
    }
}

/// Every block, and which of them are roots.
struct Pool {
    blocks: BTreeMap<Cid, Block>,
    roots: Vec<(Cid, Option<usize>)>,
}

impl Pool {
    fn fill(rng: &mut StdRng) -> Self {
        let mut pool = Self { blocks: BTreeMap::new(), roots: Vec::new() };
        let leaves: Vec<Cid> = (0..LEAVES).map(|_| pool.add(leaf(rng))).collect();
        for index in 0..DAGS {
            let root = pool.add_dag(index, &leaves, rng);
            let provider = (!NOWHERE.contains(&index)).then_some(usize::from(index % 3 == 2));
            pool.roots.push((root, provider));
        }
        let own = (0..3).map(|_| pool.add(leaf(rng))).collect();
        let kept = pool.add(Block::node(Codec::DagPb, own, rng.next_u64()));
        pool.roots.push((kept, Some(0)));
        pool
    }

    fn add(&mut self, block: Block) -> Cid {
        let cid = block.cid.clone();
        self.blocks.insert(cid.clone(), block);
        cid
    }

    /// A DAG of a kind that depends on `index`.
    fn add_dag(&mut self, index: usize, leaves: &[Cid], rng: &mut StdRng) -> Cid {
        let salt = rng.next_u64();
        let count = rng.random_range(2..40);
        let mut links: Vec<Cid> = leaves.choose_multiple(rng, count).cloned().collect();
        let codec = [Codec::DagPb, Codec::DagCbor, Codec::DagJson][index / 6 % 3];
        let block = match index % 6 {
            0 => leaf(rng),
            1 => Block::node(Codec::DagPb, links, salt),
            2 => Block::node(Codec::DagCbor, links, salt),
            3 => Block::node(Codec::DagJson, links, salt),
            // The bytes of a node that is pinned as such too: with no links this time.
            4 => self.blocks[&self.roots[index - 3].0].as_raw(),
            // Over other DAGs, those that somebody has.
            _ => {
                links.truncate(3);
                let others = self.roots[index - 4..].iter().filter(|(_, provider)| provider.is_some());
                links.extend(others.map(|(root, _)| root.clone()));
                links.sort();
                links.dedup();
                Block::node(codec, links, salt)
            }
        };
        self.add(block)
    }

    /// A node and everything under it.
    fn closure(&self, root: &Cid) -> BTreeMap<&Cid, &Block> {
        let mut found = BTreeMap::new();
        let mut open = vec![root];
        while let Some(cid) = open.pop() {
            let block = &self.blocks[cid];
            if found.insert(&block.cid, block).is_none() {
                open.extend(&block.links);
            }
        }
        found
    }

    fn dags(&self) -> Vec<Dag> {
        let describe = |(root, provider): &(Cid, Option<usize>)| {
            let closure = self.closure(root);
            Dag {
                cid: root.base32(),
                spelt: root.base16(),
                blocks: closure.len() as u64,
                bytes: closure.values().map(|block| block.bytes.len() as u64).sum(),
                provider: *provider,
                inline: false,
            }
        };
        self.roots.iter().map(describe).collect()
    }

    /// A CAR of version 1 with all that a provider has.
    fn car(&self, provider: usize) -> Result<Vec<u8>> {
        let of_this = |(root, owner): &(Cid, Option<usize>)| (*owner == Some(provider)).then(|| root.clone());
        let roots: Vec<Cid> = self.roots.iter().filter_map(of_this).collect();
        let mut header = b"\xa2\x65roots".to_vec();
        header.extend(cbor_links(&roots));
        header.extend(b"\x67version\x01");
        let mut car = varint(header.len());
        car.extend(header);
        let mut blocks = BTreeMap::new();
        for root in &roots {
            blocks.extend(self.closure(root));
        }
        for (cid, block) in blocks {
            car.write_all(&varint(cid.as_bytes().len() + block.bytes.len()))?;
            car.write_all(cid.as_bytes())?;
            car.write_all(&block.bytes)?;
        }
        Ok(car)
    }
}

/// A DAG that is whole in its CID. Whoever is asked for it has it.
fn inline(block: &[u8]) -> Dag {
    let cid = Cid::inline(block);
    let bytes = block.len() as u64;
    Dag { cid: cid.base32(), spelt: cid.base16(), blocks: 1, bytes, provider: Some(0), inline: true }
}

/// Mostly small, some of them large enough to be interrupted.
fn leaf(rng: &mut StdRng) -> Block {
    let size = if rng.random_ratio(1, 6) { rng.random_range(1 << 16..1 << 19) } else { rng.random_range(1..8192) };
    let mut bytes = vec![0; size];
    rng.fill_bytes(&mut bytes);
    Block::raw(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_makes_the_same_every_time() {
        let folder = tempfile::tempdir().unwrap();
        let one = Material::make(7, folder.path()).unwrap();
        let car = fs::read(&one.cars[1]).unwrap();
        let again = Material::make(7, folder.path()).unwrap();
        assert_eq!(one.dags, again.dags);
        assert_eq!(car, fs::read(&again.cars[1]).unwrap());
        assert_ne!(one.dags, Material::make(8, folder.path()).unwrap().dags);
    }

    #[test]
    fn some_are_shared_and_some_are_nowhere() {
        let pool = Pool::fill(&mut StdRng::seed_from_u64(1));
        let dags = pool.dags();
        assert_eq!(dags.len(), DAGS + 1);
        let provided = |root: &Cid| {
            let with =
                |(other, owner): &(Cid, Option<usize>)| owner.is_some() && pool.closure(other).contains_key(root);
            pool.roots.iter().any(with)
        };
        assert!(pool.roots.iter().all(|(root, owner)| owner.is_some() == provided(root)));
        assert!((0..PROVIDERS).all(|provider| dags.iter().any(|dag| dag.provider == Some(provider))));
        let sum: u64 = dags.iter().map(|dag| dag.blocks).sum();
        assert!(sum > 2 * pool.blocks.len() as u64, "{sum} blocks of {} are hardly shared", pool.blocks.len());
        assert_eq!(dags[0].blocks, 1);
        assert_eq!(dags[4].blocks, 1);
        assert_eq!(dags[4].bytes, pool.blocks[&pool.roots[1].0].bytes.len() as u64);
    }
}
