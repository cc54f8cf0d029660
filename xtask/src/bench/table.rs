//! Figures and how they are shown: each beside what it is held against.

use std::collections::HashMap;
use std::fmt::Write;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The figures of a group.
#[derive(Debug, Serialize)]
pub struct Measured {
    pub group: &'static str,
    /// How long measuring took.
    pub seconds: f64,
    pub figures: Vec<Figure>,
}

/// A measured figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    pub name: String,
    pub value: f64,
    pub unit: String,
    /// What it is held against, measured in the same run where that is possible.
    pub yardstick: Option<Yardstick>,
    /// What limits it, for the case that it falls short.
    pub limit: Option<String>,
}

/// Something that the figure should reach, or stay under.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Yardstick {
    pub name: String,
    pub value: f64,
    /// Whether less is better, as for times and memory.
    pub less_is_better: bool,
}

impl Figure {
    /// A figure that stands alone.
    pub fn new(name: impl Into<String>, value: f64, unit: &str) -> Self {
        Self { name: name.into(), value, unit: unit.to_owned(), yardstick: None, limit: None }
    }

    /// The same, held against something.
    #[must_use]
    pub fn against(self, yardstick: Yardstick) -> Self {
        Self { yardstick: Some(yardstick), ..self }
    }

    /// The same, with what limits it.
    #[must_use]
    pub fn limited_by(self, limit: &str) -> Self {
        Self { limit: Some(limit.to_owned()), ..self }
    }

    /// Whether it holds its own; a figure without a yardstick always does.
    pub fn holds(&self) -> bool {
        self.yardstick.as_ref().is_none_or(|yardstick| {
            if yardstick.less_is_better { self.value <= yardstick.value } else { self.value >= yardstick.value }
        })
    }
}

/// The figures of another build, by group and name.
#[derive(Debug, Default)]
pub struct Other(HashMap<(String, String), f64>);

impl Other {
    /// Reads what a run of the other build has written.
    pub fn read(bench: &Value) -> Result<Self> {
        let mut figures = HashMap::new();
        for group in bench["groups"].as_array().context("the file has no groups of figures")? {
            let name = group["group"].as_str().context("a group has no name")?;
            let of_group: Vec<Figure> = serde_json::from_value(group["figures"].clone())?;
            figures.extend(of_group.into_iter().map(|figure| ((name.to_owned(), figure.name), figure.value)));
        }
        Ok(Self(figures))
    }

    /// How many percent a figure is of the other build's.
    fn share(&self, group: &str, figure: &Figure) -> Option<f64> {
        let other = self.0.get(&(group.to_owned(), figure.name.clone()))?;
        (*other > 0.0).then(|| 100.0 * figure.value / other)
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

/// One line for each figure, under its group, with its share of another build's if there is one, and one more for what
/// limits it if it falls short.
pub fn render(measured: &[Measured], other: &Other) -> String {
    let figures = || measured.iter().flat_map(|measured| &measured.figures);
    let width = figures().map(|figure| figure.name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for Measured { group, seconds, figures } in measured {
        let _ = writeln!(text, "{group} ({seconds:.0} s)");
        for figure in figures {
            line(&mut text, figure, width, other.share(group, figure));
        }
    }
    let short = figures().filter(|figure| !figure.holds()).count();
    let held = figures().filter(|figure| figure.yardstick.is_some()).count();
    let _ = writeln!(text, "{} of {held} held figures reach their yardsticks, {short} fall short", held - short);
    text
}

fn line(text: &mut String, figure: &Figure, width: usize, share: Option<f64>) {
    let Figure { name, value, unit, yardstick, limit } = figure;
    let digits = if *value < 10.0 { 2 } else { usize::from(*value < 100.0) };
    let _ = write!(text, "  {name:<width$}  {value:>10.digits$} {unit:<9}");
    if let Some(share) = share {
        let _ = write!(text, "  {share:>4.0} %");
    }
    if let Some(Yardstick { name, value, less_is_better }) = yardstick {
        let bound = if *less_is_better { "at most" } else { "at least" };
        let verdict = if figure.holds() { "ok" } else { "SHORT" };
        let _ = write!(text, "  {verdict:<5}  {bound} {value:.1}: {name}");
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    if let Some(limit) = limit.as_ref().filter(|_| !figure.holds()) {
        let _ = writeln!(text, "  {:width$}  limited by: {limit}", "");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn figure(value: f64, yardstick: Yardstick) -> Figure {
        Figure::new("walk", value, "ms").against(yardstick).limited_by("the count")
    }

    #[test]
    fn a_figure_is_held_against_its_yardstick() {
        assert!(figure(2.0, at_most(3.0, "peers")).holds() && !figure(4.0, at_most(3.0, "peers")).holds());
        assert!(figure(4.0, at_least(3.0, "peers")).holds() && !figure(2.0, at_least(3.0, "peers")).holds());
    }

    #[test]
    fn what_limits_a_figure_is_shown_when_it_falls_short() {
        let figures = vec![figure(4.0, at_most(3.0, "peers")), figure(2.0, at_most(3.0, "peers"))];
        let shown = render(&[Measured { group: "api", seconds: 7.4, figures }], &Other::default());
        let wanted = "api (7 s)\n  walk        4.00 ms         SHORT  at most 3.0: peers\n        limited by: the count\n\
            \x20 walk        2.00 ms         ok     at most 3.0: peers\n\
            1 of 2 held figures reach their yardsticks, 1 fall short\n";
        assert_eq!(shown, wanted);
    }

    #[test]
    fn a_figure_is_shown_with_its_share_of_another_builds() {
        let figures = json!([{ "name": "walk", "value": 8.0, "unit": "ms" }]);
        let other =
            Other::read(&json!({ "groups": [{ "group": "api", "seconds": 1.0, "figures": figures }] })).unwrap();
        let measured = |group| [Measured { group, seconds: 7.4, figures: vec![Figure::new("walk", 6.0, "ms")] }];
        assert!(render(&measured("api"), &other).contains("6.00 ms           75 %\n"));
        assert!(!render(&measured("store"), &other).contains('%'), "it is a figure of another group");
        assert!(Other::read(&json!({})).is_err());
    }
}
