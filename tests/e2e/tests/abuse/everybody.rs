//! Attackers of every kind at the same time, at the API and at the node: a victim's requests are answered, its pins are
//! fetched and served, and the memory of both programs stays.

use anyhow::Result;
use pinrail_testbed::resident::Baseline;

use super::background::Background;
use super::peers::Peers;
use super::sockets::{ATTACKER, Held, connect_from};
use super::target::Target;
use super::{attack, http, victim};

const MOST_MEBIBYTES_OF_API: u32 = 150;
const MOST_MEBIBYTES_OF_WORKER: u32 = 250;
/// Strangers, each kind from a network of its own: how they are called, and how many are waited for.
const STRANGERS: &[(&[&str], usize)] = &[
    (&["answer", "--from", "127.67.1.1", "--claim", "have", "--peers", "4"], 4),
    (&["drip", "--from", "127.67.2.1", "--peers", "8", "--streams", "250"], 8),
    (&["empty-blocks", "--from", "127.67.3.1", "--peers", "2"], 2),
    (&["hold", "--from", "127.67.4.1", "--peers", "100"], 100),
    (&["read-slowly", "--from", "127.67.5.1", "--peers", "40", "--leaves", "4", "--size", "1000"], 40),
];

#[test]
fn a_victim_is_served_beside_attackers_of_every_kind() -> Result<()> {
    attack(|folder| {
        let target = Target::start(folder)?;
        let pinned = victim::ensure_pinned(&target, "before")?;
        victim::ensure_answered(&target)?;
        let (api, worker) = (Baseline::take(&target.api)?, Baseline::take(&target.worker)?);
        let ports = target.instance.ports;
        let idle = Held::start(200, move || http::open_closed_window(ATTACKER, ports.api), http::answer_pings);
        let half_open = Held::start(200, move || connect_from(ATTACKER, ports.p2p), |_, _| Ok(()));
        let token = target.attacker.token.clone();
        let path = "/pins?limit=1000&match=ipartial&name=a&status=queued,pinning,pinned,failed";
        let lists = Background::start(16, move |_| http::get(ATTACKER, ports.api, path, &token));
        let mut strangers = Vec::new();
        for (mode, count) in STRANGERS {
            let mut peers = Peers::attack(&target, mode[0], mode)?;
            peers.wait_for(*count)?;
            strangers.push(peers);
        }
        let answered = victim::ensure_answered(&target)?;
        let files = victim::ensure_all_pinned(&target, "beside", 5)?;
        victim::ensure_served(&target, &pinned)?;
        strangers.iter_mut().try_for_each(Peers::check)?;
        let of_api = api.ensure_grown_at_most(&target.api, MOST_MEBIBYTES_OF_API)?;
        let of_worker = worker.ensure_grown_at_most(&target.worker, MOST_MEBIBYTES_OF_WORKER)?;
        drop((idle, half_open, lists, strangers));
        target.stop()?;
        Ok(format!("{answered}; {files}; API: {of_api}, worker: {of_worker}"))
    })
}
