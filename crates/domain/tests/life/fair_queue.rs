//! Whose turn it is.

use std::collections::BTreeMap;

use pinrail_domain::{AccountId, FairQueue, WaitingAccount, most_for_one_account};
use pinrail_spec::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;

use super::{EARLIER, NOW};

fn account(number: u8) -> AccountId {
    AccountId::new(NOW, [number; 10])
}

fn waiting(number: u8, running: usize, last_served: Option<Timestamp>) -> WaitingAccount {
    WaitingAccount { id: account(number), running, last_served }
}

/// The accounts that are served, one after another, each with so many roots that may be taken.
fn serve_all(mut queue: FairQueue, mut roots: BTreeMap<AccountId, usize>) -> Vec<AccountId> {
    let mut served = Vec::new();
    while let Some(next) = queue.next() {
        match roots.get_mut(&next).filter(|roots| **roots > 0) {
            Some(roots) => {
                *roots -= 1;
                queue.serve();
                served.push(next);
            }
            None => queue.remove(),
        }
    }
    served
}

#[test]
fn no_account_gets_the_last_quarter() {
    for (slots, most) in [(0, 0), (1, 1), (2, 2), (3, 3), (4, 3), (7, 6), (8, 6), (64, 48), (100, 75)] {
        assert_eq!(most_for_one_account(slots), most, "{slots} slots");
        let queue = FairQueue::new(slots, NOW, [waiting(1, 0, None)]);
        assert_eq!(serve_all(queue, [(account(1), 1_000)].into()).len(), most, "{slots} slots");
    }
}

#[test]
fn fewest_running_then_longest_not_served_then_the_least_id() {
    let cases = [
        (waiting(2, 0, Some(NOW)), waiting(1, 1, None), 2),
        (waiting(2, 1, None), waiting(1, 1, Some(EARLIER)), 2),
        (waiting(2, 1, Some(EARLIER)), waiting(1, 1, Some(NOW)), 2),
        (waiting(2, 1, Some(EARLIER)), waiting(1, 1, Some(EARLIER)), 1),
        (waiting(2, 0, None), waiting(1, 0, None), 1),
    ];
    for (index, (one, other, first)) in cases.into_iter().enumerate() {
        let queue = FairQueue::new(64, NOW, [one, other]);
        assert_eq!(queue.next(), Some(account(first)), "case {index}");
        assert_eq!(queue.next(), Some(account(first)), "case {index}, the same until it is served");
    }
    assert_eq!(FairQueue::new(64, NOW, []).next(), None);
}

#[test]
fn turns_go_round() {
    let queue = FairQueue::new(8, NOW, [waiting(1, 0, Some(NOW)), waiting(2, 0, None), waiting(3, 2, None)]);
    let served = serve_all(queue, [(account(1), 3), (account(2), 3), (account(3), 3)].into());
    let wanted = [2, 1, 1, 2, 3, 1, 2, 3, 3].map(account);
    assert_eq!(served, wanted, "those that were served at the same time by their ids, the never served before them");
}

#[test]
fn an_account_with_nothing_to_take_is_left_out() {
    let queue = FairQueue::new(8, NOW, [waiting(1, 0, None), waiting(2, 0, None)]);
    assert_eq!(serve_all(queue, [(account(2), 2)].into()), [account(2), account(2)]);
}

proptest! {
    #[test]
    fn shares_differ_by_at_most_one(accounts in 1..8_u8, rounds in 0..40_usize, slots in 1..200_usize) {
        let mut queue = FairQueue::new(slots, NOW, (0..accounts).map(|number| waiting(number, 0, None)));
        let shares = (0..accounts).map(|number| (account(number), 0_usize));
        let mut shares = shares.collect::<BTreeMap<_, _>>();
        for _ in 0..rounds {
            let Some(next) = queue.next() else { break };
            *shares.get_mut(&next).expect("it waits") += 1;
            queue.serve();
        }
        let (least, most) = (shares.values().min().unwrap(), shares.values().max().unwrap());
        prop_assert!(most - least <= 1, "{:?}", shares);
        prop_assert!(*most <= most_for_one_account(slots));
    }

    #[test]
    fn whoever_is_served_runs_fewest_of_those_that_wait(
        accounts in vec((0..20_usize, 0..10_usize), 1..8),
        slots in 1..40_usize,
    ) {
        let numbered = || (0_u8..).zip(&accounts);
        let running = numbered().map(|(number, (runs, _))| (account(number), *runs));
        let mut running = running.collect::<BTreeMap<_, _>>();
        let roots = numbered().map(|(number, (_, roots))| (account(number), *roots));
        let mut roots = roots.collect::<BTreeMap<_, _>>();
        let queue = FairQueue::new(slots, NOW, numbered().map(|(number, (runs, _))| waiting(number, *runs, None)));
        for served in serve_all(queue, roots.clone()) {
            let least = roots.iter().filter(|(_, left)| **left > 0).map(|(account, _)| running[account]).min();
            prop_assert_eq!(Some(running[&served]), least);
            prop_assert!(running[&served] < most_for_one_account(slots));
            *running.get_mut(&served).expect("it waits") += 1;
            *roots.get_mut(&served).expect("it waits") -= 1;
        }
        for (account, left) in roots {
            prop_assert!(left == 0 || running[&account] >= most_for_one_account(slots), "nobody waits for nothing");
        }
    }
}
