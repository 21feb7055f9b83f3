//! `up`, `create` and `run` on a state in which nothing has changed.

use super::notation::{assert_plan, model, state};
use crate::reconcile::plan::Target;
use crate::reconcile::planner::{PlanError, UpChoices, plan_run, plan_up};

const SHOP: &str = "
    db   vol:data
    job  needs:db/healthy
    web  needs:job/completed needs:db/healthy
";

#[test]
fn first_up_makes_everything_and_gates_each_start() {
    let plan = plan_up(&model(SHOP), &state(""), &UpChoices::default()).unwrap();
    assert_plan(
        &plan,
        "1 network p_default: create (missing)
         2 volume p_data: create (missing)
         3 container p-db-1: create (missing) after 1, 2
         4 container p-job-1: create (missing) after 1
         5 container p-web-1: create (missing) after 1
         6 container p-db-1: start after 3
         7 container p-db-1: wait until healthy (gates job, web) after 6
         8 container p-job-1: start after 4, 7
         9 container p-job-1: wait until completed successfully (gates web) after 8
         10 container p-web-1: start after 5, 7, 9",
    );
}

#[test]
fn up_of_what_runs_does_nothing() {
    let plan = plan_up(
        &model("db\nweb needs:db/healthy"),
        &state("network:default\ndb-1 running healthy\nweb-1 running"),
        &UpChoices::default(),
    )
    .unwrap();
    assert!(plan.is_empty());
    assert_plan(
        &plan,
        "container p-db-1: keep (running)
         container p-web-1: keep (running)
         nothing to do",
    );
}

#[test]
fn second_up_starts_finished_one_shots_again_and_gates_again() {
    let plan = plan_up(
        &model(SHOP),
        &state("network:default\nvolume:data\ndb-1 running healthy vol:data\njob-1 exited\nweb-1 exited"),
        &UpChoices::default(),
    )
    .unwrap();
    assert_plan(
        &plan,
        "container p-db-1: keep (running)
         1 container p-job-1: start (not running)
         2 container p-job-1: wait until completed successfully (gates web) after 1
         3 container p-web-1: start (not running) after 2",
    );
}

#[test]
fn one_shot_that_runs_again_is_watched_for_dependents_that_run() {
    let plan = plan_up(
        &model("job\nweb needs:job/completed"),
        &state("network:default\njob-1 exited\nweb-1 running"),
        &UpChoices::default(),
    )
    .unwrap();
    assert_plan(
        &plan,
        "container p-web-1: keep (running)
         1 container p-job-1: start (not running)
         2 container p-job-1: wait until completed successfully (gates web) after 1",
    );
}

#[test]
fn optional_dependency_is_waited_for_apart_from_a_required_one() {
    let plan = plan_up(
        &model("db net:-\na net:- needs:db/healthy\nb net:- needs:db/healthy+optional"),
        &state(""),
        &UpChoices::default(),
    )
    .unwrap();
    let waits = plan.to_string().matches("wait until healthy").count();
    assert_eq!(waits, 2, "{plan}");
}

#[test]
fn up_of_one_service_takes_its_dependencies_or_not() {
    let desired = model("db net:-\nweb net:- needs:db\nother net:-");
    let mut choices = UpChoices {
        services: vec!["web".to_owned()],
        ..UpChoices::default()
    };
    let plan = plan_up(&desired, &state(""), &choices).unwrap();
    assert_plan(
        &plan,
        "1 container p-db-1: create (missing)
         2 container p-web-1: create (missing)
         3 container p-db-1: start after 1
         4 container p-web-1: start after 2, 3",
    );
    choices.no_deps = true;
    let plan = plan_up(&desired, &state(""), &choices).unwrap();
    assert_plan(
        &plan,
        "1 container p-web-1: create (missing)
         2 container p-web-1: start after 1",
    );
}

#[test]
fn scale_adds_the_next_numbers_and_takes_the_highest() {
    let up = |count: u32, observed: &str| {
        let choices = UpChoices {
            scale: [("web".to_owned(), count)].into(),
            ..UpChoices::default()
        };
        plan_up(&model("web net:-"), &state(observed), &choices).unwrap()
    };
    assert_plan(
        &up(3, "web-2 net:-"),
        "container p-web-2: keep (running)
         1 container p-web-3: create (missing)
         2 container p-web-4: create (missing)
         3 container p-web-3: start after 1
         4 container p-web-4: start after 2",
    );
    assert_plan(
        &up(1, "web-1 net:- exited\nweb-2 net:-\nweb-3 net:- exited"),
        "1 container p-web-2: stop (more than 1)
         2 container p-web-2: remove after 1
         3 container p-web-3: remove (more than 1)
         4 container p-web-1: start (not running)",
    );
}

#[test]
fn scale_takes_what_is_outdated_first() {
    let plan = plan_up(
        &model("web net:- #2"),
        &state("web-1 net:- #1\nweb-2 net:- #2"),
        &UpChoices::default(),
    )
    .unwrap();
    assert_plan(
        &plan,
        "container p-web-2: keep (running)
         1 container p-web-1: stop (more than 1)
         2 container p-web-1: remove after 1",
    );
}

#[test]
fn fixed_name_allows_one_container() {
    let error = plan_up(&model("web x2 named:w"), &state(""), &UpChoices::default()).unwrap_err();
    assert!(
        matches!(error, PlanError::NamedScale { replicas: 2, .. }),
        "{error}"
    );
}

#[test]
fn taken_names_are_refused_before_anything_is_done() {
    let taken = |observed: &str| {
        plan_up(
            &model("web net:- named:w"),
            &state(observed),
            &UpChoices::default(),
        )
        .unwrap_err()
        .to_string()
    };
    assert!(taken("taken:w").contains("`w` is taken by a container of project `other`"));
    assert!(taken("old-1 named:w net:-").contains("service `old`"));
    // With the orphan gone its name is free, in that order.
    let choices = UpChoices {
        remove_orphans: true,
        ..UpChoices::default()
    };
    let plan = plan_up(
        &model("web net:- named:w"),
        &state("old-1 named:w net:-"),
        &choices,
    )
    .unwrap();
    assert_plan(
        &plan,
        "1 container w: stop (orphan)
         2 container w: remove after 1
         3 container w: create (missing) after 2
         4 container w: start after 3",
    );
}

#[test]
fn no_start_only_creates() {
    let choices = UpChoices {
        no_start: true,
        wait: true,
        ..UpChoices::default()
    };
    let plan = plan_up(
        &model("a net:-\nb net:-"),
        &state("b-1 exited net:-"),
        &choices,
    )
    .unwrap();
    assert_plan(
        &plan,
        "container p-b-1: keep (exited)
         1 container p-a-1: create (missing)",
    );
}

#[test]
fn wait_flag_waits_for_all_and_for_the_end_of_what_others_wait_for() {
    let choices = UpChoices {
        wait: true,
        ..UpChoices::default()
    };
    let plan = plan_up(
        &model("db net:-\njob net:-\nweb net:- needs:job/completed"),
        &state("db-1 running healthy net:-\nweb-1 running starting net:-"),
        &choices,
    )
    .unwrap();
    assert_plan(
        &plan,
        "container p-db-1: keep (running)
         container p-web-1: keep (running)
         1 container p-job-1: create (missing)
         2 container p-job-1: start after 1
         3 container p-job-1: wait until completed successfully (gates web) after 2
         4 container p-job-1: wait until completed successfully (asked for) after 2
         5 container p-web-1: wait until running or healthy (asked for)",
    );
}

#[test]
fn external_resources_must_exist() {
    let desired = model("network:ext=external\nweb net:ext");
    let error = plan_up(&desired, &state(""), &UpChoices::default()).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("network ext declared as external"),
        "{error}"
    );
    let plan = plan_up(
        &desired,
        &state("network:ext=external"),
        &UpChoices::default(),
    )
    .unwrap();
    assert!(!plan.to_string().contains("network"), "{plan}");

    let desired = model("volume:extv=external\nweb net:- vol:extv");
    let error = plan_up(&desired, &state(""), &UpChoices::default()).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("external volume \"extv\" not found"),
        "{error}"
    );
}

#[test]
fn unknown_services_are_refused_by_name() {
    let choices = UpChoices {
        services: vec!["wbe".to_owned()],
        ..UpChoices::default()
    };
    let error = plan_up(&model("web"), &state(""), &choices).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no such service: wbe (did you mean `web`?)"
    );
}

#[test]
fn run_brings_dependencies_up_and_creates_the_one_off_last() {
    let oneoff = Target {
        name: "p-web-run-abc".to_owned(),
        service: "web".to_owned(),
        number: 1,
        id: None,
    };
    let desired = model("db\nweb needs:db/healthy vol:data");
    let plan = plan_run(
        &desired,
        &state("web-1 running vol:data"),
        &oneoff,
        &UpChoices::default(),
    );
    assert_plan(
        &plan.unwrap(),
        "1 network p_default: create (missing)
         2 volume p_data: create (missing)
         3 container p-db-1: create (missing) after 1
         4 container p-db-1: start after 3
         5 container p-db-1: wait until healthy (gates web) after 4
         6 container p-web-run-abc: create (asked for) after 1, 2, 5",
    );
    let choices = UpChoices {
        no_deps: true,
        ..UpChoices::default()
    };
    let plan = plan_run(
        &desired,
        &state("network:default\nvolume:data"),
        &oneoff,
        &choices,
    );
    assert_plan(
        &plan.unwrap(),
        "1 container p-web-run-abc: create (asked for)",
    );
}
