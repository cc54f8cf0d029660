//! The pinning API over a storage in memory, whose worker calls every root pinned: for trying clients, not for data.
//!
//! ```sh
//! cargo run -p pinrail-http --example memory
//! ```
//!
//! It prints its endpoint and a token, and serves until Ctrl-C.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pinrail_domain::{
    Access, AccountId, Backend, DagSize, LeaseTask, Limits, MintRequest, NodeId, Role, Scopes, SigningKey, TokenId,
    Verdict, mint,
};
use pinrail_http::{ServerLimits, Settings, State, router, serve};
use pinrail_spec::{Multiaddr, Timestamp};
use pinrail_storage::{
    AccessTokens, Accounts, NewAccount, NodeRegistration, Nodes, RootQueue, Settlement, SigningKeys, Storage,
};
use pinrail_storage_conformance::MemoryStorage;
use tokio::net::TcpListener;

const PEER: &str = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_env_filter("debug,hyper=info,h2=info").with_writer(std::io::stderr).init();
    let storage = Arc::new(MemoryStorage::new(Arc::new(now)));
    let node = NodeId::new(now(), random());
    storage.register_node(&registration(node)?, now()).await?;
    let token = add_account(&storage).await?;

    let service = storage.service_id().await?;
    let settings = Settings { allow_private_origins: true, ..Settings::default() };
    let state = State::new(storage.clone(), service, Arc::new(now), Arc::new(random), settings);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("endpoint http://{}", listener.local_addr()?);
    println!("token {token}");

    let working = tokio::spawn(pin_everything(storage, node));
    let draining = state.clone();
    serve(listener, router(state), ServerLimits::default(), async move {
        let _ = tokio::signal::ctrl_c().await;
        draining.drain();
    })
    .await;
    working.abort();
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "this is a main, which hands the time to everything else")]
fn now() -> Timestamp {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes);
    bytes
}

fn registration(id: NodeId) -> Result<NodeRegistration, Box<dyn std::error::Error>> {
    let address = Multiaddr::parse(&format!("/ip4/127.0.0.1/tcp/4401/p2p/{PEER}"))?;
    Ok(NodeRegistration { id, backend: Backend::Embedded, peer_id: PEER.to_owned(), addresses: vec![address] })
}

/// An account that may pin, and a token of it.
async fn add_account(storage: &MemoryStorage) -> Result<String, Box<dyn std::error::Error>> {
    let id = AccountId::new(now(), random());
    let account =
        NewAccount { id, name: "example".to_owned(), email: None, role: Role::Pinner, limits: Limits::UNLIMITED };
    storage.add_account(&account, now()).await?;
    let access = Access { since: now(), by: "operator".to_owned(), until: None };
    storage.set_access(&id, Some(&access), None, now()).await?;

    let key = SigningKey::new(1, random());
    storage.add_key(&key.public(now())).await?;
    let request = MintRequest {
        service: storage.service_id().await?,
        account: id,
        token: TokenId::new(now(), random()),
        name: "example".to_owned(),
        scopes: Scopes::pins(),
        expires: None,
        created: now(),
    };
    let minted = mint(&request, &key, random())?;
    storage.add_token(&minted.record).await?;
    Ok(minted.text)
}

/// A worker that fetches nothing: it calls pinned what waits to be pinned, and released what is released.
async fn pin_everything(storage: Arc<MemoryStorage>, node: NodeId) -> Result<(), pinrail_storage::StorageError> {
    loop {
        storage.beat(&node, now()).await?;
        let until = now() + Duration::from_mins(1);
        let leases = storage.lease_due(&node, now(), until, 64, 64).await?;
        let settlements = leases.into_iter().map(|lease| Settlement {
            lease: lease.key,
            verdict: match lease.task {
                LeaseTask::Pin { .. } => Verdict::Pinned { size: DagSize::default() },
                LeaseTask::Release => Verdict::Released,
            },
        });
        storage.settle(&settlements.collect::<Vec<_>>(), now()).await?;
        while storage.copy_statuses().await? {}
        tokio::select! {
            changed = storage.changed() => changed?,
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
}
