//! The block store from outside: what it promises, on a real disk.
mod crash;
mod crash_found;
mod crash_points;
mod dag;
mod damage;
mod deletes;
mod expect;
mod fault;
mod full;
mod image;
mod life;
mod platter;
mod script;
mod sim_disk;
mod verify;
