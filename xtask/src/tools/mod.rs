//! The programs of others that development needs, each of one version, kept in the cache.

pub mod cargo_tools;
pub mod chromium;
pub mod kubo;
pub mod node;
pub mod postgres;
pub mod system;
