//! Accounts, nodes and requests such as clients send, and the clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use pinrail_domain::{AccountId, Backend, Limits, NewPinRequest, NodeId, RequestId, Role, TokenId};
use pinrail_spec::{Cid, Multiaddr, Pin, PinFilter, Status, Timestamp};
use pinrail_storage::{NewAccount, NodeRegistration};
use pinrail_storage_diesel::{ConsistencyCheck, Database};

use crate::place::{self, Place};

pub const PEER: &str = "/p2p/12D3KooWEXZkYnsNqLsvuBKa7ZKjKpPq9jPXcrqyJfCbRAzYXtCN";

static SERIAL: AtomicU64 = AtomicU64::new(1);

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
pub fn system_time() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
pub fn stopwatch() -> Instant {
    Instant::now()
}

/// So many in a second.
#[expect(clippy::cast_precision_loss, reason = "figures are rounded anyway")]
pub fn per_second(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64().max(1e-9)
}

fn unique() -> [u8; 10] {
    let mut bytes = [0; 10];
    bytes[2..].copy_from_slice(&SERIAL.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    bytes
}

/// A database with accounts and nodes, opened as `pinrail-api` does.
pub struct Scene {
    pub database: Database,
    pub storage: Arc<dyn ConsistencyCheck>,
    pub accounts: Vec<AccountId>,
    pub nodes: Vec<NodeId>,
}

impl Scene {
    pub async fn set_up(place: &Place, accounts: u64, nodes: u64) -> Result<Self> {
        let database = place.create_migrated().await?;
        let storage = place::open(&database, Duration::ZERO).await?;
        let mut scene = Self { database, storage, accounts: Vec::new(), nodes: Vec::new() };
        for _ in 0..nodes {
            scene.add_node().await?;
        }
        for number in 0..accounts {
            scene.add_account(&format!("account {number}")).await?;
        }
        Ok(scene)
    }

    async fn add_node(&mut self) -> Result<()> {
        let id = NodeId::new(system_time(), unique());
        let addresses = addresses(["/ip4/203.0.113.1/tcp/4401", "/ip4/203.0.113.1/udp/4401/quic-v1"])?;
        let peer_id = format!("node {}", self.nodes.len());
        let registration = NodeRegistration { id, backend: Backend::Embedded, peer_id, addresses };
        self.storage.register_node(&registration, system_time()).await?;
        self.nodes.push(id);
        Ok(())
    }

    pub async fn add_account(&mut self, name: &str) -> Result<AccountId> {
        let id = AccountId::new(system_time(), unique());
        let account =
            NewAccount { id, name: name.to_owned(), email: None, role: Role::Pinner, limits: Limits::UNLIMITED };
        self.accounts.push(self.storage.add_account(&account, system_time()).await?.id);
        Ok(id)
    }

    /// End with the database gone.
    pub async fn clear(self) -> Result<()> {
        drop(self.storage);
        place::remove(self.database).await
    }
}

fn addresses<const N: usize>(of: [&str; N]) -> Result<Vec<Multiaddr>> {
    Ok(of.iter().map(|address| Multiaddr::parse(&format!("{address}{PEER}"))).collect::<Result<_, _>>()?)
}

/// A request as Kubo sends it: a name, two origins, a root of its own.
pub fn request(account: AccountId) -> Result<NewPinRequest> {
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let digest = [0, 1, 2, 3].map(|part| format!("{:016x}", scatter(serial * 4 + part))).concat();
    Ok(NewPinRequest {
        id: RequestId::new(system_time(), unique()),
        account,
        token: TokenId::new(Timestamp::from_millis(0), [0; 10]),
        pin: Pin {
            cid: Cid::parse(&format!("f01551220{digest}"))?,
            name: Some(format!("Photo {serial}.jpg")),
            origins: addresses(["/ip4/203.0.113.7/tcp/4001", "/ip4/203.0.113.7/udp/4001/quic-v1"])?,
            meta: [].into(),
        },
    })
}

/// A number scattered over all of them, as digests are: a new root goes anywhere into the index (`SplitMix64`).
pub const fn scatter(number: u64) -> u64 {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// All of an account's requests, ten a page.
pub fn everything() -> PinFilter {
    PinFilter {
        roots: Vec::new(),
        name: None,
        statuses: Status::ALL.to_vec(),
        before: None,
        after: None,
        meta: [].into(),
        limit: 10,
    }
}
