//! The built program: its tools, and how it pins, serves, stops and is killed.

mod home;
mod observed;
mod program;
mod serving;
mod tools;
