//! The executor over a fake engine that counts calls, takes its time, fails
//! where told, and checks that nothing begins before what it waits for.

use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use tokio::time::sleep;

use super::*;
use crate::net::spec::{NetworkRecord, NetworkSpec};
use crate::reconcile::cancel::cancel_pair;
use crate::reconcile::desired::VolumeSpec;
use crate::reconcile::plan::Cause;
use crate::reconcile::testing::{Recorder, alike};
use crate::supervise::wire::{Condition, Failure};

/// What the fake does for one object.
#[derive(Debug, Clone, Default)]
struct Script {
    takes: Duration,
    fails: Option<Failure>,
}

#[derive(Debug, Default)]
struct Fake {
    scripts: BTreeMap<String, Script>,
    log: Mutex<Vec<String>>,
    busy: Mutex<(usize, usize)>,
    lock: Mutex<Option<Lock>>,
}

impl Fake {
    fn with(mut self, call: &str, millis: u64, fails: Option<Failure>) -> Self {
        let takes = Duration::from_millis(millis);
        self.scripts
            .insert(call.to_owned(), Script { takes, fails });
        self
    }

    async fn call(&self, what: &str, name: &str) -> Result<(), BackendError> {
        let call = format!("{what} {name}");
        {
            let mut busy = self.busy.lock().unwrap();
            busy.0 += 1;
            busy.1 = busy.1.max(busy.0);
        }
        let script = self.scripts.get(&call).cloned().unwrap_or_default();
        sleep(script.takes).await;
        self.busy.lock().unwrap().0 -= 1;
        self.log.lock().unwrap().push(call);
        script
            .fails
            .map_or(Ok(()), |failure| Err(BackendError::Refused(failure)))
    }

    fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }
}

impl Backend for Fake {
    alike!();
    async fn ensure_network(&self, spec: &NetworkSpec) -> Result<Vec<String>, BackendError> {
        self.call("network", &spec.name).await.map(|()| Vec::new())
    }
    async fn remove_network(&self, name: &str) -> Result<(), BackendError> {
        self.call("unnetwork", name).await
    }
    async fn ensure_volume(&self, spec: &VolumeSpec) -> Result<(), BackendError> {
        self.call("volume", &spec.name).await
    }
    async fn remove_volume(&self, name: &str) -> Result<(), BackendError> {
        self.call("unvolume", name).await
    }
    async fn create(&self, record: &ContainerRecord) -> Result<(), BackendError> {
        self.call("create", &record.name).await
    }
    async fn start(&self, id: &ContainerId) -> Result<Vec<String>, BackendError> {
        self.call("start", short(id)).await.map(|()| Vec::new())
    }
    async fn stop(&self, id: &ContainerId, _timeout: Option<i64>) -> Result<(), BackendError> {
        self.call("stop", short(id)).await
    }
    async fn restart(
        &self,
        id: &ContainerId,
        _timeout: Option<i64>,
    ) -> Result<Vec<String>, BackendError> {
        self.call("restart", short(id)).await.map(|()| Vec::new())
    }
    async fn kill(&self, id: &ContainerId, _signal: i32) -> Result<(), BackendError> {
        self.call("kill", short(id)).await
    }
    async fn remove(&self, id: &ContainerId, _volumes: bool) -> Result<(), BackendError> {
        self.call("remove", short(id)).await
    }
    async fn wait(&self, id: &ContainerId, _condition: Condition) -> Result<(), BackendError> {
        self.call("wait", short(id)).await
    }
}

/// Ids in these tests are a number, padded: `7` is shown as `7`.
fn id(number: usize) -> ContainerId {
    ContainerId::parse(&format!("{number:0>64}")).unwrap()
}

fn short(id: &ContainerId) -> &str {
    let digits = id.as_str().trim_start_matches('0');
    if digits.is_empty() { "0" } else { digits }
}

fn target(number: usize) -> Target {
    Target {
        name: format!("p-s{number}-1"),
        service: format!("s{number}"),
        number: 1,
        id: Some(id(number)),
    }
}

fn start(number: usize) -> Op {
    Op::StartContainer {
        target: target(number),
    }
}

fn wait(number: usize, condition: Condition, otherwise: Otherwise) -> Op {
    Op::WaitCondition {
        target: target(number),
        condition,
        otherwise,
    }
}

fn stop(number: usize) -> Op {
    Op::StopContainer {
        target: target(number),
        timeout: None,
        part_of: PartOf::Itself,
    }
}

/// A plan of these operations with these edges.
fn plan(ops: &[Op], edges: &[(usize, usize)]) -> Plan {
    let mut plan = Plan::default();
    let ids: Vec<StepId> = ops
        .iter()
        .map(|op| plan.add(op.clone(), Cause::Asked))
        .collect();
    for (earlier, later) in edges {
        plan.order(ids[*earlier], ids[*later]);
    }
    plan
}

struct Outcome {
    result: Result<(), ExecuteError>,
    log: Vec<String>,
    events: Vec<String>,
    took: Duration,
}

async fn run(fake: &Fake, plan: &Plan, on_failure: OnFailure) -> Outcome {
    let sink = Recorder::default();
    let began = Instant::now();
    let result = Executor {
        backend: fake,
        sink: &sink,
        cancel: &Cancel::never(),
        records: &BTreeMap::new(),
        parallel: None,
        on_failure,
        wait_timeout: Some(Duration::from_secs(60)),
        observer: None,
    }
    .run(plan, None)
    .await;
    let events = sink.take();
    Outcome {
        result,
        log: fake.log(),
        events,
        took: began.elapsed(),
    }
}

fn failed() -> Failure {
    Failure::Other {
        message: "it broke".to_owned(),
        hint: Some("mend it".to_owned()),
    }
}

fn condition(what: &str, code: Option<i32>) -> Failure {
    Failure::Condition {
        name: "p-s1-1".to_owned(),
        what: what.to_owned(),
        code,
    }
}

#[tokio::test(start_paused = true)]
async fn independent_operations_run_together_and_dependent_ones_in_order() {
    let fake = Fake::default()
        .with("start 1", 100, None)
        .with("start 2", 100, None);
    let plan = plan(&[start(1), start(2), start(3)], &[(0, 2), (1, 2)]);
    let outcome = run(&fake, &plan, OnFailure::Finish).await;
    outcome.result.unwrap();
    assert_eq!(outcome.log, ["start 1", "start 2", "start 3"]);
    assert_eq!(outcome.took, Duration::from_millis(100));
    assert_eq!(
        outcome.events,
        [
            "p-s1-1 Starting",
            "p-s2-1 Starting",
            "p-s1-1 Started",
            "p-s2-1 Started",
            "p-s3-1 Starting",
            "p-s3-1 Started",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn parallelism_is_bounded_for_work_and_not_for_stops_and_waits() {
    let mut fake = Fake::default();
    for number in 1..=200 {
        for what in ["start", "stop", "wait"] {
            fake = fake.with(&format!("{what} {number}"), 10, None);
        }
    }
    let starts: Vec<Op> = (1..=200).map(start).collect();
    run(&fake, &plan(&starts, &[]), OnFailure::Finish)
        .await
        .result
        .unwrap();
    assert_eq!(fake.busy.lock().unwrap().1, PARALLEL);

    let ends: Vec<Op> = (1..=200)
        .flat_map(|n| [stop(n), wait(n, Condition::Exited, Otherwise::NotUp)])
        .collect();
    run(&fake, &plan(&ends, &[]), OnFailure::Finish)
        .await
        .result
        .unwrap();
    assert_eq!(fake.busy.lock().unwrap().1, 400);
}

#[tokio::test(start_paused = true)]
async fn failure_of_up_finishes_what_runs_and_begins_nothing_more() {
    let fake = Fake::default()
        .with("start 1", 10, Some(failed()))
        .with("start 2", 50, Some(failed()))
        .with("wait 4", 3_600_000, None);
    let ops = [
        start(1),
        start(2),
        start(3),
        wait(4, Condition::Healthy, Otherwise::NotUp),
        start(5),
    ];
    let outcome = run(&fake, &plan(&ops, &[(1, 2), (0, 4)]), OnFailure::Finish).await;
    let text = outcome.result.unwrap_err().to_string();
    assert_eq!(
        text,
        "Container p-s1-1: it broke\nContainer p-s2-1: it broke"
    );
    assert_eq!(outcome.log, ["start 1", "start 2"]);
    assert_eq!(outcome.took, Duration::from_millis(50));
    assert!(
        outcome
            .events
            .contains(&"p-s1-1 failed: Container p-s1-1: it broke".to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn failure_of_down_goes_on_with_all_that_does_not_depend_on_it() {
    let fake = Fake::default().with("stop 1", 10, Some(failed()));
    let ops = [stop(1), stop(2), stop(3), stop(4)];
    let outcome = run(&fake, &plan(&ops, &[(0, 1), (2, 3)]), OnFailure::Continue).await;
    let ExecuteError::Failed { failures } = outcome.result.unwrap_err() else {
        panic!()
    };
    assert_eq!(failures.len(), 1);
    assert_eq!(outcome.log, ["stop 3", "stop 4", "stop 1"]);
}

#[tokio::test(start_paused = true)]
async fn failed_gates_are_told_in_docker_composes_words() {
    let text = |condition, failure| async move {
        let fake = Fake::default().with("wait 1", 1, Some(failure));
        let ops = [wait(1, condition, Otherwise::DependencyFailed), start(2)];
        let outcome = run(&fake, &plan(&ops, &[(0, 1)]), OnFailure::Finish).await;
        assert_eq!(outcome.log, ["wait 1"]);
        outcome.result.unwrap_err().to_string()
    };
    assert_eq!(
        text(Condition::Healthy, condition("is unhealthy", None)).await,
        "dependency failed to start: container p-s1-1 is unhealthy"
    );
    assert_eq!(
        text(
            Condition::CompletedSuccessfully,
            condition("exited (1)", Some(1))
        )
        .await,
        "service \"s1\" didn't complete successfully: exit 1"
    );
    assert_eq!(
        text(Condition::CompletedSuccessfully, condition("ended", None)).await,
        "service \"s1\" didn't complete successfully: exit unknown"
    );
}

#[tokio::test(start_paused = true)]
async fn optional_dependency_that_fails_is_a_warning() {
    let fake = Fake::default().with("wait 1", 1, Some(condition("is unhealthy", None)));
    let ops = [wait(1, Condition::Healthy, Otherwise::Warn), start(2)];
    let outcome = run(&fake, &plan(&ops, &[(0, 1)]), OnFailure::Finish).await;
    outcome.result.unwrap();
    assert_eq!(outcome.log, ["wait 1", "start 2"]);
    assert_eq!(
        outcome.events[1],
        "warning: optional dependency failed to start: container p-s1-1 is unhealthy"
    );
}

#[tokio::test(start_paused = true)]
async fn wait_flag_has_a_deadline_and_gates_have_none() {
    let fake = Fake::default().with("wait 1", 61_000, None);
    let gate = plan(
        &[wait(1, Condition::Healthy, Otherwise::DependencyFailed)],
        &[],
    );
    run(&fake, &gate, OnFailure::Finish).await.result.unwrap();
    let up = plan(
        &[wait(1, Condition::RunningOrHealthy, Otherwise::NotUp)],
        &[],
    );
    let error = run(&fake, &up, OnFailure::Finish).await.result.unwrap_err();
    assert_eq!(error.to_string(), "application not healthy after 60s");
}

#[tokio::test(start_paused = true)]
async fn cancel_finishes_what_runs_and_leaves_waits() {
    let fake = Fake::default()
        .with("start 1", 100, None)
        .with("wait 2", 3_600_000, None);
    let ops = [
        start(1),
        start(3),
        wait(2, Condition::Healthy, Otherwise::DependencyFailed),
    ];
    let plan = plan(&ops, &[(0, 1)]);
    let (handle, cancel) = cancel_pair();
    let records = BTreeMap::new();
    let executor = Executor {
        backend: &fake,
        sink: &crate::event::Silent,
        cancel: &cancel,
        records: &records,
        parallel: None,
        on_failure: OnFailure::Finish,
        wait_timeout: None,
        observer: None,
    };
    let began = Instant::now();
    let (result, ()) = tokio::join!(executor.run(&plan, None), async {
        sleep(Duration::from_millis(10)).await;
        handle.cancel();
    });
    assert!(matches!(result, Err(ExecuteError::Cancelled { .. })));
    assert_eq!(fake.log(), ["start 1"]);
    assert_eq!(began.elapsed(), Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn lock_is_let_go_while_nothing_but_waits_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lock");
    let fake = Fake::default()
        .with("start 1", 100, None)
        .with("wait 1", 900, None);
    let ops = [
        start(1),
        wait(1, Condition::Healthy, Otherwise::DependencyFailed),
    ];
    let plan = plan(&ops, &[(0, 1)]);
    let records = BTreeMap::new();
    let never = Cancel::never();
    let executor = Executor {
        backend: &fake,
        sink: &crate::event::Silent,
        cancel: &never,
        records: &records,
        parallel: None,
        on_failure: OnFailure::Finish,
        wait_timeout: None,
        observer: None,
    };
    let lock = Lock::acquire(&path).unwrap();
    let (result, ()) = tokio::join!(executor.run(&plan, Some(lock)), async {
        sleep(Duration::from_millis(50)).await;
        assert!(Lock::try_acquire(&path).unwrap().is_none());
        sleep(Duration::from_millis(450)).await;
        assert!(Lock::try_acquire(&path).unwrap().is_some());
    });
    result.unwrap();
}

#[tokio::test(start_paused = true)]
async fn observer_learns_of_each_start() {
    #[derive(Default)]
    struct Seen(Mutex<Vec<String>>);
    impl Observer for Seen {
        fn started(&self, _id: &ContainerId, target: &Target) {
            self.0.lock().unwrap().push(target.name.clone());
        }
    }
    let (fake, seen) = (Fake::default(), Arc::new(Seen::default()));
    let executor = Executor {
        backend: &fake,
        sink: &crate::event::Silent,
        cancel: &Cancel::never(),
        records: &BTreeMap::new(),
        parallel: None,
        on_failure: OnFailure::Finish,
        wait_timeout: None,
        observer: Some(&*seen),
    };
    executor
        .run(&plan(&[start(1), stop(2)], &[]), None)
        .await
        .unwrap();
    assert_eq!(*seen.0.lock().unwrap(), ["p-s1-1"]);
}

#[tokio::test(start_paused = true)]
async fn unprepared_creation_is_an_error_and_no_panic() {
    let mut new = target(1);
    new.id = None;
    let ops = [Op::CreateContainer {
        target: new,
        replaces: None,
    }];
    let outcome = run(&Fake::default(), &plan(&ops, &[]), OnFailure::Finish).await;
    assert!(
        outcome
            .result
            .unwrap_err()
            .to_string()
            .contains("planned but not prepared")
    );
}

/// A graph of starts where each may depend on those before it.
fn any_graph() -> impl Strategy<Value = Vec<(BTreeSet<usize>, u64, bool)>> {
    let node = (
        proptest::collection::vec(any::<prop::sample::Index>(), 0..4),
        0_u64..50,
        0_u8..20,
    );
    proptest::collection::vec(node, 1..120).prop_map(|nodes| {
        nodes
            .iter()
            .enumerate()
            .map(|(number, (deps, takes, dice))| {
                let deps = deps
                    .iter()
                    .filter(|_| number > 0)
                    .map(|one| one.index(number))
                    .collect();
                (deps, *takes, *dice == 0)
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_graph_is_walked_once_in_order_and_stops_below_failures(graph in any_graph()) {
        let mut fake = Fake::default();
        let mut edges = Vec::new();
        let ops: Vec<Op> = (0..graph.len()).map(start).collect();
        let mut unreachable = BTreeSet::new();
        for (number, (deps, takes, fails)) in graph.iter().enumerate() {
            let failure = fails.then(failed);
            fake = fake.with(&format!("start {number}"), *takes, failure);
            edges.extend(deps.iter().map(|dep| (*dep, number)));
            if deps.iter().any(|dep| unreachable.contains(dep) || graph[*dep].2) {
                unreachable.insert(number);
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time().start_paused(true).build().unwrap();
        let outcome = runtime.block_on(run(&fake, &plan(&ops, &edges), OnFailure::Continue));
        let ended: Vec<usize> = outcome.log.iter()
            .map(|call| call.trim_start_matches("start ").parse().unwrap()).collect();
        let once: BTreeSet<usize> = ended.iter().copied().collect();
        prop_assert_eq!(once.len(), ended.len());
        let expected: BTreeSet<usize> =
            (0..graph.len()).filter(|number| !unreachable.contains(number)).collect();
        prop_assert_eq!(&once, &expected);
        let position = |number: usize| ended.iter().position(|one| *one == number);
        for (earlier, later) in edges {
            if once.contains(&later) {
                prop_assert!(position(earlier) < position(later));
            }
        }
        let failures = expected.iter().filter(|number| graph[**number].2).count();
        match outcome.result {
            Ok(()) => prop_assert_eq!(failures, 0),
            Err(ExecuteError::Failed { failures: list }) => prop_assert_eq!(list.len(), failures),
            Err(other) => prop_assert!(false, "{other}"),
        }
    }
}
