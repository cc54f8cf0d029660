//! What Pinrail keeps: the storage traits and their errors.
