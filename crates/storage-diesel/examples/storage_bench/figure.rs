//! What was measured, in the form that `cargo xtask bench` shows.

use std::time::Duration;

use serde::Serialize;

/// A measured figure.
#[derive(Serialize)]
pub struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    yardstick: Option<Yardstick>,
    /// What limits it, for the case that it falls short.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<String>,
}

#[derive(Serialize)]
struct Yardstick {
    name: String,
    value: f64,
    less_is_better: bool,
}

impl Figure {
    /// So many of something in a second.
    pub fn rate(name: impl Into<String>, value: f64) -> Self {
        Self { name: name.into(), value, unit: "/s", yardstick: None, limit: None }
    }

    /// How long something takes.
    pub fn time(name: impl Into<String>, took: Duration) -> Self {
        Self { name: name.into(), value: millis(took), unit: "ms", yardstick: None, limit: None }
    }

    /// The same, which should reach this.
    pub fn at_least(mut self, value: f64, name: &str) -> Self {
        self.yardstick = Some(Yardstick { name: name.to_owned(), value, less_is_better: false });
        self
    }

    /// The same, which should not take longer than this.
    pub fn within(mut self, bound: Duration, name: &str) -> Self {
        self.yardstick = Some(Yardstick { name: name.to_owned(), value: millis(bound), less_is_better: true });
        self
    }

    /// The same, with what limits it.
    pub fn limited_by(mut self, limit: &str) -> Self {
        self.limit = Some(limit.to_owned());
        self
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
