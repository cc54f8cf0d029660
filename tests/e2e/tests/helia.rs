//! Helia as a peer in both directions, and its remote pinning as a client; helia.mjs makes the checks.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use pinrail_chaos::Kind;
use pinrail_e2e::{Fixture, tests_of_a_run};
use pinrail_testbed::environment::{Environment, root};
use pinrail_testbed::instance::provider::Provider;
use pinrail_testbed::instance::sample;
use pinrail_testbed::node::Node;
use pinrail_testbed::node::script::{Check, run_script};
use serde_json::{Value, json};

tests_of_a_run! { run;
    pinrail_fetches_a_raw_block_from_helia: "Pinrail fetches a raw block from Helia",
    helia_fetches_a_raw_block_from_pinrail: "Helia fetches a raw block from Pinrail",
    pinrail_fetches_an_empty_file_from_helia: "Pinrail fetches an empty file from Helia",
    helia_fetches_an_empty_file_from_pinrail: "Helia fetches an empty file from Pinrail",
    pinrail_fetches_a_file_of_many_blocks_from_helia: "Pinrail fetches a file of many blocks from Helia",
    helia_fetches_a_file_of_many_blocks_from_pinrail: "Helia fetches a file of many blocks from Pinrail",
    pinrail_fetches_a_folder_from_helia: "Pinrail fetches a folder from Helia",
    helia_fetches_a_folder_from_pinrail: "Helia fetches a folder from Pinrail",
    pinrail_fetches_a_sharded_folder_from_helia: "Pinrail fetches a sharded folder from Helia",
    helia_fetches_a_sharded_folder_from_pinrail: "Helia fetches a sharded folder from Pinrail",
    pinrail_fetches_a_dag_of_dag_cbor_from_helia: "Pinrail fetches a DAG of dag-cbor from Helia",
    helia_fetches_a_dag_of_dag_cbor_from_pinrail: "Helia fetches a DAG of dag-cbor from Pinrail",
    pinrail_fetches_a_dag_of_dag_json_from_helia: "Pinrail fetches a DAG of dag-json from Helia",
    helia_fetches_a_dag_of_dag_json_from_pinrail: "Helia fetches a DAG of dag-json from Pinrail",
    pinrail_fetches_a_dag_of_all_four_codecs_from_helia: "Pinrail fetches a DAG of all four codecs from Helia",
    helia_fetches_a_dag_of_all_four_codecs_from_pinrail: "Helia fetches a DAG of all four codecs from Pinrail",
    pinrail_fetches_a_dag_hashed_with_sha2_512_from_helia: "Pinrail fetches a DAG hashed with sha2-512 from Helia",
    helia_fetches_a_dag_hashed_with_sha2_512_from_pinrail: "Helia fetches a DAG hashed with sha2-512 from Pinrail",
    pinrail_worker_provide_and_helia_name_tree_alike: "pinrail-worker provide and Helia name tree alike",
    helia_fetches_tree_from_pinrail_worker_provide: "Helia fetches tree from pinrail-worker provide",
    pinrail_worker_provide_and_helia_name_small_txt_alike: "pinrail-worker provide and Helia name small.txt alike",
    helia_fetches_small_txt_from_pinrail_worker_provide: "Helia fetches small.txt from pinrail-worker provide",
    pinrail_worker_provide_and_helia_name_large_bin_alike: "pinrail-worker provide and Helia name large.bin alike",
    helia_fetches_large_bin_from_pinrail_worker_provide: "Helia fetches large.bin from pinrail-worker provide",
    remote_pinning_adds_lists_and_finds: "remote pinning adds, lists and finds",
    remote_pinning_changes_the_metadata: "remote pinning changes the metadata",
    remote_pinning_removes: "remote pinning removes",
}

fn run() -> Result<Vec<Check>> {
    let node = Node::find(&Environment::read())?;
    let fixture = Fixture::start(Kind::Sqlite)?;
    let paths = write_samples(&fixture.folder.path().join("samples"))?;
    let providers: Vec<Provider> =
        paths.iter().map(|path| Provider::start(&fixture.instance, path)).collect::<Result<_>>()?;
    let task = json!({
        "endpoint": fixture.instance.endpoint(),
        "token": fixture.token,
        "provided": paths.iter().zip(&providers).map(|(path, provider)| described(path, provider)).collect::<Vec<_>>(),
    });
    run_script(&node, &root().join("tests/e2e/tests/helia.mjs"), &task)
}

/// A folder, a file in one block, a file in several.
fn write_samples(folder: &Path) -> Result<[PathBuf; 3]> {
    let tree = folder.join("tree");
    sample::write(&tree)?;
    let small = folder.join("small.txt");
    fs::write(&small, "a file in one block\n")?;
    let large = folder.join("large.bin");
    fs::copy(tree.join(sample::LARGE), &large)?;
    Ok([tree, small, large])
}

fn described(path: &Path, provider: &Provider) -> Value {
    json!({ "path": path, "cid": provider.cid, "addresses": provider.addresses })
}
