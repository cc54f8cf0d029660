//! Small DAGs to pin.

use cid::Cid;
use multihash_codetable::{Code, MultihashDigest};
use pinrail_domain::DagSize;
use pinrail_spec::RootKey;
use pinrail_spec::multicodec::{DAG_PB, RAW};

/// A block with its CID.
pub type Block = (Cid, Vec<u8>);

/// Blocks with a root among them, which comes last.
#[derive(Debug, Clone)]
pub struct Dag {
    /// Its blocks.
    pub blocks: Vec<Block>,
}

impl Dag {
    /// A node of dag-pb with two raw leaves, one of its own and one that all share, made of `seed`.
    pub fn sample(seed: &str) -> Self {
        let leaves = [raw(format!("leaf of {seed}").as_bytes()), raw(b"a leaf that all samples share")];
        let root = dag_pb(&leaves.each_ref().map(|(cid, _)| *cid));
        Self { blocks: [leaves.as_slice(), &[root]].concat() }
    }

    /// A node of dag-pb with one leaf for each of these codecs.
    pub fn with_leaves(codecs: &[u64]) -> Self {
        let leaf = |codec: &u64| {
            let bytes = format!("no block of {codec:#x}").into_bytes();
            (Cid::new_v1(*codec, Code::Sha2_256.digest(&bytes)), bytes)
        };
        let mut blocks = codecs.iter().map(leaf).collect::<Vec<_>>();
        blocks.push(dag_pb(&blocks.iter().map(|(cid, _)| *cid).collect::<Vec<_>>()));
        Self { blocks }
    }

    /// A root that links to a block which nobody can check.
    pub fn with_link(link: Cid) -> Self {
        Self { blocks: vec![dag_pb(&[link])] }
    }

    /// One block of dag-pb that is none.
    pub fn malformed() -> Self {
        let bytes = b"\xff\xff\xff".to_vec();
        Self { blocks: vec![(Cid::new_v1(DAG_PB, Code::Sha2_256.digest(&bytes)), bytes)] }
    }

    /// Its root's CID.
    pub fn root_cid(&self) -> Cid {
        self.blocks[self.blocks.len() - 1].0
    }

    /// Its root.
    pub fn root(&self) -> RootKey {
        RootKey::from(&self.root_cid())
    }

    /// Its size.
    pub fn size(&self) -> DagSize {
        let bytes = self.blocks.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        DagSize { blocks: self.blocks.len() as u64, bytes }
    }

    /// It as a CAR of version 1.
    pub fn to_car(&self) -> Vec<u8> {
        let root = self.root_cid().to_bytes();
        // {"roots": [the root], "version": 1} in dag-cbor.
        let mut header = b"\xa2\x65roots\x81\xd8\x2a\x58".to_vec();
        header.push(u8::try_from(root.len() + 1).expect("a short CID"));
        header.push(0);
        header.extend(&root);
        header.extend(b"\x67version\x01");
        let mut car = section(&[&header]);
        for (cid, bytes) in &self.blocks {
            car.extend(section(&[&cid.to_bytes(), bytes]));
        }
        car
    }
}

fn raw(bytes: &[u8]) -> Block {
    (Cid::new_v1(RAW, Code::Sha2_256.digest(bytes)), bytes.to_vec())
}

fn dag_pb(links: &[Cid]) -> Block {
    let mut bytes = Vec::new();
    for link in links {
        let link = section(&[&link.to_bytes()]);
        bytes.push(0x12);
        bytes.extend(section(&[&[0x0a], &link]));
    }
    (Cid::new_v1(DAG_PB, Code::Sha2_256.digest(&bytes)), bytes)
}

/// These bytes with their length before them, of less than 16 KiB.
fn section(parts: &[&[u8]]) -> Vec<u8> {
    let length = parts.iter().map(|part| part.len()).sum::<usize>();
    let low = u8::try_from(length & 0x7f).expect("seven bits");
    let high = u8::try_from(length >> 7).expect("less than 16 KiB");
    let prefix = if high == 0 { vec![low] } else { vec![low | 0x80, high] };
    [&prefix[..], &parts.concat()].concat()
}
