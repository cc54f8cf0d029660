//! Whether the disk has room for what a cold run builds, told before it takes minutes to find out.

use std::env::current_exe;

use rustix::fs::statvfs;

/// What a cold run leaves in the target folder, with what it holds meanwhile.
const WANTED: u64 = 9 << 30;

/// Say it in one line when the disk of the target folder, where this program lies, has little room.
pub fn tell_if_short() {
    let Ok(told) = current_exe().and_then(|program| Ok(statvfs(&program)?)) else { return };
    let free = told.f_bavail.saturating_mul(told.f_frsize);
    if free < WANTED {
        println!("the disk of the target folder has {} MiB free, a cold run wants {} MiB", free >> 20, WANTED >> 20);
    }
}
