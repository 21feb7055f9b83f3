//! Reading /proc of the test's own pid namespace.

use fs_err as fs;

/// A process as /proc shows it.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    /// In the test's pid namespace.
    pub(crate) pid: u32,
    /// `R`, `S`, `Z`, …
    pub(crate) state: char,
    /// Its command line; the name in brackets where it has none.
    pub(crate) command: String,
}

/// Every process but process 1 and this one.
pub(crate) fn processes() -> Vec<Process> {
    let own = std::process::id();
    let mut found: Vec<Process> = fs::read_dir("/proc")
        .expect("/proc")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != 1 && *pid != own)
        .filter_map(read)
        .collect();
    found.sort_by_key(|process| process.pid);
    found
}

/// One process; `None` when it ended meanwhile.
fn read(pid: u32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (head, tail) = stat.rsplit_once(')')?;
    let mut fields = tail.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let cmdline = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let command = String::from_utf8_lossy(&cmdline)
        .replace('\0', " ")
        .trim()
        .to_owned();
    let command = if command.is_empty() {
        format!("[{}]", head.split_once('(')?.1)
    } else {
        command
    };
    Some(Process {
        pid,
        state,
        command,
    })
}

/// A line's value in the text of `/proc/PID/status`, such as `CapEff`.
pub(crate) fn status_field<'a>(status: &'a str, field: &str) -> &'a str {
    status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
        .unwrap_or_else(|| panic!("no `{field}` in:\n{status}"))
        .trim()
}
