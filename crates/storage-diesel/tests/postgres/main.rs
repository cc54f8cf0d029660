//! The storage on PostgreSQL, against one real server that this program starts and that ends with it.

mod conformance;
mod opening;
mod running;
mod scene;
mod server;
