//! Threads that do something again and again until they are dropped.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The pause after something that could not be done.
const PAUSE: Duration = Duration::from_millis(50);

type Counts = Arc<Mutex<BTreeMap<String, u64>>>;

/// Something that goes on; dropping it ends it after what is under way.
pub struct Background {
    stopping: Arc<AtomicBool>,
    counts: Counts,
    threads: Vec<JoinHandle<()>>,
}

impl Background {
    /// Do `once` on so many threads, each lap with a number of its own. What a lap gives is counted by its text.
    pub fn start<T: ToString>(
        threads: usize,
        once: impl Fn(usize) -> std::io::Result<T> + Send + Sync + 'static,
    ) -> Self {
        let (stopping, counts, once) = (Arc::new(AtomicBool::new(false)), Counts::default(), Arc::new(once));
        let run = |thread: usize| {
            let (stopping, counts, once) = (stopping.clone(), counts.clone(), once.clone());
            thread::spawn(move || {
                for lap in (thread..).step_by(threads) {
                    if stopping.load(Ordering::Relaxed) {
                        return;
                    }
                    let seen = once(lap).map_or_else(
                        |error| {
                            thread::sleep(PAUSE);
                            error.kind().to_string()
                        },
                        |seen| seen.to_string(),
                    );
                    *lock(&counts).entry(seen).or_default() += 1;
                }
            })
        };
        let threads = (0..threads).map(run).collect();
        Self { stopping, counts, threads }
    }

    /// How often a lap gave each text.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        lock(&self.counts).clone()
    }

    /// How many laps there were.
    pub fn laps(&self) -> u64 {
        lock(&self.counts).values().sum()
    }

    /// End it without waiting for what is under way.
    pub fn tell_to_stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.tell_to_stop();
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
