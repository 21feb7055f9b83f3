//! Health probes as Docker has them, and earlier ones: the first at once, then
//! more with growing pauses until the container is healthy. An early probe can
//! only bring good news; it never counts as a failure.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

use super::Shared;
use super::exec::{self, Target};
use crate::supervise::launch::HealthCheck;
use crate::supervise::ready::watched;
use crate::supervise::record::{ContainerRecord, Health};

/// Shortest pause between early probes.
const SHORTEST_GAP: Duration = Duration::from_millis(8);
/// An early pause is this part of the time since the start, so that news are
/// late by no more than that part.
const GAP_PART: u32 = 4;
/// So much of a probe's output is kept, as Docker does.
const OUTPUT_LIMIT: usize = 4096;

/// What one probe said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProbeResult {
    pub(super) healthy: bool,
    pub(super) output: String,
}

/// The verdict so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Verdict {
    health: Health,
    streak: u32,
}

/// Whether a failure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Probe {
    /// By the declared interval.
    Regular,
    /// Before it.
    Early,
}

impl Verdict {
    fn take(&mut self, check: &HealthCheck, probe: Probe, healthy: bool, since_start: Duration) {
        if healthy {
            *self = Self {
                health: Health::Healthy,
                streak: 0,
            };
            return;
        }
        let excused = self.health == Health::Starting && since_start < check.start_period;
        if probe == Probe::Early || excused {
            return;
        }
        self.streak += 1;
        if self.streak >= check.retries {
            self.health = Health::Unhealthy;
        }
    }
}

/// When which probe is due.
#[derive(Debug, Clone, Copy)]
struct Schedule {
    start: Instant,
    regular: Instant,
    last_end: Option<Instant>,
}

impl Schedule {
    fn new(start: Instant, check: &HealthCheck) -> Self {
        let mut schedule = Self {
            start,
            regular: start,
            last_end: None,
        };
        schedule.regular = start + schedule.interval(check, start);
        schedule
    }

    /// In the start period, while there is one, probes come faster.
    fn interval(&self, check: &HealthCheck, now: Instant) -> Duration {
        if now.saturating_duration_since(self.start) < check.start_period {
            check.start_interval
        } else {
            check.interval
        }
    }

    fn next(&self, health: Health) -> (Instant, Probe) {
        if health != Health::Starting {
            return (self.regular, Probe::Regular);
        }
        let early = match self.last_end {
            None => self.start,
            Some(end) => {
                let gap = end.saturating_duration_since(self.start) / GAP_PART;
                end + gap.max(SHORTEST_GAP)
            }
        };
        if early < self.regular {
            (early, Probe::Early)
        } else {
            (self.regular, Probe::Regular)
        }
    }

    fn done(&mut self, check: &HealthCheck, probe: Probe, now: Instant) {
        self.last_end = Some(now);
        if probe == Probe::Regular {
            self.regular = now + self.interval(check, now);
        }
    }
}

/// Probes until it is dropped, and tells each change of the verdict. `started`
/// is when the container was, `health` what an earlier supervisor found.
pub(super) async fn watch(
    shared: Arc<Shared>,
    record: Arc<ContainerRecord>,
    check: HealthCheck,
    target: Target,
    (started, health): (Instant, Health),
    tell: impl Fn(Health, ProbeResult),
) {
    let mut verdict = Verdict { health, streak: 0 };
    let mut schedule = Schedule::new(started, &check);
    loop {
        let (due, probe) = schedule.next(verdict.health);
        tokio::time::sleep_until(due).await;
        let result = run(&shared, &record, &check, &target).await;
        let now = Instant::now();
        let before = verdict.health;
        verdict.take(
            &check,
            probe,
            result.healthy,
            now.saturating_duration_since(started),
        );
        schedule.done(&check, probe, now);
        if verdict.health != before {
            tell(verdict.health, result);
        }
    }
}

/// Runs one probe.
async fn run(
    shared: &Arc<Shared>,
    record: &Arc<ContainerRecord>,
    check: &HealthCheck,
    target: &Target,
) -> ProbeResult {
    let failed = |output: String| ProbeResult {
        healthy: false,
        output,
    };
    let (stdio, reader) = match streams() {
        Ok(streams) => streams,
        Err(error) => return failed(error.to_string()),
    };
    let spec = exec::probe_spec(record, &check.command);
    let started = exec::start(shared, record, target, spec, Some(stdio)).await;
    let exec = match started {
        Ok(exec) => exec,
        Err(error) => return failed(error.to_string()),
    };
    let mut output = Vec::new();
    let mut exit = exec.process.exit;
    let finished = async {
        tokio::select! {
            ended = &mut exit => ended.ok(),
            () = collect(&reader, &mut output) => (&mut exit).await.ok(),
        }
    };
    let ended = tokio::time::timeout(check.timeout, finished).await;
    drain(&reader, &mut output);
    let text = String::from_utf8_lossy(&output).trim_end().to_owned();
    let result = if let Ok(ended) = ended {
        let code = ended.and_then(|ended| ended.code);
        ProbeResult {
            healthy: code == Some(0),
            output: text,
        }
    } else {
        if let Some(pidfd) = &exec.process.pidfd {
            // It may have ended just now.
            rustix::process::pidfd_send_signal(pidfd, rustix::process::Signal::KILL).ok();
        }
        exit.await.ok();
        failed(format!(
            "the probe exceeded its timeout of {:?}",
            check.timeout
        ))
    };
    shared.link.acknowledge(&exec.key);
    result
}

/// `/dev/null` and one pipe for both outputs.
fn streams() -> io::Result<([OwnedFd; 3], AsyncFd<OwnedFd>)> {
    let (reader, writer) = io::pipe()?;
    let reader = OwnedFd::from(reader);
    rustix::io::ioctl_fionbio(&reader, true)?;
    let writer = OwnedFd::from(writer);
    let null = OwnedFd::from(fs_err::File::open("/dev/null")?.into_file());
    let stdio = [null, writer.try_clone()?, writer];
    Ok((stdio, watched(reader, Interest::READABLE)?))
}

/// Reads to the end; a probe that writes a lot is not held up by it.
async fn collect(reader: &AsyncFd<OwnedFd>, output: &mut Vec<u8>) {
    while let Ok(mut guard) = reader.readable().await {
        match read(reader.get_ref(), output) {
            Ok(0) => return,
            Ok(_) => {}
            Err(rustix::io::Errno::AGAIN) => guard.clear_ready(),
            Err(_) => return,
        }
    }
}

fn drain(reader: &AsyncFd<OwnedFd>, output: &mut Vec<u8>) {
    while read(reader.get_ref(), output).is_ok_and(|count| count > 0) {}
}

fn read(reader: &OwnedFd, output: &mut Vec<u8>) -> rustix::io::Result<usize> {
    let mut buffer = [0; 1024];
    let count = rustix::io::read(reader, &mut buffer)?;
    let room = OUTPUT_LIMIT.saturating_sub(output.len()).min(count);
    output.extend(buffer.iter().take(room));
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(interval: u64, start_period: u64) -> HealthCheck {
        HealthCheck {
            command: vec!["true".to_owned()],
            interval: Duration::from_secs(interval),
            timeout: Duration::from_secs(1),
            retries: 3,
            start_period: Duration::from_secs(start_period),
            start_interval: Duration::from_secs(5),
        }
    }

    #[test]
    fn failures_count_outside_the_start_period_and_only_by_the_interval() {
        let check = check(10, 30);
        let mut verdict = Verdict {
            health: Health::Starting,
            streak: 0,
        };
        let at = Duration::from_secs;
        verdict.take(&check, Probe::Regular, false, at(29));
        verdict.take(&check, Probe::Early, false, at(31));
        assert_eq!(
            verdict,
            Verdict {
                health: Health::Starting,
                streak: 0
            }
        );
        for expected in [Health::Starting, Health::Starting, Health::Unhealthy] {
            verdict.take(&check, Probe::Regular, false, at(31));
            assert_eq!(verdict.health, expected);
        }
        verdict.take(&check, Probe::Regular, true, at(50));
        assert_eq!(
            verdict,
            Verdict {
                health: Health::Healthy,
                streak: 0
            }
        );
        for expected in [Health::Healthy, Health::Healthy, Health::Unhealthy] {
            verdict.take(&check, Probe::Regular, false, at(5));
            assert_eq!(
                verdict.health, expected,
                "once healthy, the start period is over"
            );
        }
    }

    #[test]
    fn the_first_probe_is_at_once_and_early_ones_stop_when_healthy() {
        let check = check(10, 0);
        let start = Instant::now();
        let mut schedule = Schedule::new(start, &check);
        assert_eq!(schedule.next(Health::Starting), (start, Probe::Early));
        assert_eq!(
            schedule.next(Health::Healthy),
            (start + Duration::from_secs(10), Probe::Regular)
        );
        let mut early = 0;
        loop {
            let (due, probe) = schedule.next(Health::Starting);
            schedule.done(&check, probe, due);
            if probe == Probe::Regular {
                assert_eq!(due, start + Duration::from_secs(10));
                break;
            }
            early += 1;
        }
        assert!((15..45).contains(&early), "{early}");
        assert_eq!(schedule.regular, start + Duration::from_secs(20));
    }

    #[test]
    fn the_start_period_has_its_own_interval() {
        let check = check(60, 8);
        let start = Instant::now();
        let mut schedule = Schedule::new(start, &check);
        let first = start + Duration::from_secs(5);
        assert_eq!(schedule.regular, first);
        schedule.done(&check, Probe::Regular, first);
        assert_eq!(schedule.regular, first + Duration::from_secs(5));
        let second = schedule.regular;
        schedule.done(&check, Probe::Regular, second);
        assert_eq!(schedule.regular, second + Duration::from_secs(60));
    }
}
