//! End-to-end tests: the real binary, real programs, and what a user sees.
//!
//! One file per feature. Each test has network, mount and pid namespaces of its
//! own and its own data and run roots, so that they run in parallel and leave
//! the machine alone; `support` fails a test that leaves anything behind.

#[cfg(test)]
mod harness;
#[cfg(test)]
mod support;
