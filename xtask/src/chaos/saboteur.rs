//! Carries out a plan: hurts processes and connections, and mends all of it in the end.

use std::thread;
use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::history::History;
use super::plan::{Fault, Plan, Storm, Target};
use super::proxy::Weather;
use super::site::Site;

/// How often a wait looks whether the run is over.
const BEAT: Duration = Duration::from_millis(50);

/// Hurt processes until the history is over. All of them run again then.
pub fn hurt_processes(site: &Site, history: &History, mut plan: Plan<Fault>) {
    while !history.is_over() {
        wait(history, plan.rest());
        let fault = plan.draw();
        history.note("faults", &json!(format!("{fault:?}")));
        history.count(word(&format!("{fault:?}")));
        history.count("faults of processes");
        if let Err(error) = hurt(site, history, fault) {
            history.breach("faults", &format!("{fault:?}: {error:#}"));
        }
    }
}

fn hurt(site: &Site, history: &History, fault: Fault) -> Result<()> {
    match fault {
        Fault::Kill(target, down) => {
            site.kill(target)?;
            wait(history, down);
            site.start(target)
        }
        Fault::KillAll(down) => {
            each(site, |target| site.kill(target))?;
            wait(history, down);
            each(site, |target| site.start(target))
        }
        Fault::Pause(target, length) => {
            site.pause(target)?;
            wait(history, length);
            site.resume(target)
        }
        Fault::Sleep(target) => {
            site.pause(target)?;
            site.clock.pass_an_hour()?;
            site.resume(target)
        }
        Fault::SleepAll => {
            each(site, |target| site.pause(target))?;
            site.clock.pass_an_hour()?;
            each(site, |target| site.resume(target))
        }
        Fault::Restart(target) => {
            site.end(target)?;
            site.start(target)
        }
    }
}

fn each(site: &Site, act: impl Fn(Target) -> Result<()>) -> Result<()> {
    site.targets().into_iter().try_for_each(act)
}

/// Hurt connections until the history is over. All of them work again then.
pub fn hurt_connections(site: &Site, history: &History, mut plan: Plan<Storm>) {
    while !history.is_over() {
        wait(history, plan.rest());
        let storm = plan.draw();
        history.note("faults", &json!(format!("{storm:?}")));
        history.count(word(&format!("{storm:?}")));
        history.count("faults of connections");
        match storm {
            Storm::Cut(link, length) => {
                site.proxy(link).set(Weather::Cut);
                wait(history, length);
                site.proxy(link).set(Weather::Fair);
            }
            Storm::Slow(link, length) => {
                site.proxy(link).set(Weather::Slow);
                wait(history, length);
                site.proxy(link).set(Weather::Fair);
            }
            Storm::Stall(provider, length) => {
                if let Err(error) = stall(site, history, provider, length) {
                    history.breach("faults", &format!("{storm:?}: {error:#}"));
                }
            }
        }
    }
}

fn stall(site: &Site, history: &History, provider: usize, length: Duration) -> Result<()> {
    site.provider(provider).pause()?;
    wait(history, length);
    site.provider(provider).resume()
}

fn wait(history: &History, length: Duration) {
    let watch = crate::stopwatch::Stopwatch::start();
    while !watch.passed(length) && !history.is_over() {
        thread::sleep(BEAT.min(length));
    }
}

/// The fault's own word, for the sums.
fn word(fault: &str) -> &str {
    fault.split('(').next().unwrap_or(fault)
}
