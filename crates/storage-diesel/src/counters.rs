//! Counters held against what they count, and where the two differ.

use std::collections::BTreeMap;
use std::fmt;

use pinrail_domain::RootState;

/// A counter that is not what it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CounterMismatch {
    /// Which counter of what.
    pub what: String,
    /// What it says.
    pub stored: i64,
    /// What there is.
    pub counted: i64,
}

/// Which counter of what; accounts, nodes and roots by the keys of their rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Counter {
    /// An account's requests.
    Requests(i64),
    /// The unfinished roots that an account wants.
    QueuedRoots(i64),
    /// The bytes of the roots that an account has.
    Bytes(i64),
    /// A node's unfinished roots.
    Load(i64),
    /// An account's requests with a status among the ordinals of a bucket.
    Bucket { account: i64, level: i16, bucket: i64, status: &'static str },
    /// The requests for a root.
    RootRequests(i64),
    /// The requests for a root and the holds on it.
    Claims(i64),
    /// An account's requests for a root.
    Wants { account: i64, root: i64 },
    /// An account's holds on a root.
    Holds { account: i64, root: i64 },
    /// The node in a root's place in an account's queue, which has to be the root's.
    PlaceNode { account: i64, root: i64 },
    /// The rank there.
    PlaceRank { account: i64, root: i64 },
    /// The due there, in milliseconds since the Unix epoch; 0 where it is not to be leased.
    PlaceDue { account: i64, root: i64 },
}

impl Counter {
    /// That of a bucket.
    pub(crate) const fn bucket(account: i64, level: i16, bucket: i64, status: RootState) -> Self {
        Self::Bucket { account, level, bucket, status: status.as_str() }
    }
}

impl fmt::Display for Counter {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requests(account) => write!(to, "requests of account {account}"),
            Self::QueuedRoots(account) => write!(to, "queued roots of account {account}"),
            Self::Bytes(account) => write!(to, "bytes of account {account}"),
            Self::Load(node) => write!(to, "load of node {node}"),
            Self::Bucket { account, level, bucket, status } => {
                write!(to, "{status} requests of account {account}, level {level}, bucket {bucket}")
            }
            Self::RootRequests(root) => write!(to, "requests for root {root}"),
            Self::Claims(root) => write!(to, "claims on root {root}"),
            Self::Wants { account, root } => write!(to, "requests of account {account} for root {root}"),
            Self::Holds { account, root } => write!(to, "holds of account {account} on root {root}"),
            Self::PlaceNode { account, root } => write!(to, "node of root {root} in the queue of account {account}"),
            Self::PlaceRank { account, root } => write!(to, "rank of root {root} in the queue of account {account}"),
            Self::PlaceDue { account, root } => write!(to, "due of root {root} in the queue of account {account}"),
        }
    }
}

/// What counters say, and what they count.
#[derive(Debug, Default)]
pub(crate) struct Counters(BTreeMap<Counter, (i64, i64)>);

impl Counters {
    /// A counter says `n` more.
    pub(crate) fn stored(&mut self, counter: Counter, n: i64) {
        self.0.entry(counter).or_default().0 += n;
    }

    /// There is `n` more of what it counts.
    pub(crate) fn counted(&mut self, counter: Counter, n: i64) {
        self.0.entry(counter).or_default().1 += n;
    }

    /// Those that differ.
    pub(crate) fn differences(self) -> impl Iterator<Item = CounterMismatch> {
        let differs = |(counter, (stored, counted)): (Counter, (i64, i64))| {
            (stored != counted).then(|| CounterMismatch { what: counter.to_string(), stored, counted })
        };
        self.0.into_iter().filter_map(differs)
    }
}
