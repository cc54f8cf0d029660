//! When a router is asked: not while it wants to be left alone, and less and less often while it does not answer; pure.

use std::time::Duration;

use hyper::HeaderMap;
use hyper::header::{DATE, HeaderName, RETRY_AFTER};
use tokio::time::Instant;

/// The first pause after a failure, doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// The pause of a busy router that names none, and the bounds of one that is named.
const BUSY_PAUSE: Duration = Duration::from_mins(1);
const SHORTEST_BUSY_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_BUSY_PAUSE: Duration = Duration::from_hours(1);
/// It is worth a word to the operator after so many failures in a row.
const TOLD_AT: u32 = 3;

/// How a router did lately.
#[derive(Debug, Default)]
pub struct Health {
    resumes: Option<Instant>,
    failures: u32,
}

impl Health {
    /// Whether the router is not to be asked at `now`.
    pub fn is_paused(&self, now: Instant) -> bool {
        self.resumes.is_some_and(|resumes| now < resumes)
    }

    /// It answered.
    pub fn note_answer(&mut self) {
        *self = Self::default();
    }

    /// It wants to be left alone, for as long as it says.
    pub fn note_busy(&mut self, now: Instant, pause: Option<Duration>) {
        let pause = pause.unwrap_or(BUSY_PAUSE).clamp(SHORTEST_BUSY_PAUSE, LONGEST_BUSY_PAUSE);
        self.resumes = Some(now + pause);
    }

    /// It did not answer; returns whether that is worth a word.
    pub fn note_failure(&mut self, now: Instant) -> bool {
        // Questions that were under way together fail together.
        if !self.is_paused(now) {
            let pause = FIRST_PAUSE * 2_u32.saturating_pow(self.failures.min(16));
            self.resumes = Some(now + pause.min(LONGEST_PAUSE));
            self.failures += 1;
            return self.failures == TOLD_AT;
        }
        false
    }
}

/// The pause that an answer asks for: in seconds, or until a date, which is compared with the answer's own
/// (RFC 9110, section 10.2.3).
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok();
    let date = |name| httpdate::parse_http_date(text(name)?).ok();
    let seconds = text(RETRY_AFTER)?.trim().parse().ok().map(Duration::from_secs);
    seconds.or_else(|| Some(date(RETRY_AFTER)?.duration_since(date(DATE)?).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_pauses_after_failures_grow_and_end_with_an_answer() {
        let (mut health, start) = (Health::default(), Instant::now());
        let mut now = start;
        let mut pauses = Vec::new();
        for _ in 0..8 {
            health.note_failure(now);
            health.note_failure(now);
            let mut pause = Duration::ZERO;
            while health.is_paused(now + pause) {
                pause += Duration::from_secs(1);
            }
            pauses.push(pause.as_secs());
            now += pause;
        }
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 300, 300]);
        health.note_answer();
        assert!(!health.is_paused(now));
        let told = (0..8).filter(|index| health.note_failure(now + LONGEST_PAUSE * *index)).count();
        assert_eq!(told, 1);
    }

    #[tokio::test]
    async fn a_busy_router_is_left_alone_as_long_as_it_says_within_bounds() {
        let now = Instant::now();
        for (asked, granted) in [(Some(30), 30), (Some(0), 1), (Some(u64::MAX), 3_600), (None, 60)] {
            let mut health = Health::default();
            health.note_busy(now, asked.map(Duration::from_secs));
            let end = now + Duration::from_secs(granted);
            assert!(!health.is_paused(end) && health.is_paused(now + Duration::from_millis(granted * 1_000 - 1)));
        }
    }

    #[test]
    fn both_forms_of_retry_after_are_read() {
        let read = |retry: &str, date: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, retry.parse().expect("a value"));
            date.map(|date| headers.insert(DATE, date.parse().expect("a value")));
            retry_after(&headers).map(|pause| pause.as_secs())
        };
        let (early, late) = ("Mon, 30 Nov 2026 10:00:00 GMT", "Mon, 30 Nov 2026 10:02:00 GMT");
        assert_eq!(read("120", None), Some(120));
        assert_eq!(read(late, Some(early)), Some(120));
        assert_eq!(read(early, Some(late)), Some(0));
        assert_eq!(read(late, None), None);
        assert_eq!(read("soon", Some(early)), None);
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
