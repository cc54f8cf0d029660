//! A moment in UTC at the precision of the wire: milliseconds.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Milliseconds since the Unix epoch, written `YYYY-MM-DDTHH:MM:SS.mmmZ`.
///
/// JavaScript clients cut timestamps to milliseconds and page with them, so nothing finer is ever kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The next representable moment, one millisecond later.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The time from `earlier` to `self`, zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }

    /// Read an RFC 3339 date-time; what is finer than a millisecond is cut off.
    pub fn parse_floor(text: &str) -> Option<Self> {
        let moment = DateTime::parse_from_rfc3339(text).ok()?;
        Some(Self(moment.timestamp_millis()))
    }

    /// Read an RFC 3339 date-time; what is finer than a millisecond rounds up to the next.
    ///
    /// `created < 12.3004` holds for 12.300, so an exclusive upper bound has to round up.
    pub fn parse_ceil(text: &str) -> Option<Self> {
        let moment = DateTime::parse_from_rfc3339(text).ok()?;
        let finer = moment.timestamp_subsec_nanos() % 1_000_000 != 0;
        Some(Self(moment.timestamp_millis() + i64::from(finer)))
    }
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = DateTime::<Utc>::from_timestamp_millis(self.0).ok_or(fmt::Error)?;
        formatter.write_str(&moment.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse_floor(&text).ok_or_else(|| serde::de::Error::custom("expected an RFC 3339 date-time"))
    }
}

#[cfg(test)]
mod tests {
    use super::Timestamp;

    #[test]
    fn is_written_with_three_digits_and_a_z() {
        assert_eq!(Timestamp::from_millis(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp::from_millis(1_595_871_148_070).to_string(), "2020-07-27T17:32:28.070Z");
    }

    #[test]
    fn bounds_finer_than_a_millisecond_round_apart() {
        let text = "2020-07-27T17:32:28.070000001Z";
        let floor = Timestamp::parse_floor(text).unwrap();
        assert_eq!(floor.as_millis(), 1_595_871_148_070);
        assert_eq!(Timestamp::parse_ceil(text), Some(floor.next()));
        assert_eq!(Timestamp::parse_ceil("2020-07-27T19:32:28.07+02:00"), Some(floor));
        assert_eq!(Timestamp::parse_floor("yesterday"), None);
    }
}
