//! Ten million pins in one account beside ten thousand accounts, held against an account of a thousand.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::figure::Figure;
use crate::fill::{self, Fill};
use crate::place::Place;
use crate::reads::{GRACE, Reader, SMALL, TWICE};
use crate::scene::{Scene, stopwatch};

/// Pins of each account of the crowd.
const EACH: u64 = 100;
/// Accounts of the crowd that are looked at.
const LOOKED_AT: u64 = 20;

/// Reads of an account with `pins` pins and of `accounts` others.
pub async fn measure(place: &Place, pins: u64, accounts: u64) -> Result<Vec<Figure>> {
    let mut alone = Scene::set_up(place, 0, 1).await?;
    let of_small = Reader::fill(&mut alone, "small", SMALL).await?.pages().await?;
    alone.clear().await?;

    let mut scene = Scene::set_up(place, 0, 1).await?;
    let begun = stopwatch();
    fill::crowd(&scene.database, accounts, Fill { pins: EACH, pinned: true, meta: false }).await?;
    let large = Reader::fill(&mut scene, "large", pins).await?;
    let filled = begun.elapsed();
    let mut figures = vec![Figure::time(format!("{pins} pins and {accounts} accounts filled"), filled)];
    for ((name, small), (_, large)) in of_small.iter().zip(large.pages().await?) {
        figures.push(Figure::time(format!("{name} of {pins}"), large).within(2 * *small + GRACE, TWICE));
    }
    let mut of_crowd: Vec<Duration> = vec![Duration::ZERO; of_small.len()];
    for number in 0..LOOKED_AT {
        let name = format!("crowd {}", number * accounts / LOOKED_AT);
        let account = scene.storage.find_account_by_name(&name).await?.context("an account is missing")?;
        let pages = Reader::of(&scene.storage, account.id).await?.pages().await?;
        for (sum, (_, took)) in of_crowd.iter_mut().zip(pages) {
            *sum += took / u32::try_from(LOOKED_AT)?;
        }
    }
    for ((name, small), crowd) in of_small.iter().zip(of_crowd) {
        figures.push(
            Figure::time(format!("{name} of one of {accounts} accounts"), crowd).within(2 * *small + GRACE, TWICE),
        );
    }
    drop(large);
    scene.clear().await?;
    Ok(figures)
}
