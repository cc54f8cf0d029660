//! Kademlia: the distributed hash table in which IPFS nodes say what they provide.
//!
//! libp2p-kad keeps the routing table and is the server's side. Questions go out by our own look-ups on our own streams,
//! since its queries yield providers without addresses, dial past the node's bounds and keep no count of their cost.

mod keyspace;
mod search;
mod wire;
