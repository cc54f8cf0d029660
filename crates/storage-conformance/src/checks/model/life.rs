//! One side of the comparison: a storage, and what was done with it.

use std::fmt::Debug;

use pinrail_domain::{AccountId, Lease, LeaseTask, Limits, NodeId, RequestId, Verdict};
use pinrail_spec::{Pin, PinFilter, Timestamp};

use super::step::{ACCOUNTS, NODES, Step, Word};
use crate::Fixture;
use crate::samples::{failed, pinned, retry, wait};

/// A storage and what was done with it. Both sides make the same ids, since they take the same steps.
pub struct Life<'fixture> {
    fixture: &'fixture Fixture,
    accounts: Vec<AccountId>,
    nodes: Vec<NodeId>,
    requests: Vec<(AccountId, RequestId, Timestamp)>,
    leases: Vec<Lease>,
    settled: usize,
}

impl<'fixture> Life<'fixture> {
    pub async fn begin(fixture: &'fixture Fixture) -> Self {
        let (mut accounts, mut nodes) = (Vec::new(), Vec::new());
        for number in 0..ACCOUNTS {
            accounts.push(fixture.account(&format!("account {number}")).await);
        }
        for number in 0..NODES {
            nodes.push(fixture.node(u8::try_from(number).expect("a few nodes")).await);
        }
        Self { fixture, accounts, nodes, requests: Vec::new(), leases: Vec::new(), settled: 0 }
    }

    /// Hold that requests were kept and leases settled, so that equal answers mean something.
    pub fn assert_eventful(&self) {
        let (requests, leases, settled) = (self.requests.len(), self.leases.len(), self.settled);
        assert!(requests >= 150 && settled >= 40, "{requests} requests, {leases} leases, {settled} of them settled");
    }

    /// Take a step; the answer in words.
    pub async fn take(&mut self, step: &Step) -> String {
        let fixture = self.fixture;
        match step {
            Step::Add { account, pin } => self.add(*account, pin).await,
            Step::Replace { request, pin } => self.replace(*request, pin).await,
            Step::List { account, filter, bound } => self.list(*account, filter, *bound).await,
            Step::Lease { node, limit, slots } => self.lease(*node, *limit, *slots).await,
            Step::Settle { lease, verdict, after, bytes } => {
                self.settle(*lease, *verdict, fixture.now() + *after, *bytes).await
            }
            Step::Remove { request } => match self.request(*request) {
                Some((account, id, _)) => told(fixture.remove(&account, &id).await),
                None => String::new(),
            },
            Step::Find { request } => match self.request(*request) {
                Some((account, id, _)) => told(fixture.try_find(&account, &id).await),
                None => String::new(),
            },
            Step::Usage { account } => told(fixture.find_account(&self.accounts[*account]).await),
            Step::Renew { lease } => match self.leased(*lease) {
                Some(lease) => told(fixture.renew(lease).await),
                None => String::new(),
            },
            Step::News { lease } => match self.leased(*lease) {
                Some(lease) => told(fixture.news(lease).await),
                None => String::new(),
            },
            Step::Report { lease, bytes } => match self.leased(*lease) {
                Some(lease) => {
                    fixture.report(lease, *bytes).await;
                    String::new()
                }
                None => String::new(),
            },
            step => self.take_upkeep(step).await,
        }
    }

    async fn take_upkeep(&self, step: &Step) -> String {
        let (fixture, storage, now) = (self.fixture, &self.fixture.storage, self.fixture.now());
        match step {
            Step::Wake { node, root } => {
                return told(storage.wake(&self.nodes[*node], std::slice::from_ref(root), now).await);
            }
            Step::Waiting { node } => return told(storage.list_waiting(&self.nodes[*node], None, 1_000).await),
            Step::ExpireHolds => return told(storage.expire_holds(now).await),
            Step::Nodes => return told(storage.list_nodes().await),
            Step::Block { account, blocked } => {
                fixture.block(&self.accounts[*account], blocked.then_some("spam")).await;
            }
            Step::Limit { account, most } => {
                let limits = Limits { requests: None, queued_roots: *most, bytes: most.map(|most| most * 20) };
                fixture.set_limits(&self.accounts[*account], limits).await;
            }
            Step::Beat { node } => fixture.beat(&self.nodes[*node]).await,
            Step::Register { node } => drop(fixture.node(u8::try_from(*node).expect("a few nodes")).await),
            Step::Advance(by) => drop(fixture.advance(*by)),
            step => unreachable!("{step:?} is taken elsewhere"),
        }
        String::new()
    }

    fn request(&self, number: usize) -> Option<(AccountId, RequestId, Timestamp)> {
        number.checked_rem(self.requests.len()).map(|position| self.requests[position])
    }

    /// One of the youngest leases, or now and then an old one.
    fn leased(&self, number: usize) -> Option<&Lease> {
        let young = if number.is_multiple_of(10) { self.leases.len() } else { self.leases.len().min(6) };
        number.checked_rem(young).map(|back| &self.leases[self.leases.len() - 1 - back])
    }

    async fn add(&mut self, account: usize, pin: &Pin) -> String {
        let outcome = self.fixture.try_add(&self.accounts[account], pin.clone()).await;
        if let Ok(request) = &outcome {
            self.requests.push((request.account, request.id, request.created));
        }
        told(outcome)
    }

    async fn replace(&mut self, number: usize, pin: &Pin) -> String {
        let Some((account, id, _)) = self.request(number) else { return String::new() };
        let outcome = self.fixture.try_replace(&account, &id, pin.clone()).await;
        if let Ok(Some(request)) = &outcome {
            self.requests.push((request.account, request.id, request.created));
        }
        told(outcome)
    }

    async fn list(&self, account: usize, filter: &PinFilter, bound: Option<(usize, bool)>) -> String {
        let bound = bound.and_then(|(number, is_upper)| Some((self.request(number)?.2, is_upper)));
        let before = bound.filter(|(_, is_upper)| *is_upper).map(|(created, _)| created);
        let after = bound.filter(|(_, is_upper)| !is_upper).map(|(created, _)| created);
        let filter = PinFilter { before, after, ..filter.clone() };
        told(self.fixture.list(&self.accounts[account], &filter).await)
    }

    async fn lease(&mut self, node: usize, limit: usize, slots: usize) -> String {
        let leases = self.fixture.lease_of(&self.nodes[node], limit, slots).await;
        // The tokens are each side's own.
        let answer = leases.iter().map(|lease| {
            let Lease { key, task, account, attempt, wanted_since, until } = lease;
            told((&key.root, key.epoch, task, account, attempt, wanted_since, until))
        });
        let answer = answer.collect::<Vec<_>>().join("\n");
        self.leases.extend(leases);
        answer
    }

    async fn settle(&mut self, number: usize, word: Word, due: Timestamp, bytes: u64) -> String {
        let Some(lease) = self.leased(number) else { return String::new() };
        let verdict = match word {
            Word::Done if lease.task == LeaseTask::Release => Verdict::Released,
            Word::Done | Word::Pinned => pinned(bytes),
            Word::Retry => retry(due),
            Word::Wait => wait(due),
            Word::Pause => Verdict::Pause { due, storage_full: bytes.is_multiple_of(2) },
            Word::Failed => failed(),
            Word::Released => Verdict::Released,
        };
        let outcome = self.fixture.try_settle(lease, verdict).await;
        self.settled += usize::from(outcome.is_ok());
        told(outcome)
    }
}

fn told(answer: impl Debug) -> String {
    format!("{answer:?}")
}
