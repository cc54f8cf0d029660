//! Every filter of the specification on a large account, which [`crate::fill`] made.

use std::time::Duration;

use anyhow::{Result, ensure};
use pinrail_spec::{Match, NameFilter, PinFilter, RootKey, Status};

use crate::figure::Figure;
use crate::reads::Reader;
use crate::scene::everything;

/// What every filter should stay under with a million pins in the account.
const GOAL: Duration = Duration::from_millis(10);
const ROWS: &str = "the count is exact, so each of the pins that match is looked at";

/// Whether a filter is held against the goal.
#[derive(Clone, Copy)]
enum Held {
    Always,
    /// Where there is an index for parts of names: on PostgreSQL.
    WithIndex,
    /// It matches a good part of the account, all of which is counted.
    Never,
}

/// A filter's name, whether it is held against the goal, and the filter, another one each time.
type Case<'a> = (&'static str, Held, Box<dyn Fn(u32) -> PinFilter + 'a>);

/// The times of all of them.
pub async fn measure(reader: &Reader, has_index: bool) -> Result<Vec<Figure>> {
    let roots: Vec<RootKey> = reader.sample().await?.iter().map(|pin| pin.pin.cid.root()).collect();
    let mut figures = Vec::new();
    for (name, held, filter) in cases(reader, &roots) {
        let (took, matched) = reader.time_counting(&filter).await?;
        ensure!(matched > 0, "nothing matched the filter by {name}");
        let figure = Figure::time(format!("filter: {name} ({matched} match)"), took);
        figures.push(match held {
            Held::WithIndex if !has_index => figure,
            Held::Always | Held::WithIndex => figure.within(GOAL, "the goal").limited_by(ROWS),
            Held::Never => figure,
        });
    }
    Ok(figures)
}

fn cases<'a>(reader: &'a Reader, roots: &'a [RootKey]) -> Vec<Case<'a>> {
    let mut cases = by_time(reader);
    cases.extend(by_name(reader));
    cases.extend(by_meta(reader));
    let some = |turn: u32, count: usize| {
        let from = usize::try_from(turn).unwrap_or_default();
        let roots = roots.iter().cycle().skip(from % roots.len()).take(count).cloned().collect();
        PinFilter { roots, ..everything() }
    };
    cases.push(("one cid", Held::Always, Box::new(move |turn| some(turn, 1))));
    cases.push(("ten cids", Held::Always, Box::new(move |turn| some(turn, 10))));
    cases
}

fn by_time(reader: &Reader) -> Vec<Case<'_>> {
    let before = |turn| Some(reader.created(reader.any(turn)));
    let after = |turn| Some(reader.created(reader.any(turn)));
    let statuses = |statuses: &[Status]| PinFilter { statuses: statuses.to_vec(), ..everything() };
    vec![
        ("status", Held::Always, Box::new(move |_| statuses(&[Status::Pinned]))),
        ("two statuses", Held::Always, Box::new(move |_| statuses(&[Status::Queued, Status::Pinned]))),
        ("before", Held::Always, Box::new(move |turn| PinFilter { before: before(turn), ..everything() })),
        ("after", Held::Always, Box::new(move |turn| PinFilter { after: after(turn), ..everything() })),
        (
            "status, before and after",
            Held::Always,
            Box::new(move |turn| {
                let (one, other) = (reader.any(turn), reader.any(turn + 1_000));
                PinFilter {
                    before: Some(reader.created(one.max(other) + 10)),
                    after: Some(reader.created(one.min(other))),
                    ..statuses(&[Status::Pinned])
                }
            }),
        ),
    ]
}

fn by_name(reader: &Reader) -> Vec<Case<'_>> {
    let named = |text: String, matching| PinFilter { name: Some(NameFilter { text, matching }), ..everything() };
    // With as many digits as the highest, so that few other names hold it.
    let number = |turn| reader.pins - 1 - reader.any(turn) / 2;
    vec![
        ("exact", Held::Always, Box::new(move |turn| named(format!("Photo {}.jpg", number(turn)), Match::Exact))),
        ("iexact", Held::Always, Box::new(move |turn| named(format!("PHOTO {}.JPG", number(turn)), Match::Iexact))),
        ("partial", Held::WithIndex, Box::new(move |turn| named(format!("o {}.j", number(turn)), Match::Partial))),
        ("ipartial", Held::WithIndex, Box::new(move |turn| named(format!("O {}.J", number(turn)), Match::Ipartial))),
        (
            "ipartial, three digits",
            Held::Never,
            Box::new(move |turn| named((100 + turn % 900).to_string(), Match::Ipartial)),
        ),
        ("ipartial, two letters", Held::Never, Box::new(move |_| named("OT".to_owned(), Match::Ipartial))),
    ]
}

fn by_meta(reader: &Reader) -> Vec<Case<'_>> {
    let with = |pairs: &[(&str, String)]| PinFilter {
        meta: pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect(),
        ..everything()
    };
    let album = |turn| ("album", format!("album-{}", reader.any(turn) / 500));
    let app = |turn| ("app", format!("app-{}", turn % 4));
    vec![
        ("one pair of meta", Held::Always, Box::new(move |turn| with(&[album(turn)]))),
        ("two pairs of meta", Held::Always, Box::new(move |turn| with(&[album(turn), app(turn)]))),
        ("a pair of meta that many have", Held::Never, Box::new(move |turn| with(&[app(turn)]))),
    ]
}
