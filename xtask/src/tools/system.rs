//! Packages of the operating system: installed on Debian where we may, named where we may not.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use pinrail_testbed::cache;
use pinrail_testbed::command::program;
use pinrail_testbed::environment::{Environment, root};

use crate::progress::Step;

/// Install the Debian package that brings `name`, unless it is there.
pub fn ensure(environment: &Environment, name: &str, package: &str, step: &Step) -> Result<()> {
    environment.find_program(name).map_or_else(|| install(environment, name, package, step), Ok).map(drop)
}

/// Install the Debian package that brings `name`, and say where the program is.
pub fn install(environment: &Environment, name: &str, package: &str, step: &Step) -> Result<PathBuf> {
    if !can_install(environment) {
        bail!("`{name}` is not installed (on Debian: apt-get install {package})");
    }
    step.detail(&format!("apt-get install {package}"));
    // Of two at once apt refuses the second.
    let _turn = cache::turn(environment, "apt-get")?;
    if let Some(path) = environment.find_program(name) {
        return Ok(path);
    }
    for arguments in
        [&["update", "--quiet"][..], &["install", "--quiet", "--yes", "--no-install-recommends", package][..]]
    {
        let mut command = program("apt-get", root());
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        step.run(command)?.success(&format!("apt-get {}", arguments.join(" ")))?;
    }
    environment.find_program(name).with_context(|| format!("{package} is installed, but there is no `{name}`"))
}

fn can_install(environment: &Environment) -> bool {
    let debian = fs::read_to_string("/etc/os-release").is_ok_and(|text| is_debian(&text));
    debian && rustix::process::geteuid().is_root() && environment.find_program("apt-get").is_some()
}

/// Debian itself and what is made of it.
fn is_debian(os_release: &str) -> bool {
    os_release
        .lines()
        .filter_map(|line| line.split_once('='))
        .filter(|(key, _)| matches!(*key, "ID" | "ID_LIKE"))
        .flat_map(|(_, value)| value.trim_matches('"').split(' '))
        .any(|word| word == "debian")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_and_its_children_are_told_from_others() {
        assert!(is_debian("NAME=\"Debian GNU/Linux\"\nID=debian\n"));
        assert!(is_debian("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"));
        assert!(!is_debian("ID=fedora\nNAME=debian\n"));
    }
}
