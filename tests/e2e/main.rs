//! End-to-end tests: the real binary, real programs, and what a user sees.
//!
//! One file per feature. Each test has network, mount and pid namespaces of its
//! own and its own data and run roots, so that they run in parallel and leave
//! the machine alone; `support` fails a test that leaves anything behind.

#[cfg(test)]
mod as_docker;
#[cfg(test)]
mod build;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod debian;
#[cfg(test)]
mod developing;
#[cfg(test)]
mod errors;
#[cfg(test)]
mod exec;
#[cfg(test)]
mod files;
#[cfg(test)]
mod flags;
#[cfg(test)]
mod garbage;
#[cfg(test)]
mod gates;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod hosts;
#[cfg(test)]
mod hub;
#[cfg(test)]
mod image_commands;
#[cfg(test)]
mod images;
#[cfg(test)]
mod inside;
#[cfg(test)]
mod interrupted;
#[cfg(test)]
mod interrupts;
#[cfg(test)]
mod killed;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod login;
#[cfg(test)]
mod logs;
#[cfg(test)]
mod names;
#[cfg(test)]
mod networks;
#[cfg(test)]
mod ordinary;
#[cfg(test)]
mod places;
#[cfg(test)]
mod ports;
#[cfg(test)]
mod pulls;
#[cfg(test)]
mod pushes;
#[cfg(test)]
mod quickstart;
#[cfg(test)]
mod readme;
#[cfg(test)]
mod reboot;
#[cfg(test)]
mod recreate;
#[cfg(test)]
mod removal;
#[cfg(test)]
mod roots;
#[cfg(test)]
mod screen;
#[cfg(test)]
mod shell;
#[cfg(test)]
mod shop;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tables;
#[cfg(test)]
mod terminal;
#[cfg(test)]
mod variables;
#[cfg(test)]
mod volumes;
#[cfg(test)]
mod watch;
