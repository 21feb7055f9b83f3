//! Plans as text, one line a setting: `controller file=value`.

use super::*;

fn text(settings: Result<Vec<Setting>, CgroupError>) -> Vec<String> {
    settings
        .unwrap()
        .into_iter()
        .map(|setting| {
            let files: Vec<_> = setting
                .choices
                .iter()
                .map(|(file, value)| format!("{file}={value}"))
                .collect();
            let mark = if setting.optional { " (if there)" } else { "" };
            format!("{} {}{mark}", setting.controller, files.join(" or "))
        })
        .collect()
}

fn resources(json: serde_json::Value) -> LinuxResources {
    serde_json::from_value(json).unwrap()
}

fn refusals(json: serde_json::Value) -> [Option<String>; 2] {
    let resources = resources(json);
    [plan_v1(&resources), plan_v2(&resources)].map(|plan| plan.err().map(|error| error.to_string()))
}

#[test]
fn limits_become_files_of_either_version() {
    let all = resources(serde_json::json!({
        "memory": {"limit": 1000, "reservation": 500, "swap": 1500},
        "cpu": {"shares": 512, "quota": 50000, "period": 100_000, "cpus": "0-1", "mems": "0"},
        "pids": {"limit": 100},
        "blockIO": {
            "weight": 500,
            "weightDevice": [{"major": 8, "minor": 0, "weight": 10}],
            "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 7}],
            "throttleWriteIOPSDevice": [{"major": 8, "minor": 16, "rate": 9}]
        }
    }));
    assert_eq!(
        text(plan_v1(&all)),
        [
            "memory memory.limit_in_bytes=1000",
            "memory memory.memsw.limit_in_bytes=1500",
            "memory memory.soft_limit_in_bytes=500",
            "cpu cpu.shares=512",
            "cpu cpu.cfs_period_us=100000",
            "cpu cpu.cfs_quota_us=50000",
            "cpuset cpuset.cpus=0-1",
            "cpuset cpuset.mems=0",
            "pids pids.max=100",
            "blkio blkio.weight=500 or blkio.bfq.weight=500",
            "blkio blkio.weight_device=8:0 10 or blkio.bfq.weight_device=8:0 10",
            "blkio blkio.throttle.read_bps_device=8:0 7",
            "blkio blkio.throttle.write_iops_device=8:16 9",
        ]
    );
    assert_eq!(
        text(plan_v2(&all)),
        [
            "memory memory.max=1000",
            "memory memory.swap.max=500",
            "memory memory.low=500",
            "cpu cpu.weight=59",
            "cpu cpu.max=50000 100000",
            "cpuset cpuset.cpus=0-1",
            "cpuset cpuset.mems=0",
            "pids pids.max=100",
            "blkio io.bfq.weight=500 or io.weight=4950",
            "blkio io.bfq.weight=8:0 10 or io.weight=8:0 1",
            "blkio io.max=8:0 rbps=7",
            "blkio io.max=8:16 wiops=9",
        ]
    );
}

#[test]
fn swap_is_given_as_dockers_sum() {
    let plans = |memory: serde_json::Value| {
        let resources = resources(serde_json::json!({ "memory": memory }));
        (
            text(plan_v1(&resources)).pop().unwrap(),
            text(plan_v2(&resources)).pop().unwrap(),
        )
    };
    let pair = |v1: &str, v2: &str| {
        (
            format!("memory memory.memsw.limit_in_bytes={v1}"),
            format!("memory memory.swap.max={v2}"),
        )
    };
    assert_eq!(
        plans(serde_json::json!({"limit": 100, "swap": 100})),
        pair("100", "0")
    );
    // Docker's default, wanted by nobody in particular.
    let default = plans(serde_json::json!({"limit": 100, "swap": 200}));
    assert_eq!(default, pair("200 (if there)", "100 (if there)"));
    let unlimited = plans(serde_json::json!({"limit": 100, "swap": -1}));
    assert_eq!(unlimited, pair("-1 (if there)", "max (if there)"));
}

#[test]
fn zero_and_absent_values_are_no_limit() {
    let none = resources(serde_json::json!({
        "memory": {"limit": 0, "swap": 0, "reservation": 0},
        "cpu": {"shares": 0, "quota": 0, "period": 0, "cpus": ""},
        "pids": {"limit": 0},
        "blockIO": {"weight": 0}
    }));
    assert_eq!(text(plan_v1(&none)), Vec::<String>::new());
    assert_eq!(text(plan_v2(&none)), Vec::<String>::new());
    let unlimited = resources(serde_json::json!({"cpu": {"quota": -1}, "pids": {"limit": -1}}));
    assert_eq!(text(plan_v1(&unlimited)), ["cpu cpu.cfs_quota_us=-1"]);
    assert_eq!(text(plan_v2(&unlimited)), ["cpu cpu.max=max 100000"]);
}

#[test]
fn what_cannot_be_honoured_is_refused() {
    let both = |json| {
        let [v1, v2] = refusals(json);
        assert_eq!(v1, v2);
        v1.unwrap()
    };
    assert_eq!(
        both(serde_json::json!({"memory": {"limit": 100, "swap": 50}})),
        "cannot limit swap: the sum of memory and swap is below the memory limit"
    );
    assert_eq!(
        both(serde_json::json!({"memory": {"swap": 50}})),
        "cannot limit swap: it needs a memory limit as well"
    );
    let [v1, v2] = refusals(serde_json::json!({"memory": {"swappiness": 10}}));
    assert_eq!(v1, None);
    assert_eq!(
        v2.unwrap(),
        "cannot limit swappiness: control groups version 2 do not have it"
    );
    let [v1, v2] = refusals(serde_json::json!({"unified": {"memory.high": "1"}}));
    assert!(v1.unwrap().contains("version 1"));
    assert_eq!(v2, None);
    let [_, v2] = refusals(serde_json::json!({"unified": {"../memory.high": "1"}}));
    assert!(v2.unwrap().contains("no controller's file"));
}

/// The fixed points of the kernel's documentation, and that it never falls.
#[test]
fn shares_become_weights_on_a_rising_curve() {
    assert_eq!(
        [1, 2, 1024, 262_144, 1_000_000].map(weight_of_shares),
        [1, 1, 100, 10_000, 10_000]
    );
    let all: Vec<_> = (2..262_144).step_by(97).map(weight_of_shares).collect();
    assert!(all.windows(2).all(|pair| pair[0] <= pair[1]));
    assert_eq!([10, 500, 1000].map(io_weight), [1, 4950, 10_000]);
}
