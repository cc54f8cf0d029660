//! The block store from outside: what it promises, on a real disk.
mod crash;
mod dag;
mod damage;
mod deletes;
mod full;
mod image;
mod life;
