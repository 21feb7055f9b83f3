//! `down`, `stop`, `start`, `restart`, `kill`, with and without a file.

use super::notation::{assert_plan, model, state};
use crate::reconcile::planner::{
    DownChoices, plan_down, plan_kill, plan_restart, plan_start, plan_stop,
};

const RUNNING: &str = "
    network:default
    volume:data
    db-1 vol:data
    web-1 needs:db
";

#[test]
fn down_without_a_file_follows_the_labels() {
    let plan = plan_down("p", None, &state(RUNNING), &DownChoices::default()).unwrap();
    assert_plan(
        &plan,
        "1 container p-web-1: stop (asked for)
         2 container p-web-1: remove after 1
         3 container p-db-1: stop (asked for) after 1
         4 container p-db-1: remove after 3
         5 network p_default: remove (asked for) after 2, 4",
    );
}

#[test]
fn down_with_volumes_takes_them_last() {
    let choices = DownChoices {
        volumes: true,
        timeout: Some(1),
        ..DownChoices::default()
    };
    let desired = model("db vol:data\nweb needs:db");
    let plan = plan_down("p", Some(&desired), &state(RUNNING), &choices).unwrap();
    assert_plan(
        &plan,
        "1 container p-web-1: stop (asked for)
         2 container p-web-1: remove with its anonymous volumes after 1
         3 container p-db-1: stop (asked for) after 1
         4 container p-db-1: remove with its anonymous volumes after 3
         5 network p_default: remove (asked for) after 2, 4
         6 volume p_data: remove (asked for) after 4",
    );
}

#[test]
fn down_keeps_a_live_one_off_and_its_network_and_names_it() {
    let observed = state("network:default\nweb-1\nweb-run-a\nweb-run-b exited");
    let plan = plan_down("p", None, &observed, &DownChoices::default()).unwrap();
    assert_plan(
        &plan,
        "note: network p_default is kept: p-web-run-a (one-off) uses it
         1 container p-web-1: stop (asked for)
         2 container p-web-1: remove after 1
         3 container p-web-run-b: remove (asked for)",
    );
    let choices = DownChoices {
        remove_orphans: true,
        ..DownChoices::default()
    };
    let plan = plan_down("p", None, &observed, &choices).unwrap();
    assert!(
        plan.to_string().contains("container p-web-run-a: stop"),
        "{plan}"
    );
    assert!(
        plan.to_string().contains("network p_default: remove"),
        "{plan}"
    );
}

#[test]
fn down_with_a_file_keeps_orphans_and_their_network() {
    let observed = state("network:default\nweb-1\nold-1");
    let desired = model("web");
    let plan = plan_down("p", Some(&desired), &observed, &DownChoices::default()).unwrap();
    assert!(!plan.to_string().contains("p-old-1: stop"), "{plan}");
    assert!(plan.notes[0].contains("p-old-1 (orphan) uses it"), "{plan}");
}

#[test]
fn down_of_one_service_leaves_the_network_to_the_others() {
    let choices = DownChoices {
        services: vec!["web".to_owned()],
        ..DownChoices::default()
    };
    let plan = plan_down("p", None, &state(RUNNING), &choices).unwrap();
    assert_plan(
        &plan,
        "1 container p-web-1: stop (asked for)
         2 container p-web-1: remove after 1",
    );
}

#[test]
fn down_leaves_other_projects_resources_alone() {
    let plan = plan_down(
        "other",
        None,
        &state("network:default"),
        &DownChoices::default(),
    );
    assert!(plan.unwrap().is_empty());
}

#[test]
fn stop_ends_dependents_first_even_across_one_that_does_not_run() {
    let observed = state("db-1\napi-1 exited needs:db\nweb-1 needs:api\nweb-run-a");
    let plan = plan_stop(None, &observed, &[], None).unwrap();
    assert_plan(
        &plan,
        "container p-api-1: keep (stopped)
         1 container p-web-1: stop (asked for)
         2 container p-db-1: stop (asked for) after 1",
    );
}

#[test]
fn start_takes_dependencies_along_and_gates() {
    let observed = state("db-1 exited\nweb-1 exited needs:db/healthy\nother-1 exited");
    let plan = plan_start(None, &observed, &["web".to_owned()]).unwrap();
    assert_plan(
        &plan,
        "1 container p-db-1: start (not running)
         2 container p-db-1: wait until healthy (gates web) after 1
         3 container p-web-1: start (not running) after 2",
    );
}

#[test]
fn start_of_what_was_never_created_is_an_error() {
    let error = plan_start(None, &state(""), &[]).unwrap_err();
    assert!(
        error.to_string().contains("no container to start"),
        "{error}"
    );
    let observed = state("db-1");
    let error = plan_start(Some(&model("web")), &observed, &["web".to_owned()]).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("\"web\" has no container to start"),
        "{error}"
    );
}

#[test]
fn restart_takes_along_what_restarts_with_it() {
    let observed = state("db-1\nweb-1 needs:db+restart\nlog-1 needs:db");
    let plan = |no_deps| plan_restart(None, &observed, &["db".to_owned()], no_deps, None).unwrap();
    assert_plan(
        &plan(false),
        "1 container p-db-1: restart (asked for)
         2 container p-web-1: restart (restarts with db) after 1",
    );
    assert_plan(&plan(true), "1 container p-db-1: restart (asked for)");
}

#[test]
fn restart_of_all_is_parallel_where_nothing_restarts_with_another() {
    let plan = plan_restart(
        None,
        &state("db-1\nlog-1 exited needs:db"),
        &[],
        false,
        None,
    )
    .unwrap();
    assert_plan(
        &plan,
        "1 container p-db-1: restart (asked for)
         2 container p-log-1: restart (asked for)",
    );
}

#[test]
fn kill_reaches_everything_that_runs() {
    let plan = plan_kill(None, &state("db-1\nweb-run-a\nlog-1 exited"), &[], 9).unwrap();
    assert_plan(
        &plan,
        "1 container p-db-1: send signal 9 (asked for)
         2 container p-web-run-a: send signal 9 (asked for)",
    );
}
