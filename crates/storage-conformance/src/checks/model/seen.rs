//! What histories have led to: a run in which something never happened has compared nothing of it.

use std::collections::BTreeMap;
use std::sync::Mutex;

use pinrail_domain::{LeaseNews, LeaseTask, PinRequest, RootState};

use super::answer::{Answer, Outcome, Refusal, Taken};

/// What has to happen in every 10,000 operations.
const WANTED: &[&str] = &[
    "a conflict",
    "a failed root",
    "a held root",
    "a lease lost before its news",
    "a lease lost before it was settled",
    "a lease over its account's bytes",
    "a lease to pin beside what it replaces",
    "a lease to release",
    "a longer list than its page",
    "a missing row",
    "a paused root",
    "a pinned root",
    "a quota exceeded",
    "a root whose node is silent",
    "a second attempt",
    "a settled lease",
    "a waiting root",
    "an expired hold",
    "no node",
];

/// How often each thing was answered.
#[derive(Default)]
pub struct Seen(Mutex<BTreeMap<&'static str, u64>>);

impl Seen {
    /// Note what an answer tells.
    pub fn note(&self, outcome: &Outcome) {
        let mut seen = self.0.lock().expect("nothing panics with it");
        for what in told(outcome) {
            *seen.entry(what).or_default() += 1;
        }
    }

    /// Check that everything happened; panics with what did not.
    pub fn ensure_everything(&self) {
        let seen = self.0.lock().expect("nothing panics with it");
        let missing = WANTED.iter().filter(|what| !seen.contains_key(**what)).collect::<Vec<_>>();
        assert!(missing.is_empty(), "these histories never led to {missing:?}, only to {seen:?}");
    }
}

fn told(outcome: &Outcome) -> Vec<&'static str> {
    let answer = match outcome {
        Ok(answer) => answer,
        Err(refusal) => return vec![refused(refusal)],
    };
    match answer {
        Answer::Count(ended) if *ended > 0 => vec!["an expired hold"],
        Answer::Request(Some(request)) => told_of_request(request),
        Answer::Page(page) => {
            let is_longer = page.count > page.requests.len() as u64 && !page.requests.is_empty();
            let longer = is_longer.then_some("a longer list than its page");
            page.requests.iter().flat_map(told_of_request).chain(longer).collect()
        }
        Answer::Leases(leases) => leases.iter().flat_map(told_of_lease).collect(),
        Answer::News(news) => news.iter().filter_map(told_of_news).collect(),
        Answer::Settled(settled) => settled.iter().map(told_of_settlement).collect(),
        _ => Vec::new(),
    }
}

const fn refused(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::LeaseLost => "a lease lost before it was settled",
        Refusal::Conflict => "a conflict",
        Refusal::Missing => "a missing row",
        Refusal::Quota(_) => "a quota exceeded",
        Refusal::NoNode => "no node",
    }
}

fn told_of_request(request: &PinRequest) -> Vec<&'static str> {
    let root = &request.root;
    [
        (root.state == RootState::Failed, "a failed root"),
        (root.state == RootState::Pinned, "a pinned root"),
        (root.waiting, "a waiting root"),
        (root.paused, "a paused root"),
        (root.node_silent, "a root whose node is silent"),
        (request.held_until.is_some(), "a held root"),
    ]
    .into_iter()
    .filter_map(|(is_so, what)| is_so.then_some(what))
    .collect()
}

fn told_of_lease(lease: &Taken) -> Vec<&'static str> {
    let task = match &lease.task {
        LeaseTask::Release => Some("a lease to release"),
        LeaseTask::Pin { previous, .. } => previous.is_some().then_some("a lease to pin beside what it replaces"),
    };
    task.into_iter().chain((lease.attempt > 1).then_some("a second attempt")).collect()
}

const fn told_of_news(news: &LeaseNews) -> Option<&'static str> {
    match news {
        LeaseNews::Lost => Some("a lease lost before its news"),
        LeaseNews::OverQuota => Some("a lease over its account's bytes"),
        LeaseNews::Wanted { .. } => None,
    }
}

const fn told_of_settlement(settled: &Result<(), Refusal>) -> &'static str {
    match settled {
        Ok(()) => "a settled lease",
        Err(refusal) => refused(refusal),
    }
}
