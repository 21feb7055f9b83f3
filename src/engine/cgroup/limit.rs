//! What control groups limit, in the words of messages: as it fits after
//! "cannot limit".

/// The memory's size.
pub const MEMORY: &str = "memory";
/// Memory and swap together.
pub const SWAP: &str = "swap";
/// How willingly memory is swapped.
pub const SWAPPINESS: &str = "swappiness";
/// Share and bandwidth of processor time.
pub const CPU: &str = "processor time";
/// Which processors and memory nodes.
pub const CPUSET: &str = "the set of processors";
/// How many processes.
pub const PROCESSES: &str = "the number of processes";
/// Block devices.
pub const BLOCK_IO: &str = "block I/O";
/// Huge pages.
pub const HUGE_PAGES: &str = "huge pages";
