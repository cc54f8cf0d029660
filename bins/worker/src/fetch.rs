//! `fetch`: gets a CID over bitswap, to see that it is served.

use anyhow::{Context, Result, anyhow, bail};
use pinrail_block_store::NodeKey;
use pinrail_domain::{DagSize, Phase, format_size};
use pinrail_ipfs_embedded::{
    DialPolicy, FetchError, FetchRequest, Keypair, Multiaddr, Node, NodeLimits, NodeOptions, RoutingOptions,
};
use pinrail_spec::Cid;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::folder::NodeFolder;
use crate::scratch::Scratch;
use crate::settings::{Common, FetchArgs};
use crate::system::told_to_stop;
use crate::{database, log};

/// Fetch what `asked` names into a store that is thrown away, and write it out.
pub async fn fetch(common: &Common, asked: &FetchArgs) -> Result<()> {
    log::start(common, "warn")?;
    let told_to_stop = told_to_stop()?;
    tokio::select! {
        fetched = fetch_whole(common, asked) => fetched,
        () = told_to_stop => bail!("told to stop before all of {} was here", asked.cid),
    }
}

async fn fetch_whole(common: &Common, asked: &FetchArgs) -> Result<()> {
    let cid = Cid::parse(&asked.cid).with_context(|| asked.cid.clone())?;
    if let Some(output) = asked.output.as_ref().filter(|output| !asked.force && output.symlink_metadata().is_ok()) {
        bail!("{} is there already, wanted another --output, or --force to write over it", output.display());
    }
    let own = asked.from.is_empty();
    let from = if own { find_own_worker(common).await? } else { asked.from.clone() };
    let from_whom = from.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let scratch = Scratch::new("pinrail-fetch-")?;
    let store = scratch.open_blocks()?;
    let options = NodeOptions {
        keypair: Keypair::generate_ed25519(),
        listen: Vec::new(),
        announce: Vec::new(),
        // What the caller names is the caller's own business.
        dial: DialPolicy { allow_private: true, never: Vec::new() },
        limits: NodeLimits::default(),
        routing: RoutingOptions::default(),
    };
    let node = Node::start(options, store.clone()).await?;
    let (_origins, origins) = watch::channel(from);
    let (progress, _progress) = watch::channel(DagSize::default());
    let request = FetchRequest {
        root: NodeKey::from(cid.inner()),
        account: None,
        epoch: 1,
        origins,
        max_bytes: u64::MAX,
        max_blocks: u64::MAX,
        progress,
        stall_timeout: asked.timeout,
        // In any case before the time is over, so that it is known why nothing came.
        no_source_timeout: (asked.timeout / 2).min(if own { OWN_WORKER } else { NO_SOURCE }),
        answer_timeout: None,
    };
    let late = |_| anyhow!("not here within {}", humantime::format_duration(asked.timeout));
    let totals = match timeout(asked.timeout, node.fetch(request)).await.map_err(late)? {
        Err(FetchError::NotProvided { phase: Phase::Connecting, .. }) if own => {
            bail!(
                "the worker of this data folder does not answer at {from_whom}, wanted one that runs, or --from MULTIADDR"
            )
        }
        Err(FetchError::NotProvided { phase: Phase::Connecting, .. }) => bail!("nobody answers at {from_whom}"),
        fetched => fetched?,
    };
    println!("fetched {cid}: {} blocks, {}", totals.blocks, format_size(totals.bytes));
    if let Some(output) = asked.output.clone() {
        let shown = output.display().to_string();
        let inner = *cid.inner();
        tokio::task::spawn_blocking(move || pinrail_unixfs::export(&store, &inner, &output)).await??;
        println!("written to {shown}");
    }
    Ok(())
}

/// How long the worker of this data folder may take to answer.
const OWN_WORKER: std::time::Duration = std::time::Duration::from_secs(10);

/// How long a peer that has it is looked for.
const NO_SOURCE: std::time::Duration = std::time::Duration::from_secs(30);

/// Where the worker of this data folder can be dialled, as it told the database.
async fn find_own_worker(common: &Common) -> Result<Vec<Multiaddr>> {
    let Some(id) = NodeFolder::new(&common.data_dir).find_id()? else {
        bail!("no worker ever ran on {}, wanted --from MULTIADDR", common.data_dir.display())
    };
    if !NodeFolder::new(&common.data_dir).is_in_use()? {
        bail!(
            "no worker runs on {}, start it, or name a peer that has the content with --from MULTIADDR",
            common.data_dir.display()
        );
    }
    let storage = database::open(common).await?;
    let nodes = storage.list_nodes().await;
    storage.close().await;
    let node = nodes?.into_iter().find(|node| node.id == id);
    let node = node.context("the worker of this data folder is not registered, wanted --from MULTIADDR")?;
    let addresses = node.addresses.iter().filter_map(|address| address.as_str().parse().ok());
    Ok(addresses.collect())
}
