//! Files, folders and CARs into a store and out of it again. The CIDs are those of ipfs-unixfs-importer 17.1.1 with
//! Helia's settings (version 1, raw leaves, chunks of 1 MiB, 1,024 children).

use std::fs;
use std::path::Path;

use cid::Cid;
use multihash_codetable::Code;
use pinrail_ipfs_embedded::provide::{ProvideError, add, export, import_car};
use pinrail_ipfs_embedded::store::BlockStore;
use tempfile::{TempDir, tempdir};

use crate::script::varint;
use crate::support::{Block, DAG_CBOR, block, content, dag_cbor, flat, open_store, raw};

fn store() -> (BlockStore, TempDir) {
    let folder = tempdir().expect("a folder");
    (open_store(&folder), folder)
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

/// A CAR of version 1.
fn car(roots: &[Cid], blocks: &[Block]) -> Vec<u8> {
    #[derive(serde::Serialize)]
    struct Header<'a> {
        roots: &'a [Cid],
        version: u8,
    }
    let header = serde_ipld_dagcbor::to_vec(&Header { roots, version: 1 }).expect("it encodes");
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
    let mut blocks = flat(5, 1000, 1);
    blocks.push(block(DAG_CBOR, Code::Blake3_256, dag_cbor(&[blocks[5].0], "root")));
    let roots = [blocks[6].0];
    let first = car(&roots, &blocks);
    let padded = [first.clone(), vec![0; 2_000_000]].concat();
    let cars = [("one.car", first.clone()), ("two.CAR", car_2(&first)), ("three.car", padded.clone())];
    for (name, bytes) in cars.into_iter().chain([("four.car", car_2(&padded))]) {
        let (store, _held) = store();
        let path = files.path().join(name);
        write(&path, &bytes);
        assert_eq!(add(&store, &path, 1).expect("it is taken in"), roots);
        assert!(blocks.iter().all(|(cid, bytes)| store.read(cid.hash()).expect("it answers").as_ref() == Some(bytes)));
    }
}

#[test]
fn a_damaged_car_is_refused() {
    let files = tempdir().expect("a folder");
    let (path, (store, _held)) = (files.path().join("bad.car"), store());
    let leaf = raw(&b"leaf"[..]);
    let lie = [(leaf.0, b"lies".to_vec().into())];
    write(&path, &car(&[leaf.0], &lie));
    assert!(matches!(add(&store, &path, 1), Err(ProvideError::Mismatch(cid)) if *cid == leaf.0));
    let whole = car(&[leaf.0], std::slice::from_ref(&leaf));
    let in_two = [&whole[..], &[0; 9], &whole].concat();
    let cut_off = &whole[..whole.len() - 1];
    for bad in [&b""[..], &[0xff; 10], b"not a car at all", cut_off, &in_two, &[0; 99]] {
        write(&path, bad);
        let answer = add(&store, &path, 2);
        assert!(matches!(answer, Err(ProvideError::NotCar(_))), "{answer:?}");
    }
    let dag = flat(2, 10, 1);
    write(&path, &car(&[dag[2].0], &dag[1..]));
    assert!(matches!(add(&store, &path, 3), Err(ProvideError::Holes { missing, .. }) if *missing == dag[0].0));
    // To import, a part of a DAG is as good as a whole one.
    assert_eq!(import_car(&store, &path, 4).expect("it is imported"), [dag[2].0]);
}
