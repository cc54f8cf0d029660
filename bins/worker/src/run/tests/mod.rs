//! The worker's steps over storage in memory, a scripted backend, and clocks that only the test moves.

mod backend;
mod cancelling;
mod fellows;
mod fruitless;
mod idle;
mod outages;
mod pinning;
mod readiness;
mod running;
mod scene;
mod slots;
