//! The checks every storage passes, and the in-memory reference.
