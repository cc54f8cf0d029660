//! What an IPFS backend can do, and the links of a block.
