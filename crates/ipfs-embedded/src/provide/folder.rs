//! A folder with all that is in it.

use std::fs;
use std::path::Path;

use super::ProvideError;
use super::file::{self, Added};
use super::importer::Importer;
use super::pb::{Link, Node, folder_data};
use crate::bitswap::wire::MAX_BLOCK_BYTES;

const DAG_PB: u64 = 0x70;

/// Store a folder. Names that begin with a dot are left out, as other implementations do.
pub fn add(importer: &mut Importer<'_>, path: &Path) -> Result<Added, ProvideError> {
    let mut links = Vec::new();
    for entry in fs::read_dir(path).map_err(ProvideError::file(path))? {
        let entry = entry.map_err(ProvideError::file(path))?;
        let inner = entry.path();
        let name = entry.file_name().into_string().map_err(|_| ProvideError::Name(inner.clone()))?;
        if name.starts_with('.') {
            continue;
        }
        let kind = entry.file_type().map_err(ProvideError::file(&inner))?;
        let added = if kind.is_dir() {
            add(importer, &inner)?
        } else if kind.is_file() {
            file::add(importer, &inner)?
        } else {
            return Err(ProvideError::Kind(inner));
        };
        links.push(Link { cid: added.cid, name, total_size: added.total_size });
    }
    links.sort_by(|one, other| one.name.as_bytes().cmp(other.name.as_bytes()));
    let inner_size = links.iter().map(|link| link.total_size).sum::<u64>();
    let block = Node { links, data: folder_data() }.encode();
    if block.len() > MAX_BLOCK_BYTES {
        return Err(ProvideError::FolderTooLarge { path: path.to_owned(), size: block.len() });
    }
    let total_size = block.len() as u64 + inner_size;
    Ok(Added { cid: importer.put(DAG_PB, block)?, content: 0, total_size })
}
