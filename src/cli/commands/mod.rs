//! One file for each command: the flags, then one `run`.

pub mod build;
pub mod build_prune;
pub mod config;
pub mod create;
pub mod doctor;
pub mod down;
pub mod exec;
pub mod image;
pub mod image_flags;
pub mod images;
pub mod lifecycle;
pub mod load;
pub mod login;
pub mod logs;
pub mod ls;
pub mod ps;
pub mod pull;
pub mod push;
pub mod run;
mod run_watch;
pub mod up;
mod up_attached;
pub mod version;
pub mod watch;
