//! Numbers of the multicodec table that have a name here: codecs of blocks, and hash functions.

/// Bytes without links.
pub const RAW: u64 = 0x55;
/// Protobuf nodes, the codec of `UnixFS` files and directories.
pub const DAG_PB: u64 = 0x70;
/// CBOR with links.
pub const DAG_CBOR: u64 = 0x71;
/// JSON with links.
pub const DAG_JSON: u64 = 0x0129;
/// Plain CBOR, which has no links.
pub const CBOR: u64 = 0x51;
/// Plain JSON, which has no links.
pub const JSON: u64 = 0x0200;
/// The codec of IPNS names.
pub const LIBP2P_KEY: u64 = 0x72;

/// The hash function whose digest is the content itself.
pub const IDENTITY: u64 = 0x00;
/// The hash function of almost all CIDs.
pub const SHA2_256: u64 = 0x12;
/// The function that places names in `UnixFS` shards.
pub const MURMUR3_X64_64: u64 = 0x22;
