//! Containers from start to end: logs, codes, policies, probes.

use std::time::{Duration, Instant};

use skiff::supervise::launch::RestartPolicy;
use skiff::supervise::record::{Health, RunState};
use skiff::supervise::wire::{ChangeKind, Condition, Failure, Request};

use crate::harness::{Ask, isolated, next_exit, probe};

#[test]
fn output_code_and_records_of_a_short_run() {
    isolated(async |bench| {
        let client = bench.client().await;
        let record = bench.shell("job", "echo out; echo err >&2; exit 3");
        let id = client.run(&record).await;
        client.until(&id, Condition::Exited).await;
        let mut lines = bench.lines(&id).await;
        lines.sort();
        assert_eq!(lines, ["err", "out"]);
        let view = bench.view(&id).unwrap();
        assert_eq!(view.state, RunState::Exited);
        let exit = view.exit.unwrap();
        assert_eq!(exit.code, Some(3));
        assert!(!exit.stopped_by_user && !exit.oom_killed, "{exit:?}");
        assert!(exit.started < exit.finished, "{exit:?}");
    });
}
