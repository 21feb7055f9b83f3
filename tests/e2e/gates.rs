//! `depends_on`, health and restart policies: order, and that nothing ticks.

use crate::support::{SLEEPER, isolated};

/// A job, and a service that is healthy once it has written; the next probe by the
/// interval is an hour away.
const AWAITED: &str = r#"
services:
  job:
    image: test/busybox
    command: ["sh", "-c", "sleep 0.3; touch /shared/job"]
    volumes: ["shared:/shared"]
  db:
    image: test/busybox
    command: ["sh", "-c", "sleep 0.3; touch /shared/db; trap 'exit 0' TERM; sleep 1000 & wait"]
    volumes: ["shared:/shared"]
    healthcheck: {test: ["CMD", "test", "-e", "/shared/db"], interval: 1h}
volumes:
  shared:
"#;

/// With this one before them.
fn awaited_by(service: &str) -> String {
    AWAITED.replacen("services:\n", &format!("services:\n{service}"), 1)
}

#[test]
fn each_condition_holds_back_its_dependents() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = awaited_by(
            r#"
  web:
    image: test/busybox
    command: ["sh", "-c", "ls /shared; trap 'exit 0' TERM; sleep 1000 & wait"]
    volumes: ["shared:/shared"]
    depends_on:
      job: {condition: service_completed_successfully}
      db: {condition: service_healthy}
      first: {condition: service_started}
  first:
    image: test/busybox
    command: ["sh", "-c", "touch /shared/first; trap 'exit 0' TERM; sleep 1000 & wait"]
    volumes: ["shared:/shared"]
"#,
        );
        let project = sandbox.project("gates", &compose);
        // An early probe opens the gate.
        project.up().whatever();
        let mut logs = project
            .skiff(["logs", "-f", "--no-log-prefix", "web"])
            .spawn();
        let seen = [logs.wait_line(""), logs.wait_line(""), logs.wait_line("")];
        assert_eq!(seen, ["db\n", "first\n", "job\n"]);
        drop(logs);
        project.down();
    });
}

#[test]
fn a_run_begins_when_the_conditions_of_its_service_hold() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = awaited_by(
            r#"
  tests:
    image: test/busybox
    volumes: ["shared:/shared"]
    depends_on:
      job: {condition: service_completed_successfully}
      db: {condition: service_healthy}
"#,
        );
        let project = sandbox.project("conditions", &compose);
        let run = ["run", "--rm", "-T", "tests", "ls", "/shared"];
        let first = project.skiff(run).run().succeeds();
        assert_eq!(first.stdout, "db\njob\n");
        // They are up: nothing is waited for, or begun anew.
        let before = project.container_field("db", "ID");
        let second = project.skiff(run).run().succeeds();
        assert_eq!(second.stdout, "db\njob\n");
        assert_eq!(project.container_field("db", "ID"), before);
        let failing = compose.replace("touch /shared/job", "exit 3");
        project.write("compose.yaml", &failing);
        let refused = project.skiff(run).run().fails();
        assert!(refused.stderr.contains("job"), "{refused}");
        assert_eq!(refused.stdout, "");
        project.down();
    });
}

#[test]
fn a_failed_job_stops_what_waits_for_it() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = format!(
            "services:\n  web: {{image: test/busybox, {SLEEPER}, depends_on: {{job: {{condition: service_completed_successfully}}}}}}\n  \
             job: {{image: test/busybox, command: [sh, -c, \"exit 4\"]}}\n"
        );
        let project = sandbox.project("fail", &compose);
        let up = project.skiff(["up", "-d"]).run().ends_with(1);
        up.warns("service \"job\" didn't complete successfully: exit 4")
            .whatever();
        assert_ne!(project.container_field("web", "State"), "running");
        project.down();
    });
}

#[test]
fn an_unhealthy_or_ended_dependency_is_an_error_at_once() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = format!(
            "services:\n  web: {{image: test/busybox, {SLEEPER}, depends_on: {{db: {{condition: service_healthy}}}}}}\n  \
             db: {{image: test/busybox, {SLEEPER}, healthcheck: {{test: \"false\", interval: 100ms, retries: 2}}}}\n"
        );
        let project = sandbox.project("sick", &compose);
        let up = project.skiff(["up", "-d"]).run().ends_with(1);
        up.warns("container sick-db-1 is unhealthy").whatever();
        assert_eq!(project.container_field("db", "Health"), "unhealthy");
        project.down();
        let compose = compose
            .replace(SLEEPER, "command: \"true\"")
            .replace("interval: 100ms", "interval: 1h");
        let ended = sandbox.project("ended", &compose);
        let up = ended.skiff(["up", "-d"]).run().ends_with(1);
        up.warns("container ended-db-1 exited (0)").whatever();
        ended.down();
    });
}

#[test]
fn wait_returns_when_all_is_well_and_fails_when_it_cannot_be() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = format!(
            "services:\n  db: {{image: test/busybox, {SLEEPER}, healthcheck: {{test: [CMD, \"true\"], interval: 10s}}}}\n"
        );
        let project = sandbox.project("wait", &compose);
        project
            .skiff(["up", "-d", "--wait"])
            .run()
            .succeeds()
            .whatever();
        assert_eq!(project.container_field("db", "Health"), "healthy");
        project.down();
        let compose = compose.replace(
            "\"true\"], interval: 10s",
            "\"false\"], interval: 100ms, retries: 1",
        );
        project.write("compose.yaml", &compose);
        project
            .skiff(["up", "-d", "--wait"])
            .run()
            .ends_with(1)
            .warns("wait-db-1 is unhealthy")
            .whatever();
        project.down();
    });
}

/// A program without a probe that ends soon after its start was never up; one
/// look at the right moment would have it so.
#[test]
fn wait_fails_for_a_program_that_ends_soon() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = |command: &str| {
            format!(
                "services:\n  a: {{image: test/busybox, {command}}}\n  b: {{image: test/busybox, {SLEEPER}}}\n"
            )
        };
        let project = sandbox.project("soon", &compose("command: [sh, -c, exit 3]"));
        for command in ["exit 3", "sleep 0.1; exit 3"] {
            let command = format!("command: [sh, -c, \"{command}\"]");
            project.write("compose.yaml", &compose(&command));
            project
                .skiff(["up", "-d", "--wait"])
                .run()
                .ends_with(1)
                .warns("soon-a-1 exited (3)")
                .whatever();
            project.down();
        }
        project
            .skiff(["up", "-d", "--wait", "b"])
            .run()
            .succeeds()
            .whatever();
        project.down();
    });
}

#[test]
fn restart_policies_do_what_they_say() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = r#"
services:
  never: {image: test/busybox, command: [sh, -c, "echo run; exit 5"]}
  twice: {image: test/busybox, command: [sh, -c, "echo run; exit 5"], restart: "on-failure:2"}
  good: {image: test/busybox, command: [sh, -c, "echo run"], restart: on-failure}
  always: {image: test/busybox, command: [sh, -c, "echo run"], restart: always}
  unless: {image: test/busybox, command: [sh, -c, "echo run; trap 'exit 0' TERM; sleep 1000 & wait"], restart: unless-stopped}
"#;
        let project = sandbox.project("policy", compose);
        project.up().whatever();
        for (service, runs) in [("never", 1), ("twice", 3), ("good", 1)] {
            let logs = project
                .skiff(["logs", "-f", "--no-log-prefix", service])
                .run()
                .succeeds();
            assert_eq!(logs.stdout, "run\n".repeat(runs), "{service}");
        }
        assert_eq!(project.container_field("twice", "ExitCode"), "5");
        let mut logs = project
            .skiff(["logs", "-f", "--no-log-prefix", "always"])
            .spawn();
        for _ in 0..4 {
            logs.wait_line("run");
        }
        drop(logs);
        // A restart by the policy, not by the user.
        let mut logs = project
            .skiff(["logs", "-f", "--no-log-prefix", "unless"])
            .spawn();
        logs.wait_line("run");
        project
            .skiff(["kill", "unless"])
            .run()
            .succeeds()
            .whatever();
        drop(logs);
        assert_eq!(
            project.container_field("unless", "State"),
            "exited",
            "an explicit kill is a stop"
        );
        project
            .skiff(["stop", "always"])
            .run()
            .succeeds()
            .whatever();
        assert_eq!(
            project.container_field("always", "State"),
            "exited",
            "stopped stays stopped"
        );
        project.down();
    });
}
