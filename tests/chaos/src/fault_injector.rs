//! Carries out a plan: hurts processes and connections, and mends all of it in the end.

use std::thread;
use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::cluster::Cluster;
use super::history::History;
use super::plan::{Fault, Plan, Storm, Target};
use super::proxy::Weather;

/// How often a wait looks whether the run is over.
const BEAT: Duration = Duration::from_millis(50);

/// Hurt processes until the history is over. All of them run again then.
pub fn hurt_processes(cluster: &Cluster, history: &History, mut plan: Plan<Fault>) {
    while !history.is_over() {
        wait(history, plan.rest());
        let fault = plan.draw();
        history.note("faults", &json!(format!("{fault:?}")));
        history.count(word(&format!("{fault:?}")));
        history.count("faults of processes");
        if let Err(error) = hurt(cluster, history, fault) {
            history.breach("faults", &format!("{fault:?}: {error:#}"));
        }
    }
}

fn hurt(cluster: &Cluster, history: &History, fault: Fault) -> Result<()> {
    match fault {
        Fault::Kill(target, down) => {
            cluster.kill(target)?;
            wait(history, down);
            cluster.start(target)
        }
        Fault::KillAll(down) => {
            each(cluster, |target| cluster.kill(target))?;
            wait(history, down);
            each(cluster, |target| cluster.start(target))
        }
        Fault::Pause(target, length) => {
            cluster.pause(target)?;
            wait(history, length);
            cluster.resume(target)
        }
        Fault::Sleep(target) => {
            cluster.pause(target)?;
            cluster.clock.pass_an_hour()?;
            cluster.resume(target)
        }
        Fault::SleepAll => {
            each(cluster, |target| cluster.pause(target))?;
            cluster.clock.pass_an_hour()?;
            each(cluster, |target| cluster.resume(target))
        }
        Fault::Restart(target) => {
            cluster.end(target)?;
            cluster.start(target)
        }
    }
}

fn each(cluster: &Cluster, act: impl Fn(Target) -> Result<()>) -> Result<()> {
    cluster.targets().into_iter().try_for_each(act)
}

/// Hurt connections until the history is over. All of them work again then.
pub fn hurt_connections(cluster: &Cluster, history: &History, mut plan: Plan<Storm>) {
    while !history.is_over() {
        wait(history, plan.rest());
        let storm = plan.draw();
        history.note("faults", &json!(format!("{storm:?}")));
        history.count(word(&format!("{storm:?}")));
        history.count("faults of connections");
        match storm {
            Storm::Cut(link, length) => {
                cluster.proxy(link).set(Weather::Cut);
                wait(history, length);
                cluster.proxy(link).set(Weather::Fair);
            }
            Storm::Slow(link, length) => {
                cluster.proxy(link).set(Weather::Slow);
                wait(history, length);
                cluster.proxy(link).set(Weather::Fair);
            }
            Storm::Stall(provider, length) => {
                if let Err(error) = stall(cluster, history, provider, length) {
                    history.breach("faults", &format!("{storm:?}: {error:#}"));
                }
            }
        }
    }
}

fn stall(cluster: &Cluster, history: &History, provider: usize, length: Duration) -> Result<()> {
    cluster.provider(provider).pause()?;
    wait(history, length);
    cluster.provider(provider).resume()
}

fn wait(history: &History, length: Duration) {
    let watch = pinrail_testbed::stopwatch::Stopwatch::start();
    while !watch.passed(length) && !history.is_over() {
        thread::sleep(BEAT.min(length));
    }
}

/// The fault's own word, for the sums.
fn word(fault: &str) -> &str {
    fault.split('(').next().unwrap_or(fault)
}
