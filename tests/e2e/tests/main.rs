//! The built programs, driven as their users do, each part in a module of its own.

mod abuse;
mod chaos;
mod checks;
mod compliance;
mod docs;
mod embed;
mod helia;
mod kubo;
mod network;
mod postgres;
mod together;
