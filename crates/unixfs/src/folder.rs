//! A folder with all that is in it.

use std::fs;
use std::path::Path;

use pinrail_ipfs::MAX_BLOCK_BYTES;
use pinrail_spec::multicodec::DAG_PB;

use crate::UnixFsError;
use crate::file::{self, Added};
use crate::importer::Importer;
use crate::pb::{Link, Node, folder_data};
use crate::shard;

/// The names and CIDs that a plain folder may have in bytes, Helia's default.
const MAX_LINKS_BYTES: usize = 256 << 10;
/// The block of an empty folder; any other folder has more.
const EMPTY_FOLDER_BYTES: u64 = 4;

/// Store a folder. Names that begin with a dot are left out, as other implementations do.
pub fn add(importer: &mut Importer<'_>, path: &Path) -> Result<Added, UnixFsError> {
    let mut links = Vec::new();
    let mut links_bytes = 0;
    for entry in fs::read_dir(path).map_err(UnixFsError::file(path))? {
        let entry = entry.map_err(UnixFsError::file(path))?;
        let inner = entry.path();
        let name = entry.file_name().into_string().map_err(|_| UnixFsError::Name(inner.clone()))?;
        if name.starts_with('.') {
            continue;
        }
        let kind = entry.file_type().map_err(UnixFsError::file(&inner))?;
        let added = if kind.is_dir() {
            add(importer, &inner)?
        } else if kind.is_file() {
            file::add(importer, &inner)?
        } else {
            return Err(UnixFsError::Kind(inner));
        };
        // As in Helia, which decides before it knows the CIDs of folders that are not empty.
        if kind.is_file() || added.total_size == EMPTY_FOLDER_BYTES {
            links_bytes += name.len() + added.cid.encoded_len();
        }
        links.push(Link { cid: added.cid, name, total_size: added.total_size });
    }
    if links_bytes > MAX_LINKS_BYTES {
        return shard::add(importer, links, path);
    }
    add_plain(importer, links, path)
}

/// Store a folder as one block, or in shards if other nodes would not take the block.
fn add_plain(importer: &mut Importer<'_>, mut links: Vec<Link>, path: &Path) -> Result<Added, UnixFsError> {
    links.sort_by(|one, other| one.name.as_bytes().cmp(other.name.as_bytes()));
    let inner_size = links.iter().map(|link| link.total_size).sum::<u64>();
    let node = Node { links, data: folder_data() };
    let block = node.encode();
    if block.len() > MAX_BLOCK_BYTES {
        return shard::add(importer, node.links, path);
    }
    let total_size = block.len() as u64 + inner_size;
    Ok(Added { cid: importer.put(DAG_PB, block)?, content: 0, total_size })
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use pinrail_block_store::{BlockStore, StoreOptions};

    fn open(folder: &Path) -> BlockStore {
        let options = StoreOptions { reserve: 0, ballast: 0, ..StoreOptions::default() };
        BlockStore::open(folder, options).expect("the store opens")
    }

    fn name(number: usize, length: usize) -> String {
        format!("é{number:0width$}", width = length - 2)
    }

    /// Empty files with names of `length` bytes: one under all of them, since some systems are slow to make new ones.
    fn make_files(folder: &Path, count: usize, length: usize) {
        fs::create_dir_all(folder).expect("it is made");
        let first = folder.join(name(0, length));
        File::create(&first).expect("it is made");
        for number in 1..count {
            fs::hard_link(&first, folder.join(name(number, length))).expect("it is linked");
        }
    }

    /// Folders of one empty file, with names of `length` bytes and ` folder` behind.
    fn make_folders(folder: &Path, count: usize, length: usize) {
        for number in 0..count {
            let inner = folder.join(format!("{} folder", name(number, length)));
            fs::create_dir_all(&inner).expect("it is made");
            File::create(inner.join("x")).expect("it is made");
        }
    }

    fn make(made: impl FnOnce(&Path)) -> String {
        let (files, held) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        made(files.path());
        let roots = crate::add(&open(held.path()), files.path(), 1).expect("it is taken in");
        roots[0].to_string()
    }

    /// The CIDs are those that ipfs-unixfs-importer 17.1.1 yields with Helia's settings for the same paths. Names of 28
    /// bytes come to 64 with their CIDs, so 4,096 are as many as a plain folder has.
    #[test]
    fn large_folders_are_sharded_where_helia_does() {
        let plain = make(|root| make_files(root, 3_000, 51));
        assert_eq!(plain, "bafybeieuqpj3uqaudg7dgus4cm5zlt4eaud2yks7y4o6q7gkfb7tmlqv5u");
        let sharded = make(|root| make_files(root, 6_000, 8));
        assert_eq!(sharded, "bafybeicxwfyk4mgbs3ygepef4how27yn2act4dgoraintu2wbjjmamn3aq");
        let most = make(|root| make_files(root, 4_096, 28));
        assert_eq!(most, "bafybeibnhhmk5yfsnnukc5ag47mjkhz6ovdqzafelimd2woepplidtbdnm");
        let one_more = make(|root| make_files(root, 4_097, 28));
        assert_eq!(one_more, "bafybeibdk7bn47vco33hwz2vlhnxtno47un6nhq3viayp63jkcvomwd2ki");
    }

    /// The CIDs were made in the same way.
    #[test]
    fn folders_within_count_only_if_they_are_empty() {
        let full = make(|root| {
            make_files(root, 4_096, 28);
            make_folders(root, 300, 28);
        });
        assert_eq!(full, "bafybeidmjqrw4qxy5tst4fifve6s4bonxvkmxxjjoubkhehhmnfnidpoi4");
        let empty = make(|root| {
            make_files(root, 4_096, 28);
            fs::create_dir(root.join("empty")).expect("it is made");
        });
        assert_eq!(empty, "bafybeiaz7irdswkqitadi7bbb6mzll4dm7bhbv742kcw27kg5ncvkf554e");
    }

    /// Made in the same way from folders of one empty file and an empty file, with the importer's threshold at 40 bytes,
    /// which only the file passes.
    #[test]
    fn a_folder_whose_block_nobody_would_take_is_sharded() {
        let held = tempfile::tempdir().expect("a folder");
        let store = open(held.path());
        let mut importer = Importer::begin(&store, 1).expect("it begins");
        let mut add = |links| add_plain(&mut importer, links, Path::new("memory")).expect("it is stored");
        let link = |name: String, to: Added| Link { cid: to.cid, name, total_size: to.total_size };
        let cid = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku".parse().expect("a CID");
        let file = Added { cid, content: 0, total_size: 0 };
        let inner = add(vec![link("x".to_owned(), file)]);
        let mut links =
            (0..7_000).map(|number| link(format!("{} folder", name(number, 248)), inner)).collect::<Vec<_>>();
        links.push(link("a file".to_owned(), file));
        assert_eq!(add(links).cid.to_string(), "bafybeickxedxedoa2fm4thkb76p5xmiutk3pgrdzm2solkj2she3nguh4y");
    }

    /// The CID was made in the same way.
    #[test]
    fn a_sharded_folder_comes_out_as_it_went_in() {
        let (files, held) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let (inside, outside) = (files.path().join("in"), files.path().join("out"));
        make_files(&inside.join("many"), 4_097, 28);
        File::create(inside.join("one")).expect("it is made");
        let store = open(held.path());
        let roots = crate::add(&store, &inside, 1).expect("it is taken in");
        assert_eq!(roots[0].to_string(), "bafybeie256jdxykox7pxoje3wguxq64h3a4bknxzr24x5ooub23cswecty");
        crate::export(&store, &roots[0], &outside).expect("it is given out");
        assert!(outside.join("one").is_file());
        let mut found = fs::read_dir(outside.join("many"))
            .expect("it is there")
            .map(|entry| entry.expect("it is read").file_name().into_string().expect("it is UTF-8"))
            .collect::<Vec<_>>();
        found.sort_unstable();
        assert_eq!(found, (0..4_097).map(|number| name(number, 28)).collect::<Vec<_>>());
    }
}
