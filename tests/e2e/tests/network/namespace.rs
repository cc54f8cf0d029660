//! A network namespace of a test's own, in which addresses stand for public ones. No packet leaves it.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::Path;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, ensure};
use pinrail_testbed::command::{program, run};
use pinrail_testbed::environment::root;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The hosts of a network. Each has a /16 of its own, since a Kubo keeps few peers of one in its routing table.
const HOSTS: u8 = 8;

/// The public address of a host; the first is 1.
pub fn address(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(20, host, 0, 1)
}

/// Move this thread into a new namespace: it, the threads that it starts, and the programs that they start, reach each
/// other at the addresses of the hosts and on loopback, and nobody else.
pub fn enter() -> Result<()> {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let name = format!("pinrail-{}-{}", process::id(), MADE.fetch_add(1, Ordering::Relaxed));
    ip(&["netns", "add", &name])?;
    let file = File::open(format!("/run/netns/{name}"));
    let entered = file
        .and_then(|file| move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).map_err(Into::into));
    // It lives as long as somebody is in it; its name would outlive us if we were killed.
    ip(&["netns", "delete", &name])?;
    entered.context("the namespace cannot be entered")?;
    ensure_closed()?;
    ip(&["link", "set", "lo", "up"])?;
    for host in 1..=HOSTS {
        ip(&["address", "add", &format!("{}/32", address(host)), "dev", "lo"])?;
    }
    Ok(())
}

/// Returns an error unless loopback is the only device and no route leads anywhere: what is sent to an address that
/// looks public has to stay here.
fn ensure_closed() -> Result<()> {
    let devices = fs::read_to_string("/proc/thread-self/net/dev")?;
    let names = devices.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim());
    let others: Vec<&str> = names.filter(|name| *name != "lo" && has_address(name)).collect();
    ensure!(others.is_empty(), "there are other networks: {others:?}");
    let routes = fs::read_to_string("/proc/thread-self/net/route")?;
    ensure!(routes.lines().count() <= 1, "there are routes to elsewhere:\n{routes}");
    Ok(())
}

/// Whether a device of this namespace has an address; one that is there from the start has none.
fn has_address(device: &str) -> bool {
    ip(&["-oneline", "address", "show", "dev", device]).is_ok_and(|shown| !shown.trim().is_empty())
}

fn ip(arguments: &[&str]) -> Result<String> {
    let mut command = program(Path::new("ip"), root());
    command.args(arguments);
    run(command)?.success(&format!("ip {}", arguments.join(" ")))
}
