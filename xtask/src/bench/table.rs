//! Figures and how they are shown: each beside what it is held against.

use std::fmt::Write;

use serde::Serialize;

/// A measured figure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    pub name: String,
    pub value: f64,
    pub unit: &'static str,
    /// What it is held against, measured in the same run where that is possible.
    pub yardstick: Option<Yardstick>,
}

/// Something that the figure should reach, or stay under.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Yardstick {
    pub name: String,
    pub value: f64,
    /// Whether less is better, as for times and memory.
    pub less_is_better: bool,
}

impl Figure {
    /// A figure that stands alone.
    pub fn new(name: &str, value: f64, unit: &'static str) -> Self {
        Self { name: name.to_owned(), value, unit, yardstick: None }
    }

    /// The same, held against something.
    #[must_use]
    pub fn against(self, yardstick: Yardstick) -> Self {
        Self { yardstick: Some(yardstick), ..self }
    }

    /// Whether it holds its own; a figure without a yardstick always does.
    pub fn holds(&self) -> bool {
        self.yardstick.as_ref().is_none_or(|yardstick| {
            if yardstick.less_is_better { self.value <= yardstick.value } else { self.value >= yardstick.value }
        })
    }
}

/// What a figure should reach.
pub fn at_least(value: f64, name: &str) -> Yardstick {
    Yardstick { name: name.to_owned(), value, less_is_better: false }
}

/// What a figure should stay under.
pub fn at_most(value: f64, name: &str) -> Yardstick {
    Yardstick { name: name.to_owned(), value, less_is_better: true }
}

/// One line for each figure.
pub fn render(figures: &[Figure]) -> String {
    let width = figures.iter().map(|figure| figure.name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for figure in figures {
        let _ = write!(text, "{:<width$}  {:>10.1} {:<9}", figure.name, figure.value, figure.unit);
        if let Some(Yardstick { name, value, less_is_better }) = &figure.yardstick {
            let bound = if *less_is_better { "at most" } else { "at least" };
            let verdict = if figure.holds() { "ok" } else { "SHORT" };
            let _ = write!(text, "  {verdict:<5}  {bound} {value:.1}: {name}");
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(value: f64, bound: f64, less_is_better: bool) -> Figure {
        let yardstick = Yardstick { name: "what peers do".to_owned(), value: bound, less_is_better };
        Figure { name: "walk".to_owned(), value, unit: "ms", yardstick: Some(yardstick) }
    }

    #[test]
    fn a_figure_is_held_against_its_yardstick() {
        assert!(figure(2.0, 3.0, true).holds() && !figure(4.0, 3.0, true).holds());
        assert!(figure(4.0, 3.0, false).holds() && !figure(2.0, 3.0, false).holds());
        let shown = render(&[figure(4.0, 3.0, true)]);
        assert_eq!(shown, "walk         4.0 ms         SHORT  at most 3.0: what peers do\n");
    }
}
