//! Images against real and scripted registries, and from archives.
//!
//! Each test has its own network and mount namespace (`support::world`), so
//! ports and `/etc/hosts` are its own. Needs root, and Debian's
//! `docker-registry`, `openssl` and `busybox-static`.

#[cfg(test)]
mod access;
#[cfg(test)]
mod archives;
#[cfg(test)]
mod certs;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod hub;
#[cfg(test)]
mod login;
#[cfg(test)]
mod measure;
#[cfg(test)]
mod mirrors;
#[cfg(test)]
mod peer;
#[cfg(test)]
mod push;
#[cfg(test)]
mod real;
#[cfg(test)]
mod save;
#[cfg(test)]
mod scripted;
#[cfg(test)]
mod support;
#[cfg(test)]
mod troubles;
#[cfg(test)]
mod unreachable;
