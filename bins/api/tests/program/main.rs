//! The built program: its commands, and how it serves, stops and is killed.

mod api;
mod cli;
mod moving;
mod observed;
mod serving;
