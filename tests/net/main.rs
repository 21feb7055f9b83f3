//! Networks on a real kernel, as root.
//!
//! Each test runs on a thread that has left the machine's network and mount
//! namespaces (see [`harness`]); containers are namespaces with a program in
//! them. What the kernel then has is read with iproute2's and nftables' own
//! programs.

#[cfg(test)]
mod harness;

#[cfg(test)]
mod attach;
#[cfg(test)]
mod firewall;
#[cfg(test)]
mod names;
#[cfg(test)]
mod networks;
#[cfg(test)]
mod ports;
#[cfg(test)]
mod sweep;
