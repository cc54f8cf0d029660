//! The block store from outside: what it promises, on a real disk.
mod dag;
mod deletes;
mod life;
