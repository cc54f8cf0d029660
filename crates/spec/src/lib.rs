//! The IPFS Pinning Service API's own types and limits.
