//! One budget for the received bytes that are in memory, with shares for peers and address blocks.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Waker};

use libp2p::PeerId;

use crate::address_block::AddressBlock;
use crate::bitswap::lock;
use crate::counters::Counters;
use crate::known_peers::KnownPeers;
use crate::network::Commands;

/// A stranger that holds less than this may always receive: a list of wants must get through whatever others do.
const FLOOR: usize = 64 << 10;
/// A peer that holds less than this is not closed to make room.
const WORTH_CLOSING: usize = 256 << 10;

/// The process's budget.
pub struct Budget {
    /// All of it; strangers may use half.
    all: Scope,
    strangers: Scope,
    per_peer: usize,
    per_block: usize,
    accounts: Mutex<HashMap<PeerId, Weak<Account>>>,
    blocks: Mutex<HashMap<AddressBlock, Weak<Scope>>>,
    closing: Mutex<Weak<Account>>,
    known: Arc<KnownPeers>,
    counters: Arc<Counters>,
    commands: Commands,
}

impl Budget {
    /// A budget of `limit` bytes: half of it is kept for known peers, one peer may have an eighth and one address
    /// block a quarter. `commands` disconnect peers.
    pub fn new(limit: usize, known: Arc<KnownPeers>, counters: Arc<Counters>, commands: Commands) -> Arc<Self> {
        Arc::new(Self {
            all: Scope::new(limit),
            strangers: Scope::new(limit / 2),
            per_peer: limit / 8,
            per_block: limit / 4,
            accounts: Mutex::default(),
            blocks: Mutex::default(),
            closing: Mutex::default(),
            known,
            counters,
            commands,
        })
    }

    /// The account of a peer, which all its connections share.
    pub fn account(self: &Arc<Self>, peer: PeerId, block: AddressBlock) -> Arc<Account> {
        let mut accounts = lock(&self.accounts);
        if let Some(account) = accounts.get(&peer).and_then(Weak::upgrade) {
            return account;
        }
        let own = Scope::new(self.per_peer);
        let account =
            Arc::new(Account { peer, address_block: block, budget: self.clone(), own, block: self.block(block) });
        accounts.insert(peer, Arc::downgrade(&account));
        account
    }

    fn block(&self, block: AddressBlock) -> Arc<Scope> {
        let mut blocks = lock(&self.blocks);
        blocks.retain(|_, scope| scope.strong_count() > 0);
        blocks.get(&block).and_then(Weak::upgrade).unwrap_or_else(|| {
            let scope = Arc::new(Scope::new(self.per_block));
            blocks.insert(block, Arc::downgrade(&scope));
            scope
        })
    }

    /// Bytes that are held now, and the most that may be.
    pub fn usage(&self) -> (usize, usize) {
        (self.all.held(), self.all.limit)
    }

    /// There is no room: disconnect the peer that holds most, one at a time.
    fn close_largest(&self, strangers_only: bool) {
        let mut closing = lock(&self.closing);
        if closing.strong_count() > 0 {
            return;
        }
        let accounts = lock(&self.accounts).values().filter_map(Weak::upgrade).collect::<Vec<_>>();
        let candidates = accounts.iter().filter(|account| !(strangers_only && self.known.contains(&account.peer)));
        let candidates = candidates.filter(|account| account.own.held() >= WORTH_CLOSING);
        let Some(largest) = candidates.max_by_key(|account| account.own.held()) else { return };
        *closing = Arc::downgrade(largest);
        self.counters.closed_for_memory.add(1);
        let held = largest.own.held();
        tracing::info!(peer = %largest.peer, held, "closing the connections of the peer that holds most memory");
        self.commands.disconnect(largest.peer);
        drop(closing);
    }
}

/// What one peer holds.
pub struct Account {
    peer: PeerId,
    address_block: AddressBlock,
    budget: Arc<Budget>,
    own: Scope,
    block: Arc<Scope>,
}

impl Account {
    /// The address block that it connected from first.
    pub fn address_block(&self) -> AddressBlock {
        self.address_block
    }

    /// `bytes` are in memory, received or to keep account of what was.
    pub fn add(&self, bytes: usize) {
        self.scopes().for_each(|scope| scope.add(bytes));
    }

    /// `bytes` are no longer in memory.
    pub fn release(&self, bytes: usize) {
        self.scopes().for_each(|scope| scope.remove(bytes));
    }

    /// Count `bytes` that came over a connection.
    pub fn note_received(&self, bytes: usize) {
        self.budget.counters.bytes_in.add_usize(bytes);
    }

    /// Count `bytes` that were sent.
    pub fn note_sent(&self, bytes: usize) {
        self.budget.counters.bytes_out.add_usize(bytes);
    }

    /// Whether more may be received; else the task of `cx` is woken when that may have changed. `connection` tells
    /// the peer's connections apart.
    pub fn has_room(&self, connection: usize, cx: &Context<'_>) -> bool {
        if !self.own.has_room(connection, cx) {
            return false;
        }
        let budget = &self.budget;
        if self.own.held() < FLOOR && budget.all.is_below() {
            return true;
        }
        let (block, strangers) = (self.block.is_below(), budget.strangers.is_below());
        if block && strangers {
            return true;
        }
        if budget.known.contains(&self.peer) {
            let room = budget.all.has_room(connection, cx);
            if !room {
                budget.close_largest(false);
            }
            return room;
        }
        let room = self.block.has_room(connection, cx) && budget.strangers.has_room(connection, cx);
        if !room && !strangers {
            budget.close_largest(true);
        }
        room
    }

    fn scopes(&self) -> impl Iterator<Item = &Scope> {
        [&self.own, &*self.block, &self.budget.strangers, &self.budget.all].into_iter()
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let mut accounts = lock(&self.budget.accounts);
        // Another account of the peer may have taken its place.
        if accounts.get(&self.peer).is_some_and(|account| account.strong_count() == 0) {
            accounts.remove(&self.peer);
        }
        drop(accounts);
        // Whoever waits for this one's room looks again, and then closes another if there is still none.
        self.budget.strangers.wake();
        self.budget.all.wake();
    }
}

/// Bytes of one message, counted until they are dropped.
pub struct Hold {
    account: Arc<Account>,
    bytes: usize,
}

impl Hold {
    /// Nothing yet.
    pub fn new(account: Arc<Account>) -> Self {
        Self { account, bytes: 0 }
    }

    /// Count `bytes` more.
    pub fn add(&mut self, bytes: usize) {
        self.account.add(bytes);
        self.bytes += bytes;
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.account.release(self.bytes);
    }
}

/// A number of bytes and its limit, with those who wait until it is below.
struct Scope {
    held: AtomicUsize,
    limit: usize,
    waiting: Mutex<HashMap<usize, Waker>>,
}

impl Scope {
    fn new(limit: usize) -> Self {
        Self { held: AtomicUsize::new(0), limit, waiting: Mutex::default() }
    }

    fn held(&self) -> usize {
        self.held.load(Ordering::SeqCst)
    }

    fn is_below(&self) -> bool {
        self.held() < self.limit
    }

    fn add(&self, bytes: usize) {
        self.held.fetch_add(bytes, Ordering::SeqCst);
    }

    fn remove(&self, bytes: usize) {
        let before = self.held.fetch_sub(bytes, Ordering::SeqCst);
        if before >= self.limit && before - bytes < self.limit {
            self.wake();
        }
    }

    fn wake(&self) {
        let waiting = std::mem::take(&mut *lock(&self.waiting));
        waiting.into_values().for_each(Waker::wake);
    }

    /// Looks again after the waker is in place, so that no release in between is missed.
    fn has_room(&self, connection: usize, cx: &Context<'_>) -> bool {
        self.is_below() || {
            lock(&self.waiting).insert(connection, cx.waker().clone());
            self.is_below()
        }
    }
}
