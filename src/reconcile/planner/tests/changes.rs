//! `up` on a state that differs from what is declared.

use super::notation::{assert_plan, model, state};
use crate::reconcile::planner::{Recreate, UpChoices, plan_up};

#[test]
fn changed_service_alone_is_recreated_and_says_why() {
    let plan = plan_up(
        &model("db net:-\nweb net:- needs:db #2 env:1"),
        &state("db-1 net:-\nweb-1 net:- env:0"),
        &UpChoices::default(),
    )
    .unwrap();
    assert_plan(
        &plan,
        r#"note: web recreated: environment.E "0" -> "1"
         container p-db-1: keep (running)
         1 container p-web-1: stop (environment.E "0" -> "1")
         2 container p-web-1: remove after 1
         3 container p-web-1: create after 2
         4 container p-web-1: start after 3"#,
    );
}

#[test]
fn replicas_give_one_reason_together() {
    let plan = plan_up(
        &model("web x2 net:- #2 env:1"),
        &state("web-1 net:- env:0\nweb-2 net:- env:0"),
        &UpChoices::default(),
    )
    .unwrap();
    assert_eq!(plan.notes, [r#"web recreated: environment.E "0" -> "1""#]);
}

#[test]
fn another_image_of_the_same_name_recreates() {
    let plan = plan_up(
        &model("web net:- =1"),
        &state("web-1 net:- =0"),
        &UpChoices::default(),
    )
    .unwrap();
    assert_eq!(
        plan.notes,
        ["web recreated: image img changed from sha256:0 to sha256:1"]
    );
}

#[test]
fn hash_without_a_visible_difference_still_recreates() {
    let plan = plan_up(
        &model("web net:- #2"),
        &state("web-1 net:-"),
        &UpChoices::default(),
    )
    .unwrap();
    assert_eq!(
        plan.notes,
        ["web recreated: the recorded configuration differs"]
    );
}

#[test]
fn recreate_flags_overrule_the_hash() {
    let plan = |recreate, always_recreate_deps| {
        let choices = UpChoices {
            services: vec!["web".to_owned()],
            recreate,
            always_recreate_deps,
            ..UpChoices::default()
        };
        plan_up(
            &model("db net:-\nweb net:- needs:db #2"),
            &state("db-1 net:-\nweb-1 net:-"),
            &choices,
        )
        .unwrap()
    };
    assert!(plan(Recreate::Never, false).is_empty());
    let forced = plan(Recreate::Always, false);
    assert_eq!(forced.notes, ["web recreated: --force-recreate"]);
    let forced = plan(Recreate::Always, true);
    assert_eq!(
        forced.notes,
        [
            "web recreated: --force-recreate",
            "db recreated: --force-recreate"
        ]
    );
}

#[test]
fn recreated_dependency_takes_along_what_restarts_with_it() {
    let plan = plan_up(
        &model("db net:- #2\nweb net:- needs:db+restart\nlog net:- needs:db"),
        &state("db-1 net:-\nweb-1 net:-\nlog-1 net:-"),
        &UpChoices::default(),
    )
    .unwrap();
    assert_plan(
        &plan,
        "note: db recreated: the recorded configuration differs
         container p-log-1: keep (running)
         1 container p-web-1: stop (restarts with db)
         2 container p-db-1: stop (the recorded configuration differs) after 1
         3 container p-db-1: remove after 2
         4 container p-db-1: create after 3
         5 container p-db-1: start after 4
         6 container p-web-1: start after 1, 5",
    );
}

#[test]
fn joined_namespaces_are_recreated_with_their_owner() {
    let plan = plan_up(
        &model("vpn net:- #2\napp net:- joins:vpn"),
        &state("vpn-1 net:-\napp-1 net:- shares:vpn-1"),
        &UpChoices::default(),
    )
    .unwrap();
    assert_plan(
        &plan,
        "note: app recreated: joins vpn, which has a new container
         note: vpn recreated: the recorded configuration differs
         1 container p-app-1: stop (joins vpn, which has a new container)
         2 container p-app-1: remove after 1
         3 container p-vpn-1: stop (the recorded configuration differs) after 1
         4 container p-vpn-1: remove after 3
         5 container p-vpn-1: create after 4
         6 container p-app-1: create after 2
         7 container p-vpn-1: start after 5
         8 container p-app-1: start after 6, 7",
    );
    // An owner that merely starts again has a new namespace, too.
    let plan = plan_up(
        &model("vpn net:-\napp net:- joins:vpn"),
        &state("vpn-1 net:- exited\napp-1 net:- shares:vpn-1"),
        &UpChoices::default(),
    )
    .unwrap();
    assert_plan(
        &plan,
        "1 container p-app-1: stop (restarts with vpn)
         2 container p-vpn-1: start (not running)
         3 container p-app-1: start after 1, 2",
    );
    // One that was replaced behind its back.
    let plan = plan_up(
        &model("vpn net:-\napp net:- joins:vpn"),
        &state("vpn-1 net:-\napp-1 net:- shares:gone-1"),
        &UpChoices::default(),
    )
    .unwrap();
    assert_eq!(
        plan.notes,
        ["app recreated: joins vpn, which has a new container"]
    );
}

#[test]
fn changed_network_is_made_anew_with_all_its_containers() {
    let choices = UpChoices {
        services: vec!["web".to_owned()],
        ..UpChoices::default()
    };
    let plan = plan_up(
        &model("network:front=new\nweb net:front\nside net:front"),
        &state("network:front=old\nweb-1 net:front\nside-1 net:front exited"),
        &choices,
    )
    .unwrap();
    assert_plan(
        &plan,
        "note: side recreated: network p_front changed
         note: web recreated: network p_front changed
         1 container p-side-1: remove (network p_front changed)
         2 container p-web-1: stop (network p_front changed)
         3 container p-web-1: remove after 2
         4 network p_front: remove (network p_front changed) after 1, 3
         5 network p_front: create after 4
         6 container p-web-1: create after 3, 5
         7 container p-side-1: create after 1, 5
         8 container p-web-1: start after 6",
    );
}

#[test]
fn changed_network_with_a_live_one_off_is_refused() {
    let error = plan_up(
        &model("network:front=new\nweb net:front"),
        &state("network:front=old\nweb-run-1 net:front"),
        &UpChoices::default(),
    )
    .unwrap_err();
    assert!(error.to_string().contains("p-web-run-1 uses it"), "{error}");
}

#[test]
fn network_of_somebody_else_is_used_as_it_is_with_a_warning() {
    let plan = plan_up(
        &model("network:front=new\nweb net:front"),
        &state("network:front=old foreign\nweb-1 net:front"),
        &UpChoices::default(),
    )
    .unwrap();
    assert!(plan.is_empty(), "{plan}");
    assert!(
        plan.warnings[0].contains("was not made for project `p`"),
        "{plan}"
    );
}

#[test]
fn changed_volume_is_kept_with_a_warning() {
    let plan = plan_up(
        &model("volume:data=new\nweb net:- vol:data"),
        &state("volume:data=old\nweb-1 net:- vol:data"),
        &UpChoices::default(),
    )
    .unwrap();
    assert!(plan.is_empty(), "{plan}");
    assert!(plan.warnings[0].starts_with("volume p_data exists with another definition"));
}

#[test]
fn service_that_is_not_on_its_network_is_recreated() {
    let plan = plan_up(
        &model("web net:front"),
        &state("network:front\nweb-1 net:-"),
        &UpChoices::default(),
    )
    .unwrap();
    assert_eq!(plan.notes, ["web recreated: network p_front changed"]);
}

#[test]
fn orphans_are_named_or_removed_but_never_live_one_offs() {
    let observed = "web-1 net:-\nold-1 net:-\nweb-run-a net:- exited\nweb-run-b net:-\nopt-1 net:-";
    let desired = model("web net:-\nopt off");
    let plan = plan_up(&desired, &state(observed), &UpChoices::default()).unwrap();
    assert!(plan.is_empty());
    assert!(
        plan.warnings[0].starts_with("Found orphan containers ([p-old-1 p-web-run-a])"),
        "{plan}"
    );
    let choices = UpChoices {
        remove_orphans: true,
        ..UpChoices::default()
    };
    let plan = plan_up(&desired, &state(observed), &choices).unwrap();
    assert_plan(
        &plan,
        "container p-web-1: keep (running)
         1 container p-old-1: stop (orphan)
         2 container p-old-1: remove after 1
         3 container p-web-run-a: remove (finished one-off)",
    );
}

#[test]
fn renamed_container_gives_its_old_name_up() {
    let plan = plan_up(
        &model("web net:- #2 named:new"),
        &state("web-1 net:- named:old"),
        &UpChoices::default(),
    )
    .unwrap();
    assert_plan(
        &plan,
        "note: web recreated: the recorded configuration differs
         1 container old: stop (the recorded configuration differs)
         2 container old: remove after 1
         3 container new: create after 2
         4 container new: start after 3",
    );
}

/// A supervisor died while one took the other's place.
#[test]
fn of_two_with_one_name_the_outdated_goes_before_the_other_is_started() {
    let plan = plan_up(
        &model("web net:- #2 env:1"),
        &state("web-1 net:- exited env:0\nweb-1 net:- created #2 env:1"),
        &UpChoices::default(),
    )
    .unwrap();
    assert_plan(
        &plan,
        "1 container p-web-1: remove (more than 1)
         2 container p-web-1: start (not running) after 1",
    );
}

/// After a reboot, or by somebody's hand.
#[test]
fn a_network_that_the_kernel_lost_is_ensured_under_what_runs() {
    let plan = plan_up(
        &model("network:front\nweb net:front"),
        &state("network:front lost\nweb-1 net:front"),
        &UpChoices::default(),
    )
    .unwrap();
    assert_plan(
        &plan,
        "container p-web-1: keep (running)
         1 network p_front: create (missing)",
    );
}
