//! Writes what a CID stands for: a file's bytes, a folder's files, or a block as it is.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Component, Path};

use bytes::Bytes;
use cid::Cid;
use pinrail_block_store::BlockStore;
use pinrail_spec::multicodec::DAG_PB;

use crate::UnixFsError;
use crate::pb::{Kind, Link, Node, UnixFs};

/// Sub-shards that can lie within each other: a name's hash has 64 bits, at least 3 of them for each level.
const MAX_SHARDS: usize = 32;
/// Folders that can lie within each other; a hostile DAG may have more.
const MAX_FOLDERS: usize = 256;

/// Write what is under `cid` to `out`: a `UnixFS` file's bytes, a `UnixFS` folder as a folder, and any other block as it
/// is. Nothing that is there is overwritten by a folder's files outside `out`.
pub fn export(store: &BlockStore, cid: &Cid, out: &Path) -> Result<(), UnixFsError> {
    write(store, cid, out, 0)
}

fn write(store: &BlockStore, cid: &Cid, out: &Path, depth: usize) -> Result<(), UnixFsError> {
    if depth > MAX_FOLDERS {
        return Err(bad(cid, "too many folders lie within each other"));
    }
    if cid.codec() == DAG_PB {
        let node = read_node(store, cid)?;
        let kind = UnixFs::decode(&node.data).map_err(|error| bad(cid, &error.to_string()))?.kind;
        if matches!(kind, Kind::Folder | Kind::Shard) {
            return write_folder(store, cid, node, out, depth);
        }
    }
    let file = File::create(out).map_err(UnixFsError::file(out))?;
    let mut file = BufWriter::with_capacity(1 << 20, file);
    write_content(store, cid, &mut file, out)?;
    file.flush().map_err(UnixFsError::file(out))
}

fn write_folder(store: &BlockStore, cid: &Cid, node: Node, out: &Path, depth: usize) -> Result<(), UnixFsError> {
    fs::create_dir_all(out).map_err(UnixFsError::file(out))?;
    for link in list(store, cid, node, 0)? {
        let mut parts = Path::new(&link.name).components();
        let plain = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
        if !plain || link.name.contains('/') {
            return Err(bad(cid, &format!("{:?} is no name for a file", link.name)));
        }
        write(store, &link.cid, &out.join(&link.name), depth + 1)?;
    }
    Ok(())
}

/// The entries of a folder, with those of its shards.
fn list(store: &BlockStore, cid: &Cid, node: Node, depth: usize) -> Result<Vec<Link>, UnixFsError> {
    let kind = UnixFs::decode(&node.data).map_err(|error| bad(cid, &error.to_string()))?.kind;
    if kind != Kind::Shard {
        return Ok(node.links);
    }
    if depth > MAX_SHARDS {
        return Err(bad(cid, "too many shards lie within each other"));
    }
    let mut entries = Vec::new();
    for link in node.links {
        // Two digits of the place in the shard come before the name; without a name it is a shard itself.
        match link.name.get(2..) {
            Some("") => entries.extend(list(store, &link.cid, read_node(store, &link.cid)?, depth + 1)?),
            Some(name) => entries.push(Link { name: name.to_owned(), ..link }),
            None => return Err(bad(cid, "an entry of a shard without its place")),
        }
    }
    Ok(entries)
}

/// Write a file's bytes, its parts in order.
fn write_content(store: &BlockStore, cid: &Cid, file: &mut impl Write, out: &Path) -> Result<(), UnixFsError> {
    let mut parts = vec![*cid];
    while let Some(part) = parts.pop() {
        if part.codec() != DAG_PB {
            file.write_all(&read(store, &part)?).map_err(UnixFsError::file(out))?;
            continue;
        }
        let node = read_node(store, &part)?;
        let data = UnixFs::decode(&node.data).map_err(|error| bad(&part, &error.to_string()))?;
        if !matches!(data.kind, Kind::File | Kind::Raw) {
            return Err(bad(&part, "not a part of a file"));
        }
        file.write_all(data.content).map_err(UnixFsError::file(out))?;
        parts.extend(node.links.iter().rev().map(|link| link.cid));
    }
    Ok(())
}

fn read(store: &BlockStore, cid: &Cid) -> Result<Bytes, UnixFsError> {
    store.read(cid.hash())?.ok_or_else(|| bad(cid, "it is not in the store"))
}

fn read_node(store: &BlockStore, cid: &Cid) -> Result<Node, UnixFsError> {
    Node::decode(&read(store, cid)?).map_err(|error| bad(cid, &error.to_string()))
}

fn bad(cid: &Cid, reason: &str) -> UnixFsError {
    UnixFsError::BadBlock { cid: Box::new(*cid), reason: reason.to_owned() }
}
