//! Reads of large accounts: pages, counts, single pins, and every filter.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pinrail_domain::{AccountId, PinRequest};
use pinrail_spec::{PinFilter, Status, Timestamp};
use pinrail_storage_diesel::ConsistencyCheck;

use crate::figure::Figure;
use crate::fill::{self, Fill};
use crate::filters;
use crate::place::Place;
use crate::scene::{Scene, everything, stopwatch, system_time};

/// A read of a large account may take so much longer than twice a small one's.
pub const GRACE: Duration = Duration::from_millis(1);
pub const SMALL: u64 = 1_000;
pub const TWICE: &str = "twice the time in an account of a thousand, and 1 ms";
/// Tries of one read, as many as fit.
const TRIES: u32 = 100;
const PATIENCE: Duration = Duration::from_secs(2);

/// An account whose pins are numbered from 0.
pub struct Reader {
    pub storage: Arc<dyn ConsistencyCheck>,
    pub account: AccountId,
    pub pins: u64,
    /// When its first pin was created; the others follow, one a millisecond.
    pub first: Timestamp,
}

/// Reads of an account with a thousand pins and of one with `pins`, and all filters in the latter.
pub async fn measure(place: &Place, pins: u64) -> Result<Vec<Figure>> {
    let mut scene = Scene::set_up(place, 1, 1).await?;
    let small = Reader::fill(&mut scene, "small", SMALL).await?;
    let differences = scene.storage.check_counters().await?;
    ensure!(differences.is_empty(), "the filled account does not count right: {differences:?}");
    let large = Reader::fill(&mut scene, "large", pins).await?;
    let mut figures = Vec::new();
    for ((name, of_small), (_, of_large)) in small.pages().await?.into_iter().zip(large.pages().await?) {
        figures.push(Figure::time(format!("{name} of {pins}"), of_large).within(2 * of_small + GRACE, TWICE));
    }
    let page_of_small = small.walk(SMALL / 10).await?;
    let page = large.walk(10_000.min(pins / 10)).await?;
    let walked = Figure::time(format!("a page of a walk by ten through {pins}"), page);
    figures.push(walked.within(2 * page_of_small + GRACE, TWICE));
    figures.extend(filters::measure(&large, place.is_postgres()).await?);
    drop((small, large));
    scene.clear().await?;
    Ok(figures)
}

impl Reader {
    pub async fn fill(scene: &mut Scene, name: &str, pins: u64) -> Result<Self> {
        let account = scene.add_account(name).await?;
        fill::account(&scene.database, name, Fill { pins, pinned: true, meta: true }).await?;
        Self::of(&scene.storage, account).await
    }

    /// A filled account.
    pub async fn of(storage: &Arc<dyn ConsistencyCheck>, account: AccountId) -> Result<Self> {
        let page = storage.list_pin_requests(&account, &everything(), system_time()).await?;
        let newest = page.requests.first().context("the account is empty")?.created;
        let first = Timestamp::from_millis(newest.as_millis() + 1 - i64::try_from(page.count)?);
        Ok(Self { storage: Arc::clone(storage), account, pins: page.count, first })
    }

    /// A pin's number, another one each time and all over the account.
    pub fn any(&self, turn: u32) -> u64 {
        crate::scene::scatter(u64::from(turn)) % self.pins
    }

    pub fn created(&self, number: u64) -> Timestamp {
        self.first + Duration::from_millis(number)
    }

    /// The reads whose time must not grow with the account.
    pub async fn pages(&self) -> Result<Vec<(&'static str, Duration)>> {
        let by_status = |status| PinFilter { statuses: vec![status], ..everything() };
        Ok(vec![
            ("find one", self.find().await?),
            ("first page and count", self.time(|_| everything()).await?),
            ("first page and count of the queued", self.time(|_| by_status(Status::Queued)).await?),
            ("first page and count of the pinned", self.time(|_| by_status(Status::Pinned)).await?),
            ("page before any and count", self.time(|turn| self.before(turn)).await?),
        ])
    }

    fn before(&self, turn: u32) -> PinFilter {
        PinFilter { before: Some(self.created(self.any(turn))), ..everything() }
    }

    /// Pins all over the account.
    pub async fn sample(&self) -> Result<Vec<PinRequest>> {
        let mut pins = Vec::new();
        for turn in 0..TRIES {
            let filter = PinFilter { limit: 1, before: Some(self.created(self.any(turn) + 1)), ..everything() };
            let mut page = self.storage.list_pin_requests(&self.account, &filter, system_time()).await?;
            pins.push(page.requests.pop().context("no pin is that old")?);
        }
        Ok(pins)
    }

    /// The median time of finding pins all over the account.
    async fn find(&self) -> Result<Duration> {
        let mut times = Vec::new();
        for pin in self.sample().await? {
            let begun = stopwatch();
            let found = self.storage.find_pin_request(&self.account, &pin.id, system_time()).await?;
            times.push(begun.elapsed());
            ensure!(found.is_some(), "a pin that was listed is not found");
        }
        Ok(median(times))
    }

    /// The median time of a list, of which the filter is another one each time.
    async fn time(&self, filter: impl Fn(u32) -> PinFilter) -> Result<Duration> {
        Ok(self.time_counting(filter).await?.0)
    }

    /// The same, and how many matched at the most.
    pub async fn time_counting(&self, filter: impl Fn(u32) -> PinFilter) -> Result<(Duration, u64)> {
        let (mut times, mut most) = (Vec::new(), 0);
        let all = stopwatch();
        for turn in 0..TRIES {
            let filter = filter(turn);
            let begun = stopwatch();
            let page = self.storage.list_pin_requests(&self.account, &filter, system_time()).await?;
            times.push(begun.elapsed());
            most = most.max(page.count);
            if all.elapsed() > PATIENCE {
                break;
            }
        }
        Ok((median(times), most))
    }

    /// The mean time of a page while `pages` are walked as Kubo's `ls` does it, with a count each time.
    pub async fn walk(&self, pages: u64) -> Result<Duration> {
        let begun = stopwatch();
        let (mut before, mut walked) = (None, 0);
        while walked < pages {
            let filter = PinFilter { before, ..everything() };
            let page = self.storage.list_pin_requests(&self.account, &filter, system_time()).await?;
            let Some(last) = page.requests.last() else { break };
            before = Some(last.created);
            walked += 1;
        }
        Ok(begun.elapsed() / u32::try_from(walked.max(1))?)
    }
}

pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
