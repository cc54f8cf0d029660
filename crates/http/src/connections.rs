//! The connections that are open: a share for each network of clients, and the longest idle one goes when all are taken.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ipnet::IpNet;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

/// All open connections of a listener.
pub(crate) struct Connections {
    places: usize,
    for_each: usize,
    table: Mutex<Table>,
    /// Told when a connection leaves or has nothing to do any more.
    freed: Notify,
}

#[derive(Default)]
struct Table {
    open: HashMap<u64, Open>,
    of_network: HashMap<IpNet, usize>,
    next: u64,
    /// Counts the moments at which a connection became idle.
    turn: u64,
}

struct Open {
    /// `None` for a trusted proxy, behind which many clients may be.
    network: Option<IpNet>,
    /// The turn since which it has no request; `None` while it has one.
    idle_since: Option<u64>,
    activity: Arc<Activity>,
}

/// What a connection does.
struct Activity {
    requests: watch::Sender<usize>,
    closed: Notify,
}

/// Why a connection was not let in.
enum Refused {
    /// Its network has as many as it may, and all of them are busy.
    ShareTaken,
    /// All places are taken, and all of them are busy.
    AllTaken,
}

/// A connection's place, given back when it is dropped.
pub(crate) struct Place {
    id: u64,
    connections: Arc<Connections>,
    activity: Arc<Activity>,
}

/// A request that is being answered, until this is dropped.
pub(crate) struct Busy(Arc<Place>);

impl Connections {
    /// Room for so many connections, and for so many of one network.
    pub(crate) fn new(places: usize, for_each: usize) -> Arc<Self> {
        Arc::new(Self { places, for_each, table: Mutex::default(), freed: Notify::new() })
    }

    /// A place for a connection of this network; `None` when it has its share and uses all of it. An idle connection
    /// makes room, the longest idle one first; while all are busy this waits.
    pub(crate) async fn enter(self: &Arc<Self>, network: Option<IpNet>) -> Option<Arc<Place>> {
        loop {
            let freed = self.freed.notified();
            match self.try_enter(network) {
                Ok(place) => return Some(Arc::new(place)),
                Err(Refused::ShareTaken) => return None,
                Err(Refused::AllTaken) => freed.await,
            }
        }
    }

    fn try_enter(self: &Arc<Self>, network: Option<IpNet>) -> Result<Place, Refused> {
        let mut table = self.table();
        let of_network = network.and_then(|network| table.of_network.get(&network)).copied().unwrap_or(0);
        if of_network >= self.for_each && !table.close_longest_idle(|open| open.network == network) {
            return Err(Refused::ShareTaken);
        }
        if table.open.len() >= self.places && !table.close_longest_idle(|_| true) {
            return Err(Refused::AllTaken);
        }
        let (id, activity) = table.insert(network);
        Ok(Place { id, connections: Arc::clone(self), activity })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn insert(&mut self, network: Option<IpNet>) -> (u64, Arc<Activity>) {
        let activity = Arc::new(Activity { requests: watch::Sender::new(0), closed: Notify::new() });
        self.next += 1;
        self.turn += 1;
        let open = Open { network, idle_since: Some(self.turn), activity: Arc::clone(&activity) };
        self.open.insert(self.next, open);
        if let Some(network) = network {
            *self.of_network.entry(network).or_default() += 1;
        }
        (self.next, activity)
    }

    fn remove(&mut self, id: u64) -> Option<Open> {
        let open = self.open.remove(&id)?;
        if let Some(network) = open.network
            && let Some(count) = self.of_network.get_mut(&network)
        {
            *count -= 1;
            if *count == 0 {
                self.of_network.remove(&network);
            }
        }
        Some(open)
    }

    /// Close the one of these that has been idle longest; whether any is idle.
    fn close_longest_idle(&mut self, of: impl Fn(&Open) -> bool) -> bool {
        let idle = self.open.iter().filter(|(_, open)| of(open));
        let longest = idle.filter_map(|(id, open)| Some((open.idle_since?, *id))).min();
        let Some(open) = longest.and_then(|(_, id)| self.remove(id)) else { return false };
        open.activity.closed.notify_one();
        true
    }
}

impl Place {
    /// Note that a request begins.
    pub(crate) fn begin(self: &Arc<Self>) -> Busy {
        if let Some(open) = self.connections.table().open.get_mut(&self.id) {
            open.idle_since = None;
        }
        self.activity.requests.send_modify(|requests| *requests += 1);
        Busy(Arc::clone(self))
    }

    /// Wait until another connection was given this place.
    pub(crate) async fn taken(&self) {
        self.activity.closed.notified().await;
    }

    /// Wait until no request was answered for so long.
    pub(crate) async fn idle_for(&self, limit: Duration) {
        let mut requests = self.activity.requests.subscribe();
        loop {
            let is_closed = requests.wait_for(|requests| *requests == 0).await.is_err();
            if is_closed || timeout(limit, requests.changed()).await.is_err() {
                return;
            }
        }
    }

    fn end(&self) {
        let mut is_idle = false;
        self.activity.requests.send_modify(|requests| {
            *requests -= 1;
            is_idle = *requests == 0;
        });
        if is_idle {
            let mut table = self.connections.table();
            table.turn += 1;
            let turn = table.turn;
            if let Some(open) = table.open.get_mut(&self.id) {
                open.idle_since = Some(turn);
            }
            drop(table);
            self.connections.freed.notify_waiters();
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.table().remove(self.id);
        self.connections.freed.notify_waiters();
    }
}
