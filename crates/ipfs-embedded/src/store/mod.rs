//! The durable block store: blocks in append-only segments, nodes, links and counts in an index.
mod disk;
mod key;
mod types;

pub use disk::{Access, Disk, DiskFile, SystemDisk};
pub use key::NodeKey;
pub use types::{
    Adopt, Collected, Committed, NodeLinks, Put, RootState, Space, StoreError, StoreOptions,
    Totals, Walk,
};
