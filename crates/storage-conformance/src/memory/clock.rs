//! A clock that stands still until a test moves it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use pinrail_spec::Timestamp;

/// Sets another clock to a time.
type Follower = Box<dyn Fn(Timestamp) + Send + Sync>;

/// A clock that stands still until it is moved.
pub struct TestClock {
    millis: AtomicI64,
    follower: Option<Follower>,
}

impl TestClock {
    /// A clock that shows `time`.
    pub const fn at(time: Timestamp) -> Self {
        Self { millis: AtomicI64::new(time.as_millis()), follower: None }
    }

    /// The same, which has `follow` set another clock, such as a server's, now and whenever it is moved.
    #[must_use]
    pub fn followed_by(self, follow: impl Fn(Timestamp) + Send + Sync + 'static) -> Self {
        follow(self.now());
        Self { follower: Some(Box::new(follow)), ..self }
    }

    /// What it shows.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.millis.load(Ordering::SeqCst))
    }

    /// Move it on; what it shows then.
    pub fn advance(&self, by: Duration) -> Timestamp {
        self.shift(i64::try_from(by.as_millis()).unwrap_or(i64::MAX))
    }

    /// Move it back, as somebody may who sets a machine's clock.
    pub fn put_back(&self, by: Duration) {
        self.shift(-i64::try_from(by.as_millis()).unwrap_or(i64::MAX));
    }

    fn shift(&self, millis: i64) -> Timestamp {
        let now = Timestamp::from_millis(self.millis.fetch_add(millis, Ordering::SeqCst) + millis);
        if let Some(follow) = &self.follower {
            follow(now);
        }
        now
    }
}
