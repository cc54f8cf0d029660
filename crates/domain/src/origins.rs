//! Which origins of a root are tried, and in what order, where several accounts and requests name some.

use std::collections::HashSet;
use std::hash::Hash;

use pinrail_spec::Multiaddr;

/// The most origins of one root.
const MAX_ORIGINS: usize = 60;

/// Of one account, the requests for one root whose origins count: its newest ones.
pub const MAX_REQUESTS_WITH_ORIGINS: usize = 8;

/// Takes origins in turns from each account, and of an account in turns from each of its requests.
///
/// `newest_first` are the requests of one root that name any, each with its account. So whoever names many displaces
/// nobody's first.
pub fn take_origins_in_turns<A: PartialEq>(
    newest_first: impl IntoIterator<Item = (A, Vec<Multiaddr>)>,
) -> Vec<Multiaddr> {
    let mut accounts: Vec<(A, Vec<Vec<Multiaddr>>)> = Vec::new();
    for (account, origins) in newest_first {
        match accounts.iter_mut().find(|(known, _)| *known == account) {
            Some((_, requests)) if requests.len() == MAX_REQUESTS_WITH_ORIGINS => {}
            Some((_, requests)) => requests.push(origins),
            None => accounts.push((account, vec![origins])),
        }
    }
    let of_accounts = accounts.into_iter().map(|(_, requests)| in_turns(requests)).collect();
    let mut origins = without_repeats(in_turns(of_accounts));
    origins.truncate(MAX_ORIGINS);
    origins
}

/// The first of each list, then the second of each, and so on.
fn in_turns<T>(lists: Vec<Vec<T>>) -> Vec<T> {
    let mut lists = lists.into_iter().map(Vec::into_iter).collect::<Vec<_>>();
    let mut taken = Vec::new();
    while !lists.is_empty() {
        lists.retain_mut(|list| list.next().map(|item| taken.push(item)).is_some());
    }
    taken
}

fn without_repeats<T: Clone + Eq + Hash>(mut items: Vec<T>) -> Vec<T> {
    let mut seen = HashSet::new();
    items.retain(|item| seen.insert(item.clone()));
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(ports: impl IntoIterator<Item = usize>) -> Vec<Multiaddr> {
        let text = |port| format!("/ip4/203.0.113.142/tcp/{port}/p2p/QmPeer");
        ports.into_iter().map(|port| Multiaddr::parse(&text(port)).expect("a multiaddr")).collect()
    }

    #[test]
    fn accounts_and_their_requests_take_turns() {
        let requests =
            [("ada", origins([1, 2])), ("bob", origins([10])), ("ada", origins([3, 4, 1])), ("ada", origins([5]))];
        assert_eq!(take_origins_in_turns(requests), origins([1, 10, 3, 5, 2, 4]));
    }

    #[test]
    fn no_number_of_requests_displaces_another_accounts_origins() {
        let flood = (0..1_000).map(|number| ("mallory", origins(100 + number * 20..120 + number * 20)));
        let taken = take_origins_in_turns(flood.chain([("ada", origins([1, 2, 3]))]));
        assert_eq!(taken.len(), MAX_ORIGINS);
        assert!(origins([1, 2, 3]).iter().all(|origin| taken[..6].contains(origin)), "{taken:?}");
    }
}
