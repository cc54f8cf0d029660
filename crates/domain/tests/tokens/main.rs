//! Tokens from minting to authorization, by the public functions alone.

mod authorization;
mod fixture;
mod forged;
mod hostile;
mod hostile_tokens;
mod minting;
mod narrowing;
mod records;
mod restrictions;
