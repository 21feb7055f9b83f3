//! Keeper and supervisor with real containers, each test in namespaces and
//! roots of its own. Needs root and busybox-static.

#[cfg(test)]
mod attach;
#[cfg(test)]
mod bound;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod life;
