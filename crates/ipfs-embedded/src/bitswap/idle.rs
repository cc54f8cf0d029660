//! Streams over which a message came and the next may follow: so many are kept, then the oldest are closed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::lock::lock;

/// Idle streams of one peer. Most peers use one, or a new one for each message that they close afterwards; some never
/// close any.
const MAX_IDLE: usize = 64;

/// The idle streams of a peer, the longest idle first.
#[derive(Default)]
pub struct IdleStreams(Mutex<VecDeque<Arc<Notify>>>);

impl IdleStreams {
    /// Count as idle until the answer is dropped.
    pub fn enter(&self) -> Idle<'_> {
        let close = Arc::new(Notify::new());
        let mut streams = lock(&self.0);
        streams.push_back(close.clone());
        if streams.len() > MAX_IDLE
            && let Some(oldest) = streams.pop_front()
        {
            oldest.notify_one();
        }
        Idle { streams: self, close }
    }
}

/// One idle stream's place.
pub struct Idle<'a> {
    streams: &'a IdleStreams,
    close: Arc<Notify>,
}

impl Idle<'_> {
    /// Until too many others are idle for a shorter time.
    pub async fn wait_too_many(&self) {
        self.close.notified().await;
    }
}

impl Drop for Idle<'_> {
    fn drop(&mut self) {
        lock(&self.streams.0).retain(|stream| !Arc::ptr_eq(stream, &self.close));
    }
}
