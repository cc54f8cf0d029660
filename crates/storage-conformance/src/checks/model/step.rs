//! The steps of a life, drawn by dice.

use std::time::Duration;

use pinrail_spec::{Match, Pin, PinFilter, RootKey, Status};

use crate::dice::Dice;
use crate::samples::{address, by_name, everything, meta, parsed, pin_of};

/// How many accounts and nodes there are.
pub const ACCOUNTS: usize = 3;
pub const NODES: usize = 2;

/// One step. Requests and leases are named by a number, which each side takes modulo what it has.
#[derive(Debug, Clone)]
pub enum Step {
    Add { account: usize, pin: Pin },
    Replace { request: usize, pin: Pin },
    Remove { request: usize },
    Find { request: usize },
    List { account: usize, filter: PinFilter, bound: Option<(usize, bool)> },
    Usage { account: usize },
    Lease { node: usize, limit: usize, slots: usize },
    Settle { lease: usize, verdict: Word, after: Duration, bytes: u64 },
    Renew { lease: usize },
    News { lease: usize },
    Report { lease: usize, bytes: u64 },
    Wake { node: usize, root: RootKey },
    Waiting { node: usize },
    ExpireHolds,
    Block { account: usize, blocked: bool },
    Limit { account: usize, most: Option<u64> },
    Beat { node: usize },
    Register { node: usize },
    Nodes,
    Advance(Duration),
}

/// A verdict without its details.
#[derive(Debug, Clone, Copy)]
pub enum Word {
    Pinned,
    Retry,
    Wait,
    Pause,
    Failed,
    Released,
    /// Whatever fits the task best: pinned, or released.
    Done,
}

impl Step {
    /// The next step of a life, the usual ones more often.
    pub fn any(dice: &mut Dice) -> Self {
        let (account, node, number) = (index(dice, ACCOUNTS), index(dice, NODES), index(dice, 1_000));
        match dice.roll(100) {
            0..17 => Self::Add { account, pin: any_pin(dice) },
            17..24 => Self::Replace { request: number, pin: any_pin(dice) },
            24..37 => Self::Remove { request: number },
            37..42 => Self::Find { request: number },
            42..49 => Self::List { account, filter: any_filter(dice), bound: any_bound(dice, number) },
            49..51 => Self::Usage { account },
            51..63 => Self::Lease { node, limit: index(dice, 4), slots: 1 + index(dice, 6) },
            63..78 => any_settle(dice, number),
            78..80 => Self::Renew { lease: number },
            80..82 => Self::News { lease: number },
            82..85 => Self::Report { lease: number, bytes: dice.roll(50) },
            85 => Self::Wake { node, root: any_cid(dice).root() },
            86 => Self::Waiting { node },
            87 => Self::ExpireHolds,
            88 => Self::Block { account, blocked: dice.once_in(3) },
            89 => Self::Limit { account, most: dice.once_in(2).then(|| dice.roll(12)) },
            90..94 => Self::Beat { node },
            94 => Self::Register { node },
            95 => Self::Nodes,
            _ => Self::Advance(any_time(dice)),
        }
    }
}

fn index(dice: &mut Dice, below: usize) -> usize {
    let below = u64::try_from(below).expect("a small number");
    usize::try_from(dice.roll(below)).expect("a small number")
}

fn any_cid(dice: &mut Dice) -> pinrail_spec::Cid {
    match dice.roll(12) {
        11 => parsed("bafkqaaa"),
        codec => {
            let codec = if codec < 8 { "55" } else { "70" };
            parsed(&format!("f01{codec}1220{:064x}", dice.roll(15)))
        }
    }
}

fn any_pin(dice: &mut Dice) -> Pin {
    let names = [None, Some("a"), Some("A"), Some("Straße"), Some("STRASSE%")];
    let first = u32::try_from(dice.roll(100)).expect("a small number");
    let pairs = [("k", "1"), ("k", "2"), ("l", "1")];
    let chosen = index(dice, 3);
    Pin {
        name: dice.pick(&names).map(str::to_owned),
        origins: (first..first + u32::try_from(dice.roll(4)).expect("a small number")).map(address).collect(),
        meta: meta(&pairs[chosen..chosen + index(dice, 2)]),
        ..pin_of(any_cid(dice))
    }
}

fn any_filter(dice: &mut Dice) -> PinFilter {
    let matching = *dice.pick(&[Match::Exact, Match::Iexact, Match::Partial, Match::Ipartial]);
    let text = *dice.pick(&["a", "A", "s", "SS", "ß", "%", "strasse"]);
    let named = if dice.once_in(3) { by_name(text, matching) } else { everything() };
    let statuses = Status::ALL.into_iter().filter(|_| !dice.once_in(3)).collect::<Vec<_>>();
    let roots = (0..dice.roll(3)).map(|_| any_cid(dice).root()).collect();
    let pairs = [("k", "1"), ("l", "1"), ("l", "2")];
    PinFilter {
        roots,
        statuses: if statuses.is_empty() { Status::ALL.to_vec() } else { statuses },
        meta: if dice.once_in(4) { meta(&[*dice.pick(&pairs)]) } else { meta(&[]) },
        limit: if dice.once_in(2) { 1_000 } else { 3 },
        ..named
    }
}

/// A request whose `created` bounds the list, from above or below.
fn any_bound(dice: &mut Dice, number: usize) -> Option<(usize, bool)> {
    dice.once_in(2).then(|| (number, dice.once_in(2)))
}

fn any_settle(dice: &mut Dice, lease: usize) -> Step {
    use Word::{Done, Failed, Pause, Pinned, Released, Retry, Wait};
    let words = [Done, Done, Done, Done, Pinned, Retry, Retry, Wait, Wait, Pause, Failed, Failed, Released];
    Step::Settle { lease, verdict: *dice.pick(&words), after: any_time(dice), bytes: dice.roll(50) }
}

fn any_time(dice: &mut Dice) -> Duration {
    let short = [0, 1, 5, 1_000, 1_000, 5_000, 20_000, 60_000];
    let long = [59_999, 90_000, 299_999, 300_000, 86_400_000];
    Duration::from_millis(if dice.once_in(8) { *dice.pick(&long) } else { *dice.pick(&short) })
}
