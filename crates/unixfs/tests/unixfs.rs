//! Files, folders and CARs into a store and out of it again. The CIDs are those of ipfs-unixfs-importer 17.1.1 with
//! Helia's settings (version 1, raw leaves, chunks of 1 MiB, 1,024 children).

use std::fs;
use std::path::Path;

use cid::Cid;
use multihash_codetable::{Code, MultihashDigest};
use pinrail_block_store::{BlockStore, StoreOptions};
use pinrail_spec::multicodec::{DAG_CBOR, DAG_PB, RAW};
use pinrail_unixfs::{UnixFsError, add, export, import_car};
use tempfile::{TempDir, tempdir};

/// A block with its CID.
type Block = (Cid, Vec<u8>);

fn store() -> (BlockStore, TempDir) {
    let folder = tempdir().expect("a folder");
    let options = StoreOptions { reserve: 0, ballast: 0, ..StoreOptions::default() };
    (BlockStore::open(folder.path(), options).expect("the store opens"), folder)
}

fn block(codec: u64, hash: Code, bytes: Vec<u8>) -> Block {
    (Cid::new_v1(codec, hash.digest(&bytes)), bytes)
}

fn raw(bytes: Vec<u8>) -> Block {
    block(RAW, Code::Sha2_256, bytes)
}

/// Raw leaves and the dag-pb node that links to them, which comes last.
fn flat(count: u64, size: usize) -> Vec<Block> {
    let mut blocks = (0..count).map(|seed| raw(content(size, seed))).collect::<Vec<_>>();
    let mut node = Vec::new();
    for (cid, _) in &blocks {
        let cid = cid.to_bytes();
        let link = [&[0x0a], &varint(cid.len())[..], &cid].concat();
        node.extend([&[0x12], &varint(link.len())[..], &link].concat());
    }
    blocks.push(block(DAG_PB, Code::Sha2_256, node));
    blocks
}

/// Bytes that differ with the seed: xorshift with 64 bits.
fn content(size: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(size).collect()
}

fn varint(number: usize) -> Vec<u8> {
    unsigned_varint::encode::usize(number, &mut unsigned_varint::encode::usize_buffer()).to_vec()
}

fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("it is made");
    fs::write(path, bytes).expect("it is written");
}

#[test]
fn files_have_the_cids_of_helia_and_come_out_again() {
    let ((store, _held), files) = (store(), tempdir().expect("a folder"));
    let one_mib = 1 << 20;
    let cases: [(Vec<u8>, &str); 5] = [
        (Vec::new(), "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"),
        (b"hello world".to_vec(), "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"),
        (content(one_mib, 1), "bafkreihst6yheey7z7dslnpmirvndglawky3j7lyupf7lbtqbeir7zqc4a"),
        (content(one_mib + 1, 1), "bafybeifj33pdgiqayh4uybeucizrmtesybzsua65zbusgyosoakged7mpq"),
        (content(5 * one_mib + 7, 2), "bafybeiac72aq3rk3mqo3chevpflsdciapfjsupdoguqha6a6jpt3nnavjm"),
    ];
    for (index, (bytes, expected)) in cases.iter().enumerate() {
        let path = files.path().join(format!("file-{index}"));
        write(&path, bytes);
        let roots = add(&store, &path, index as u64).expect("it is taken in");
        assert_eq!(roots.iter().map(Cid::to_string).collect::<Vec<_>>(), [*expected]);
        let out = files.path().join("out");
        export(&store, &roots[0], &out).expect("it is given out");
        assert_eq!(&fs::read(&out).expect("it is there"), bytes);
    }
}

#[test]
fn folders_have_the_cids_of_helia_and_come_out_again() {
    let ((store, _held), files) = (store(), tempdir().expect("a folder"));
    let folder = files.path().join("d");
    for (name, bytes) in [
        ("b.txt", b"b".to_vec()),
        ("a.txt", b"hello world".to_vec()),
        ("Z", Vec::new()),
        ("sub/big", content((2 << 20) + 5, 3)),
        ("sub/é", b"x".to_vec()),
        (".hidden", b"left out".to_vec()),
    ] {
        write(&folder.join(name), &bytes);
    }
    let roots = add(&store, &folder, 1).expect("it is taken in");
    assert_eq!(roots[0].to_string(), "bafybeia3ineehvzzir3orzaiykbw6ozv7jnxk32ueegrlmpt65izflnugy");
    let out = files.path().join("out");
    export(&store, &roots[0], &out).expect("it is given out");
    assert_eq!(fs::read(out.join("sub/é")).expect("it is there"), b"x");
    assert_eq!(fs::read(out.join("sub/big")).expect("it is there"), content((2 << 20) + 5, 3));
    assert!(!out.join(".hidden").exists());
    let empty = files.path().join("empty");
    fs::create_dir(&empty).expect("it is made");
    let roots = add(&store, &empty, 2).expect("it is taken in");
    assert_eq!(roots[0].to_string(), "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354");
}

fn cbor(value: &impl serde::Serialize) -> Vec<u8> {
    serde_ipld_dagcbor::to_vec(value).expect("it encodes")
}

/// A CAR of version 1.
fn car(roots: &[Cid], blocks: &[Block]) -> Vec<u8> {
    #[derive(serde::Serialize)]
    struct Header<'a> {
        roots: &'a [Cid],
        version: u8,
    }
    let header = cbor(&Header { roots, version: 1 });
    let mut car = varint(header.len());
    car.extend(header);
    for (cid, bytes) in blocks {
        let cid = cid.to_bytes();
        car.extend(varint(cid.len() + bytes.len()));
        car.extend(cid);
        car.extend(bytes);
    }
    car
}

/// The same in version 2, with something behind it.
fn car_2(inner: &[u8]) -> Vec<u8> {
    let mut car = b"\x0a\xa1gversion\x02".to_vec();
    car.extend([0; 16]);
    for number in [60_u64, inner.len() as u64, 0] {
        car.extend(number.to_le_bytes());
    }
    car.resize(60, 0);
    car.extend(inner);
    car.extend(b"an index");
    car
}

#[test]
fn cars_of_both_versions_are_taken_in() {
    let files = tempdir().expect("a folder");
    let mut blocks = flat(5, 1000);
    blocks.push(block(DAG_CBOR, Code::Blake3_256, cbor(&("root", [blocks[5].0]))));
    let roots = [blocks[6].0];
    let first = car(&roots, &blocks);
    let padded = [first.clone(), vec![0; 2_000_000]].concat();
    let cars = [("one.car", first.clone()), ("two.CAR", car_2(&first)), ("three.car", padded.clone())];
    for (name, bytes) in cars.into_iter().chain([("four.car", car_2(&padded))]) {
        let (store, _held) = store();
        let path = files.path().join(name);
        write(&path, &bytes);
        assert_eq!(add(&store, &path, 1).expect("it is taken in"), roots);
        assert!(
            blocks
                .iter()
                .all(|(cid, bytes)| store.read(cid.hash()).expect("it answers").as_deref() == Some(&bytes[..]))
        );
    }
}

#[test]
fn a_damaged_car_is_refused() {
    let files = tempdir().expect("a folder");
    let (path, (store, _held)) = (files.path().join("bad.car"), store());
    let leaf = raw(b"leaf".to_vec());
    let lie = [(leaf.0, b"lies".to_vec())];
    write(&path, &car(&[leaf.0], &lie));
    assert!(matches!(add(&store, &path, 1), Err(UnixFsError::Mismatch(cid)) if *cid == leaf.0));
    let whole = car(&[leaf.0], std::slice::from_ref(&leaf));
    let in_two = [&whole[..], &[0; 9], &whole].concat();
    let cut_off = &whole[..whole.len() - 1];
    for bad in [&b""[..], &[0xff; 10], b"not a car at all", cut_off, &in_two, &[0; 99]] {
        write(&path, bad);
        let answer = add(&store, &path, 2);
        assert!(matches!(answer, Err(UnixFsError::NotCar(_))), "{answer:?}");
    }
    let dag = flat(2, 10);
    write(&path, &car(&[dag[2].0], &dag[1..]));
    assert!(matches!(add(&store, &path, 3), Err(UnixFsError::Holes { missing, .. }) if *missing == dag[0].0));
    // To import, a part of a DAG is as good as a whole one.
    assert_eq!(import_car(&store, &path, 4).expect("it is imported"), [dag[2].0]);
}
