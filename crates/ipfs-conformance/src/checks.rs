//! The checks, each over a fresh backend and a peer of it.

use cid::Cid;
use multihash::Multihash;
use pinrail_domain::DagSize;
use pinrail_ipfs::{Held, IpfsBackend, IpfsError, PinJob};
use pinrail_spec::{Multiaddr, RootKey};
use tokio::sync::watch;

use crate::dag::Dag;
use crate::fixture::Provider;

/// A job for `dag` with the peer as its origin, and where its progress is told.
async fn job(dag: &Dag, epoch: u64, provider: &dyn Provider) -> (PinJob, watch::Receiver<DagSize>) {
    job_with(dag.root(), epoch, provider.addresses().await)
}

fn job_with(root: RootKey, epoch: u64, origins: Vec<Multiaddr>) -> (PinJob, watch::Receiver<DagSize>) {
    let (progress, seen) = watch::channel(DagSize::default());
    let origins = watch::channel(origins).1;
    let (max_bytes, max_blocks) = (1 << 20, 1 << 20);
    (PinJob { root, account: None, epoch, origins, previous: None, max_bytes, max_blocks, progress }, seen)
}

async fn pin(backend: &dyn IpfsBackend, provider: &dyn Provider, dag: &Dag, epoch: u64) {
    provider.provide(dag).await;
    let pinned = backend.pin(job(dag, epoch, provider).await.0).await;
    assert_eq!(pinned.expect("it succeeds"), dag.size());
}

async fn collect_all(backend: &dyn IpfsBackend) {
    while backend.collect().await.expect("it collects") {}
}

/// The answer, the progress and the status all tell the DAG's size.
pub async fn a_dag_is_pinned_whole(backend: &dyn IpfsBackend, provider: &dyn Provider) {
    let dag = Dag::sample("whole");
    assert_eq!(backend.status(&dag.root()).await.expect("it succeeds"), Held::Not);
    provider.provide(&dag).await;
    let (job, seen) = job(&dag, 1, provider).await;
    assert_eq!(backend.pin(job).await.expect("it succeeds"), dag.size());
    assert_eq!(*seen.borrow(), dag.size());
    assert_eq!(backend.status(&dag.root()).await.expect("it succeeds"), Held::Whole(dag.size()));
}

/// A root whose CID holds its bytes needs no peer, and is one block of their length whatever its codec.
pub async fn a_root_that_holds_its_content_is_a_block(backend: &dyn IpfsBackend, _: &dyn Provider) {
    let empty_node = [0x0a, 0x00];
    for (codec, bytes) in [(0x70, &empty_node[..]), (0x71, b"\xa0"), (0x55, b"whole")] {
        let multihash = Multihash::<64>::wrap(0, bytes).expect("at most 64 bytes");
        let root = RootKey::from(&Cid::new_v1(codec, multihash));
        let size = DagSize { blocks: 1, bytes: u64::try_from(bytes.len()).expect("a few") };
        let (job, seen) = job_with(root.clone(), 1, Vec::new());
        assert_eq!(backend.pin(job).await.expect("it succeeds"), size, "{root}");
        assert_eq!(*seen.borrow(), size, "{root}");
        assert_eq!(backend.status(&root).await.expect("it succeeds"), Held::Whole(size), "{root}");
    }
}

/// A pin of what is there returns its size with no origin.
pub async fn pinning_again_needs_no_peer(backend: &dyn IpfsBackend, provider: &dyn Provider) {
    let dag = Dag::sample("again");
    pin(backend, provider, &dag, 1).await;
    assert_eq!(backend.pin(job_with(dag.root(), 2, Vec::new()).0).await.expect("it succeeds"), dag.size());
}

/// An unpin is seen in the status, and may be repeated.
pub async fn an_unpinned_dag_is_not_held(backend: &dyn IpfsBackend, provider: &dyn Provider) {
    let dag = Dag::sample("unpinned");
    pin(backend, provider, &dag, 1).await;
    backend.unpin(&dag.root(), 2).await.expect("it succeeds");
    assert_eq!(backend.status(&dag.root()).await.expect("it succeeds"), Held::Not);
    backend.unpin(&dag.root(), 2).await.expect("it succeeds");
    backend.unpin(&Dag::sample("never pinned").root(), 1).await.expect("it succeeds");
    collect_all(backend).await;
    pin(backend, provider, &dag, 3).await;
}

/// A block that two DAGs share outlives the unpin of one.
pub async fn what_others_share_stays(backend: &dyn IpfsBackend, provider: &dyn Provider) {
    let (kept, gone) = (Dag::sample("kept"), Dag::sample("gone"));
    pin(backend, provider, &kept, 1).await;
    pin(backend, provider, &gone, 1).await;
    backend.unpin(&gone.root(), 2).await.expect("it is unpinned");
    collect_all(backend).await;
    assert_eq!(backend.status(&kept.root()).await.expect("it succeeds"), Held::Whole(kept.size()));
    assert_eq!(backend.status(&gone.root()).await.expect("it succeeds"), Held::Not);
}

/// A worker that was paused must not undo what was done since.
pub async fn an_older_epoch_is_refused(backend: &dyn IpfsBackend, provider: &dyn Provider) {
    let dag = Dag::sample("epochs");
    pin(backend, provider, &dag, 5).await;
    let (unpinned, pinned) = (backend.unpin(&dag.root(), 4).await, backend.pin(job(&dag, 4, provider).await.0).await);
    assert!(matches!(unpinned, Err(IpfsError::StaleEpoch)), "{unpinned:?}");
    assert!(matches!(pinned, Err(IpfsError::StaleEpoch)), "{pinned:?}");
    assert_eq!(backend.status(&dag.root()).await.expect("it succeeds"), Held::Whole(dag.size()));
}

/// Nobody has it: so says the answer, and a peer that dials the delegates later is asked.
pub async fn what_nobody_has_is_not_provided_until_somebody_turns_up(
    backend: &dyn IpfsBackend,
    provider: &dyn Provider,
) {
    let dag = Dag::sample("later");
    let ended = backend.pin(job_with(dag.root(), 1, Vec::new()).0).await;
    assert!(matches!(ended, Err(IpfsError::NotProvided { .. })), "{ended:?}");
    provider.provide(&dag).await;
    provider.connect(&backend.delegates().await.expect("it has some")).await;
    assert_eq!(backend.next_found().await, dag.root());
    assert_eq!(backend.pin(job_with(dag.root(), 2, Vec::new()).0).await.expect("it succeeds"), dag.size());
}

/// Of two roots that a peer has, only the one that is still looked for is found.
pub async fn what_is_forgotten_is_not_looked_for(backend: &dyn IpfsBackend, provider: &dyn Provider) {
    let (forgotten, wanted) = (Dag::sample("forgotten"), Dag::sample("wanted"));
    provider.provide(&forgotten).await;
    provider.provide(&wanted).await;
    backend.look_for(&[forgotten.root(), wanted.root()]).await;
    backend.forget(&[forgotten.root()]).await;
    provider.connect(&backend.delegates().await.expect("it has some")).await;
    assert_eq!(backend.next_found().await, wanted.root());
}

/// Origins that are added once the pin has begun are asked.
pub async fn origins_may_come_later(backend: &dyn IpfsBackend, provider: &dyn Provider) {
    let dag = Dag::sample("late origins");
    provider.provide(&dag).await;
    let (origins, known) = watch::channel(Vec::new());
    let (mut job, _seen) = job_with(dag.root(), 1, Vec::new());
    job.origins = known;
    let addresses = provider.addresses().await;
    let adding = async { origins.send_replace(addresses) };
    // Polled in this order, so that they come while it runs, and before it has found that there are none.
    let (pinned, _) = tokio::join!(biased; backend.pin(job), adding);
    assert_eq!(pinned.expect("it succeeds"), dag.size());
}

/// One byte too many is a reason of the content's own.
pub async fn a_dag_over_the_limit_is_unpinnable(backend: &dyn IpfsBackend, provider: &dyn Provider) {
    let dag = Dag::sample("large");
    provider.provide(&dag).await;
    let (mut job, _seen) = job(&dag, 1, provider).await;
    job.max_bytes = dag.size().bytes - 1;
    let ended = backend.pin(job).await;
    assert!(matches!(ended, Err(IpfsError::Unpinnable { .. })), "{ended:?}");
    assert_eq!(backend.status(&dag.root()).await.expect("it succeeds"), Held::Not);
}

/// A block that is not what its codec says will never be.
pub async fn a_malformed_block_is_unpinnable(backend: &dyn IpfsBackend, provider: &dyn Provider) {
    let dag = Dag::malformed();
    provider.provide(&dag).await;
    let ended = backend.pin(job(&dag, 1, provider).await.0).await;
    assert!(matches!(ended, Err(IpfsError::Unpinnable { .. })), "{ended:?}");
}

/// The reason names the function.
pub async fn an_unsupported_hash_is_named(backend: &dyn IpfsBackend, provider: &dyn Provider) {
    let md5 = Multihash::wrap(0xd5, &[7; 16]).expect("16 bytes fit");
    let dag = Dag::with_link(Cid::new_v1(0x55, md5));
    provider.provide(&dag).await;
    let ended = backend.pin(job(&dag, 1, provider).await.0).await;
    assert!(matches!(&ended, Err(IpfsError::Unpinnable { details, .. }) if details.contains("md5")), "{ended:?}");
}

/// Plain cbor and json have no links, so their leaves are bytes to keep.
pub async fn leaves_of_plain_codecs_are_kept(backend: &dyn IpfsBackend, provider: &dyn Provider) {
    let dag = Dag::with_leaves(&[0x51, 0x0200]);
    provider.provide(&dag).await;
    pin(backend, provider, &dag, 1).await;
    assert_eq!(backend.status(&dag.root()).await.expect("it succeeds"), Held::Whole(dag.size()));
}

/// The reason names the block and its codec.
pub async fn a_block_of_another_codec_is_named(backend: &dyn IpfsBackend, provider: &dyn Provider) {
    let dag = Dag::with_leaves(&[0x55, 0x78]);
    provider.provide(&dag).await;
    let ended = backend.pin(job(&dag, 1, provider).await.0).await;
    let Err(IpfsError::Unpinnable { details, .. }) = &ended else { panic!("{ended:?}") };
    let named = [dag.blocks[1].0.to_string(), "0x78".to_owned()];
    assert!(named.iter().all(|name| details.contains(name)), "{details}, wanted {named:?}");
}

/// A pin whose future is dropped leaves nothing that a further one stumbles over.
pub async fn a_dropped_pin_can_be_repeated(backend: &dyn IpfsBackend, provider: &dyn Provider) {
    let dag = Dag::sample("dropped");
    let unprovided = backend.pin(job_with(dag.root(), 1, Vec::new()).0);
    tokio::select! {
        biased;
        ended = unprovided => panic!("nobody has it yet: {ended:?}"),
        () = std::future::ready(()) => {}
    }
    pin(backend, provider, &dag, 2).await;
}

/// A CAR's blocks are there to be pinned with no origin.
pub async fn a_car_is_imported(backend: &dyn IpfsBackend, _: &dyn Provider) {
    let dag = Dag::sample("imported");
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), dag.to_car()).expect("it is written");
    assert_eq!(backend.import(file.path()).await.expect("it succeeds"), vec![dag.root()]);
    assert_eq!(backend.status(&dag.root()).await.expect("it succeeds"), Held::Not, "nothing is pinned by it");
    assert_eq!(backend.pin(job_with(dag.root(), 1, Vec::new()).0).await.expect("it succeeds"), dag.size());
}

/// A block that is not what its CID says is not taken in.
pub async fn a_damaged_car_is_refused(backend: &dyn IpfsBackend, _: &dyn Provider) {
    let mut dag = Dag::sample("damaged");
    dag.blocks[0].1[0] ^= 1;
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), dag.to_car()).expect("it is written");
    assert!(backend.import(file.path()).await.is_err());
}

/// Clients read them from the answer to a POST: one without the peer would make their command fail.
pub async fn delegates_name_the_peer(backend: &dyn IpfsBackend, _: &dyn Provider) {
    let suffix = format!("/p2p/{}", backend.peer_id().await.expect("it has one"));
    let delegates = backend.delegates().await.expect("it has some");
    assert!((1..=20).contains(&delegates.len()));
    assert!(delegates.iter().all(|delegate| delegate.as_str().ends_with(&suffix)), "{delegates:?}");
}

/// A backend that runs and has room is ready, empty or not.
pub async fn it_is_ready(backend: &dyn IpfsBackend, provider: &dyn Provider) {
    backend.ready().await.expect("it succeeds");
    pin(backend, provider, &Dag::sample("ready"), 1).await;
    backend.ready().await.expect("it succeeds");
}
