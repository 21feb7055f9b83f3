//! Containers from start to end: logs, codes, policies, probes.

use oci_spec::runtime::LinuxResources;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use skiff::state::lock::Lock;
use skiff::supervise::client::ClientError;
use skiff::supervise::launch::RestartPolicy;
use skiff::supervise::record::{Health, RunState};
use skiff::supervise::wire::{ChangeKind, Condition, Failure, Reply, Request};

use crate::harness::{
    Ask, Bench, DEADLINE, PROJECT, borrowed, exec, isolated, next_exit, pipes, probe,
};

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
        // A program that ends before its start is written down ends at its start.
        assert!(exit.started <= exit.finished, "{exit:?}");
    });
}

#[test]
fn both_processes_end_with_the_last_container_and_clients() {
    isolated(async |bench| {
        let client = bench.client().await;
        let id = client.run(&bench.shell("job", "sleep 0.2")).await;
        drop(client);
        assert_eq!(Bench::helpers("__keeper").len(), 1);
        bench
            .eventually("both end", || Bench::helpers("__keeper").is_empty())
            .await;
        assert!(Bench::helpers("__supervisor").is_empty());
        assert_eq!(bench.view(&id).unwrap().exit.unwrap().code, Some(0));
        assert!(
            !bench
                .layout
                .control_socket(crate::harness::PROJECT)
                .exists()
        );
        // And begin again.
        let client = bench.client().await;
        client.begin(&id).await;
        assert_eq!(bench.view(&id).unwrap().state, RunState::Running);
    });
}

#[test]
fn what_a_dead_command_left_is_swept_when_the_project_ends() {
    isolated(async |bench| {
        let client = bench.client().await;
        let id = client.run(&bench.shell("job", "sleep 0.1")).await;
        let gone = skiff::state::ContainerId::random();
        // Which had the project's lock.
        let path = bench.layout.project_lock("other");
        drop(Lock::acquire(&path).unwrap());
        let half = bench.layout.container("other", &gone);
        fs_err::create_dir_all(half.join("upper")).unwrap();
        let owner = skiff::state::names::NameOwner {
            project: "other".to_owned(),
            id: gone.clone(),
        };
        let names = skiff::state::names::Names::new(&bench.layout);
        names.reserve("other-web-1", &owner).unwrap();
        let host = skiff::engine::cgroup::Host::detect().unwrap();
        let root_id = fs_err::read_to_string(bench.layout.root_id()).unwrap();
        let path = format!("skiff/{}/other/{gone}", root_id.trim());
        let group = host.create(&path, &LinuxResources::default()).unwrap();
        // And its keeper, which was at its last step.
        drop(Lock::acquire(&bench.layout.start_lock("other")).unwrap());
        let leaf = format!("skiff/{}/other/keeper", root_id.trim());
        host.create_leaf(&leaf).unwrap();
        let sign = bench.layout.run_project("other").join("keeper.json");
        fs_err::write(&sign, r#"{"pid": 1, "start_time": 1}"#).unwrap();
        client.until(&id, Condition::Exited).await;
        drop(client);
        bench
            .eventually("both end", || Bench::helpers("__keeper").is_empty())
            .await;
        assert!(!half.exists());
        assert!(!group.exists());
        assert!(!host.open(&leaf).exists());
        assert!(!sign.exists());
        assert!(!bench.layout.names().join("other-web-1").exists());
        assert!(bench.view(&id).is_some(), "what has a record stays");
    });
}

/// By a supervisor that was killed before it could say so.
#[test]
fn a_network_that_is_gone_already_needs_no_removal() {
    isolated(async |bench| {
        let client = bench.client().await;
        let name = "bench_default".to_owned();
        assert_eq!(client.ask(Request::RemoveNetwork { name }).await, Reply::Ok);
    });
}

/// The project is the supervisor's own, and a command waits for its end.
#[test]
fn what_a_removal_left_is_swept_under_the_commands_lock() {
    isolated(async |bench| {
        let _lock = Lock::acquire(&bench.layout.project_lock(PROJECT)).unwrap();
        let client = bench.client().await;
        let gone = skiff::state::ContainerId::random();
        let record = bench.layout.run_record(PROJECT, &gone);
        fs_err::create_dir_all(record.parent().unwrap()).unwrap();
        fs_err::write(&record, "{}").unwrap();
        let host = skiff::engine::cgroup::Host::detect().unwrap();
        let root_id = fs_err::read_to_string(bench.layout.root_id()).unwrap();
        let path = format!("skiff/{}/{PROJECT}/{gone}", root_id.trim());
        let group = host.create(&path, &LinuxResources::default()).unwrap();
        drop(client);
        skiff::supervise::client::ended(&bench.layout, PROJECT)
            .await
            .unwrap();
        assert!(!record.exists());
        assert!(!group.exists());
    });
}

/// One project's end sweeps while others start containers.
#[test]
fn a_sweep_spares_what_is_being_started() {
    isolated(async |bench| {
        let layout = &bench.layout;
        let root_id = skiff::state::make_root_id(layout).unwrap();
        let host = skiff::engine::cgroup::Host::detect().unwrap();
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let sweeper = scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let swept = skiff::supervise::sweep::sweep(layout, None);
                    assert_eq!(swept.removed, Vec::<String>::new());
                }
            });
            for _ in 0..300 {
                let id = skiff::state::ContainerId::random();
                let folder = layout.container("other", &id);
                let path = format!("skiff/{root_id}/other/{id}");
                let lock = Lock::acquire(&layout.project_lock("other")).unwrap();
                fs_err::create_dir_all(&folder).unwrap();
                fs_err::write(folder.join("config.json"), "{}").unwrap();
                let group = host.create(&path, &LinuxResources::default()).unwrap();
                drop(lock);
                // As long as a short program runs.
                std::thread::yield_now();
                assert!(group.exists());
                let lock = Lock::acquire(&layout.project_lock("other")).unwrap();
                host.remove_tree(group.path()).unwrap();
                fs_err::remove_dir_all(&folder).unwrap();
                drop(lock);
                if sweeper.is_finished() {
                    break;
                }
            }
            over.store(true, Ordering::Relaxed);
        });
    });
}

#[test]
fn a_stop_asks_waits_and_then_kills() {
    isolated(async |bench| {
        let client = bench.client().await;
        let polite = bench.shell(
            "polite",
            "trap 'exit 5' TERM; echo ready; while :; do sleep 0.01; done",
        );
        let mut deaf = bench.shell(
            "deaf",
            "trap '' TERM; echo ready; while :; do sleep 0.01; done",
        );
        deaf.launch.restart = RestartPolicy::Always;
        let (polite, deaf) = (client.run(&polite).await, client.run(&deaf).await);
        for id in [&polite, &deaf] {
            let end = Instant::now() + DEADLINE;
            while bench.lines(id).await.is_empty() {
                assert!(Instant::now() < end);
            }
        }
        client
            .ask(Request::Stop {
                id: polite.clone(),
                timeout: None,
            })
            .await;
        let exit = bench.view(&polite).unwrap().exit.unwrap();
        assert_eq!((exit.code, exit.stopped_by_user), (Some(5), true));
        client
            .ask(Request::Stop {
                id: deaf.clone(),
                timeout: Some(0),
            })
            .await;
        let view = bench.view(&deaf).unwrap();
        assert_eq!(view.exit.unwrap().code, Some(137));
        assert_eq!(
            view.state,
            RunState::Exited,
            "no policy revives what was stopped"
        );
        // A second time it is no error.
        client
            .ask(Request::Stop {
                id: deaf,
                timeout: None,
            })
            .await;
    });
}

#[test]
fn restart_policies_start_again_with_growing_pauses_until_their_limit() {
    isolated(async |bench| {
        let client = bench.client().await;
        let mut record = bench.shell("flaky", "echo run; exit 7");
        record.launch.restart = RestartPolicy::OnFailure { max_retries: 2 };
        let mut changes = client.changes().await;
        let began = Instant::now();
        let id = client.run(&record).await;
        let mut ends = Vec::new();
        for _ in 0..3 {
            ends.push(next_exit(&mut changes, &id).await);
        }
        assert_eq!(ends, [(Some(7), true), (Some(7), true), (Some(7), false)]);
        assert!(
            began.elapsed() >= Duration::from_millis(300),
            "{:?}",
            began.elapsed()
        );
        assert_eq!(bench.lines(&id).await, ["run", "run", "run"]);
        assert_eq!(bench.view(&id).unwrap().run.unwrap().restarts, 2);

        let mut record = bench.shell("steady", "echo run; exit 0");
        record.launch.restart = RestartPolicy::Always;
        let id = client.run(&record).await;
        for _ in 0..2 {
            assert_eq!(next_exit(&mut changes, &id).await, (Some(0), true));
        }
        // Stopped while it waits to be started again, or runs: it stays so.
        client
            .ask(Request::Stop {
                id: id.clone(),
                timeout: None,
            })
            .await;
        assert_eq!(bench.view(&id).unwrap().state, RunState::Exited);
    });
}

#[test]
fn a_healthy_gate_opens_long_before_the_interval() {
    isolated(async |bench| {
        let client = bench.client().await;
        let mut record = bench.shell("db", "sleep 0.3; echo ok > /tmp/ready; sleep 100");
        record.launch.health = Some(probe("echo asked; cat /tmp/ready"));
        let began = Instant::now();
        let id = client.run(&record).await;
        assert_eq!(
            bench.view(&id).unwrap().run.unwrap().health,
            Some(Health::Starting)
        );
        client.until(&id, Condition::Healthy).await;
        let waited = began.elapsed();
        assert!(waited > Duration::from_millis(300), "{waited:?}");
        assert_eq!(
            bench.view(&id).unwrap().run.unwrap().health,
            Some(Health::Healthy)
        );
        client
            .ask(Request::Kill {
                id,
                signal: libc::SIGKILL,
            })
            .await;
    });
}

#[test]
fn a_probe_that_fails_or_hangs_makes_a_container_unhealthy() {
    isolated(async |bench| {
        let client = bench.client().await;
        let mut check = probe("echo no answer; exit 1");
        check.interval = Duration::from_millis(50);
        check.retries = 2;
        let mut failing = bench.shell("failing", "sleep 100");
        failing.launch.health = Some(check.clone());
        let mut hanging = bench.shell("hanging", "sleep 100");
        check.command = ["/bin/sh", "-c", "sleep 50"].map(str::to_owned).into();
        check.timeout = Duration::from_millis(50);
        hanging.launch.health = Some(check);
        for record in [failing, hanging] {
            let id = client.run(&record).await;
            let error = client.wait(&id, Condition::Healthy).await.unwrap_err();
            let text = error.to_string();
            assert!(text.contains("is unhealthy"), "{text}");
            if record.service == "failing" {
                assert!(text.contains("no answer"), "{text}");
            }
            client
                .ask(Request::Stop {
                    id,
                    timeout: Some(0),
                })
                .await;
        }
    });
}

#[test]
fn conditions_that_can_no_longer_come_true_fail_at_once() {
    isolated(async |bench| {
        let client = bench.client().await;
        let id = client.create(&bench.shell("job", "exit 4")).await;
        // Asked before the start.
        let waiting = client.wait(&id, Condition::CompletedSuccessfully);
        let start = async {
            client.begin(&id).await;
        };
        let (waited, ()) = tokio::join!(waiting, start);
        match waited.unwrap_err() {
            ClientError::Refused(Failure::Condition { name, what, code }) => {
                assert_eq!(
                    (name.as_str(), what.as_str(), code),
                    ("bench-job-1", "exited (4)", Some(4))
                );
            }
            other => panic!("{other}"),
        }
    });
}

#[test]
fn a_start_that_fails_says_why_and_leaves_nothing_running() {
    isolated(async |bench| {
        let client = bench.client().await;
        let mut record = bench.shell("bad", "");
        let process = record.launch.oci.process_mut().as_mut().unwrap();
        process.set_args(Some(vec!["/no/such/program".to_owned()]));
        let id = client.create(&record).await;
        let error = client
            .call(
                Request::Start {
                    id: id.clone(),
                    stdio: false,
                },
                &[],
            )
            .await
            .unwrap_err();
        match error {
            ClientError::Refused(Failure::Init { name, error }) => {
                assert_eq!((name.as_str(), error.exit_code), ("bench-bad-1", 127));
            }
            other => panic!("{other}"),
        }
        let view = bench.view(&id).unwrap();
        assert_eq!(view.state, RunState::Exited);
        assert_eq!(view.exit.unwrap().code, Some(127));
    });
}

#[test]
fn a_container_is_removed_only_when_it_is_at_rest_or_by_force() {
    isolated(async |bench| {
        let client = bench.client().await;
        let mut record = bench.shell("web", "sleep 100");
        record.oneoff = true;
        let id = client.run(&record).await;
        let remove = |force| Request::Remove {
            id: id.clone(),
            force,
            volumes: true,
        };
        let error = client.call(remove(false), &[]).await.unwrap_err();
        assert!(
            matches!(error, ClientError::Refused(Failure::State { .. })),
            "{error}"
        );
        // Its name is taken meanwhile.
        let mut other = bench.shell("web", "true");
        other.oneoff = true;
        other.name.clone_from(&record.name);
        let error = client
            .call(Request::Create(Box::new(other.clone())), &[])
            .await
            .unwrap_err();
        assert!(
            matches!(error, ClientError::Refused(Failure::NameTaken { .. })),
            "{error}"
        );
        client.ask(remove(true)).await;
        assert!(bench.view(&id).is_none());
        assert!(!bench.layout.container("bench", &id).exists());
        client.create(&other).await;
    });
}

#[test]
fn a_successor_takes_the_place_of_one_that_has_ended_and_of_no_other() {
    isolated(async |bench| {
        let client = bench.client().await;
        let old = bench.shell("web", "sleep 100");
        client.run(&old).await;
        let next = bench.shell("web", "sleep 100");
        assert_eq!(old.name, next.name);
        let replace = || Request::Replace {
            id: old.id.clone(),
            volumes: false,
            successor: Box::new(next.clone()),
        };
        let refused = client.call(replace(), &[]).await.unwrap_err();
        assert!(
            matches!(refused, ClientError::Refused(Failure::State { .. })),
            "{refused}"
        );
        assert!(bench.view(&next.id).is_none());
        assert_eq!(bench.view(&old.id).unwrap().state, RunState::Running);
        client
            .ask(Request::Kill {
                id: old.id.clone(),
                signal: libc::SIGKILL,
            })
            .await;
        // Asked again, as after the death of a supervisor, it is no error.
        client.ask(replace()).await;
        client.ask(replace()).await;
        assert!(bench.view(&old.id).is_none());
        assert_eq!(bench.view(&next.id).unwrap().state, RunState::Created);
        client.run(&next).await;
        assert_eq!(bench.view(&next.id).unwrap().state, RunState::Running);
    });
}

#[test]
fn a_paused_container_can_be_stopped_and_is_not_joined() {
    isolated(async |bench| {
        let client = bench.client().await;
        let id = client
            .run(&bench.shell(
                "web",
                "trap 'exit 9' TERM; echo set; while :; do sleep 0.01; done",
            ))
            .await;
        // A process 1 without a handler would not hear the signal.
        bench.has_written(&id).await;
        client.ask(Request::Pause { id: id.clone() }).await;
        assert_eq!(bench.view(&id).unwrap().state, RunState::Paused);
        let request = exec(&bench.view(&id).unwrap().record, "true");
        let stdio = pipes();
        let error = client.call(request, &borrowed(&stdio)).await.unwrap_err();
        assert!(
            matches!(error, ClientError::Refused(Failure::State { .. })),
            "{error}"
        );
        client.ask(Request::Unpause { id: id.clone() }).await;
        assert_eq!(bench.view(&id).unwrap().state, RunState::Running);
        client.ask(Request::Pause { id: id.clone() }).await;
        client
            .ask(Request::Stop {
                id: id.clone(),
                timeout: None,
            })
            .await;
        assert_eq!(bench.view(&id).unwrap().exit.unwrap().code, Some(9));
    });
}

#[test]
fn execs_have_the_containers_environment_their_own_streams_and_a_code() {
    isolated(async |bench| {
        let client = bench.client().await;
        let record = bench.shell("web", "sleep 100");
        let id = client.run(&record).await;
        let (mut output, writer) = std::io::pipe().unwrap();
        let null = fs_err::File::open("/dev/null").unwrap();
        let request = exec(&record, "echo $CONTAINER; exit 6");
        // Files are not handed to a container.
        let fds = [null.as_fd(), writer.as_fd(), writer.as_fd()];
        let error = client.call(request.clone(), &fds).await.unwrap_err();
        assert!(error.to_string().contains("only pipes"), "{error}");
        let (input, _) = std::io::pipe().unwrap();
        let fds = [input.as_fd(), writer.as_fd(), writer.as_fd()];
        let mut conversation = client.start(request, &fds).await.unwrap();
        drop(writer);
        assert!(matches!(
            conversation.next().await.unwrap().reply,
            Reply::ExecStarted { .. }
        ));
        let last = conversation.next().await.unwrap().reply;
        assert_eq!(last, Reply::ExecExited { code: 6 });
        let mut text = String::new();
        std::io::Read::read_to_string(&mut output, &mut text).unwrap();
        assert_eq!(text, "yes\n");
        let request = exec(&record, "kill -9 $$");
        let stdio = pipes();
        let mut conversation = client.start(request, &borrowed(&stdio)).await.unwrap();
        conversation.next().await.unwrap();
        assert_eq!(
            conversation.next().await.unwrap().reply,
            Reply::ExecExited { code: 137 }
        );
        client
            .ask(Request::Stop {
                id,
                timeout: Some(0),
            })
            .await;
    });
}

#[test]
fn pipes_of_a_caller_are_the_containers_own_streams() {
    isolated(async |bench| {
        let client = bench.client().await;
        let mut record = bench.shell("run", "cat; exit 8");
        record.launch.auto_remove = true;
        let id = client.create(&record).await;
        let (input, mut keys) = std::io::pipe().unwrap();
        let (mut output, writer) = std::io::pipe().unwrap();
        let mut changes = client.changes().await;
        let fds = [input.as_fd(), writer.as_fd(), writer.as_fd()];
        client
            .call(
                Request::Start {
                    id: id.clone(),
                    stdio: true,
                },
                &fds,
            )
            .await
            .unwrap();
        drop((input, writer));
        std::io::Write::write_all(&mut keys, b"through\n").unwrap();
        drop(keys);
        let mut text = String::new();
        std::io::Read::read_to_string(&mut output, &mut text).unwrap();
        assert_eq!(text, "through\n");
        assert_eq!(next_exit(&mut changes, &id).await, (Some(8), false));
        loop {
            let change = changes.next_change().await.unwrap();
            if change.kind == ChangeKind::Removed {
                break;
            }
        }
        assert!(bench.view(&id).is_none());
    });
}

#[test]
fn what_a_killed_container_wrote_without_newline_is_kept() {
    isolated(async |bench| {
        let client = bench.client().await;
        let id = client
            .run(&bench.shell("job", "echo -n rest; echo whole >&2; sleep 100"))
            .await;
        bench.has_written(&id).await;
        client
            .ask(Request::Kill {
                id: id.clone(),
                signal: libc::SIGKILL,
            })
            .await;
        assert_eq!(bench.view(&id).unwrap().exit.unwrap().code, Some(137));
        let lines = bench.lines(&id).await;
        assert_eq!(
            lines,
            ["whole", "rest"],
            "in the order in which lines were complete"
        );
    });
}
