//! The checks every IPFS backend passes.
