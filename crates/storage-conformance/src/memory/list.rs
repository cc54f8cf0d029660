//! The filters of a list in memory, each by its plain meaning.

use pinrail_domain::{AccountId, PinPage, PinRequest};
use pinrail_spec::{Match, Multiaddr, NameFilter, Pin, PinFilter, Timestamp, fold};
use pinrail_storage::PAGE_BYTES;

use super::tables::{RequestRow, Tables};

impl Tables {
    /// A page of the account's requests, the newest first, and how many match.
    pub fn list(&self, account: &AccountId, filter: &PinFilter, now: Timestamp) -> PinPage {
        let matching = self.requests_of(account).rev().filter(|((_, created), row)| {
            filter.before.is_none_or(|before| *created < before)
                && filter.after.is_none_or(|after| *created > after)
                && matches(row, filter)
        });
        let matching = matching.collect::<Vec<_>>();
        let mut bytes = 0;
        let page = matching.iter().take(usize::from(filter.limit)).take_while(|(_, row)| {
            let is_room = bytes < PAGE_BYTES;
            bytes += bytes_of(&row.pin);
            is_room
        });
        PinPage {
            count: matching.len().try_into().unwrap_or(u64::MAX),
            requests: page.map(|(key, row)| PinRequest { status: row.status, ..self.show(key, now) }).collect(),
        }
    }
}

/// The bytes of a pin's texts.
fn bytes_of(pin: &Pin) -> usize {
    let meta = pin.meta.iter().map(|(key, value)| key.len() + value.len());
    let origins = pin.origins.iter().map(Multiaddr::as_str).map(str::len);
    pin.name.as_ref().map_or(0, String::len) + meta.chain(origins).sum::<usize>()
}

fn matches(row: &RequestRow, filter: &PinFilter) -> bool {
    (filter.roots.is_empty() || filter.roots.contains(&row.root))
        && filter.statuses.contains(&row.status)
        && filter.meta.iter().all(|(key, value)| row.pin.meta.get(key) == Some(value))
        && filter.name.as_ref().is_none_or(|name| row.pin.name.as_ref().is_some_and(|own| matches_name(own, name)))
}

fn matches_name(name: &str, filter: &NameFilter) -> bool {
    match filter.matching {
        Match::Exact => name == filter.text,
        Match::Iexact => fold(name) == fold(&filter.text),
        Match::Partial => name.contains(&filter.text),
        Match::Ipartial => fold(name).contains(&fold(&filter.text)),
    }
}
