//! The container start, from spec to running program, as root.
//!
//! Each test runs in a process of its own with its own mount and pid
//! namespaces (`harness::isolated`) and starts real containers there, whose
//! root is made of Debian's static busybox.

#[cfg(test)]
mod cgroups;
#[cfg(test)]
mod credentials;
#[cfg(test)]
mod execs;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod inherited;
#[cfg(test)]
mod mounts;
#[cfg(test)]
mod programs;
#[cfg(test)]
mod roots;
#[cfg(test)]
mod systemd;
#[cfg(test)]
mod terminals;
#[cfg(test)]
mod volumes;
