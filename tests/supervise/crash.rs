//! SIGKILL of keeper and supervisor.

use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, kill_process};
use skiff::state::volume;
use skiff::supervise::launch::{RestartPolicy, VolumeUse};
use skiff::supervise::record::RunState;
use skiff::supervise::wire::{Condition, Reply, Request};

use crate::harness::{
    Ask, Bench, DEADLINE, PROJECT, borrowed, exec, isolated, kill, next_exit, pipes, probe,
};

const WRITER: &str = "i=0; while :; do i=$((i+1)); echo line $i; done";

/// The one process of a kind, other than `before`.
async fn helper(command: &str, before: &[i32]) -> i32 {
    let end = Instant::now() + DEADLINE;
    loop {
        // A zombie of the test's own pid namespace has no command line.
        let found: Vec<i32> = Bench::helpers(command)
            .into_iter()
            .filter(|pid| !before.contains(pid))
            .collect();
        if let [pid] = found[..] {
            return pid;
        }
        assert!(Instant::now() < end, "{command}: {found:?}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn assert_numbered(lines: &[String]) {
    for (index, line) in lines.iter().enumerate() {
        assert_eq!(
            *line,
            format!("line {}", index + 1),
            "missing, doubled or torn"
        );
    }
}

#[test]
fn fifty_killed_supervisors_lose_no_line_and_double_none() {
    isolated(async |bench| {
        let client = bench.client().await;
        let id = client.run(&bench.shell("count", WRITER)).await;
        drop(client);
        let mut killed = Vec::new();
        for round in 0..50 {
            let pid = helper("__supervisor", &killed).await;
            // From its first steps to the midst of its work.
            tokio::time::sleep(Duration::from_millis(round % 25)).await;
            kill(pid);
            killed.push(pid);
        }
        let client = bench.client().await;
        client
            .ask(Request::Stop {
                id: id.clone(),
                timeout: Some(0),
            })
            .await;
        let lines = bench.lines(&id).await;
        assert!(lines.len() > 1000, "{}", lines.len());
        assert_numbered(&lines);
        let exit = bench.view(&id).unwrap().exit.unwrap();
        assert_eq!(exit.code, Some(137));
    });
}

#[test]
fn an_exit_during_the_supervisors_death_is_not_lost() {
    isolated(async |bench| {
        let client = bench.client().await;
        let mut again = bench.shell("again", "echo run; sleep 0.05; exit 3");
        again.launch.restart = RestartPolicy::OnFailure { max_retries: 1 };
        let job = client
            .run(&bench.shell("job", "sleep 0.05; echo last words; exit 42"))
            .await;
        let again = client.run(&again).await;
        let supervisor = helper("__supervisor", &[]).await;
        // Frozen, so that both end with nobody to hear it.
        kill_process(Pid::from_raw(supervisor).unwrap(), Signal::STOP).unwrap();
        tokio::time::sleep(Duration::from_millis(150)).await;
        kill(supervisor);
        drop(client);
        helper("__supervisor", &[supervisor]).await;
        let client = bench.client().await;
        client.until(&job, Condition::Exited).await;
        client.until(&again, Condition::Exited).await;
        assert_eq!(bench.view(&job).unwrap().exit.unwrap().code, Some(42));
        assert_eq!(bench.lines(&job).await, ["last words"]);
        assert_eq!(bench.view(&again).unwrap().exit.unwrap().code, Some(3));
        assert_eq!(
            bench.lines(&again).await,
            ["run", "run"],
            "its policy was followed"
        );
    });
}

#[test]
fn a_stop_goes_on_under_the_next_supervisor() {
    isolated(async |bench| {
        let client = bench.client().await;
        let mut record = bench.shell(
            "web",
            "trap 'sleep 0.2; exit 1' TERM; echo ready; while :; do sleep 0.01; done",
        );
        record.launch.restart = RestartPolicy::Always;
        let id = client.run(&record).await;
        bench.has_written(&id).await;
        let supervisor = helper("__supervisor", &[]).await;
        let stop = client.call(
            Request::Stop {
                id: id.clone(),
                timeout: None,
            },
            &[],
        );
        let killer = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            kill(supervisor);
        };
        let (stopped, ()) = tokio::join!(stop, killer);
        // The client may have waited for the next one.
        drop(stopped);
        let client = bench.client().await;
        client.until(&id, Condition::Exited).await;
        let view = bench.view(&id).unwrap();
        assert_eq!(
            view.state,
            RunState::Exited,
            "a policy must not revive what was stopped"
        );
        assert!(view.exit.unwrap().stopped_by_user);
    });
}

#[test]
fn a_removal_is_asked_for_again_of_the_next_supervisor() {
    isolated(async |bench| {
        let mut client = bench.client().await;
        for is_done in [false, true] {
            let id = client.create(&bench.shell("web", "exit")).await;
            let supervisor = helper("__supervisor", &[]).await;
            kill_process(Pid::from_raw(supervisor).unwrap(), Signal::STOP).unwrap();
            let remove = client.ask(Request::Remove {
                id: id.clone(),
                force: false,
                volumes: false,
            });
            let killer = async {
                if is_done {
                    fs_err::remove_dir_all(bench.layout.container(PROJECT, &id)).unwrap();
                }
                kill(supervisor);
            };
            // The request is on its way when the second is polled.
            let (reply, ()) = tokio::join!(remove, killer);
            assert_eq!(reply, Reply::Ok);
            assert!(bench.view(&id).is_none());
            client = bench.client().await;
        }
    });
}

/// Up to which point it came does not matter: here it stumbles over a folder
/// in the place of a file.
#[test]
fn a_removal_that_was_cut_short_is_finished_by_the_next_supervisor() {
    isolated(async |bench| {
        let mut client = bench.client().await;
        for volumes in [false, true] {
            let mut record = bench.shell("web", "exit");
            let name = record.id.to_string();
            record.launch.volumes.push(VolumeUse {
                name: name.clone(),
                anonymous: true,
                destination: "/data".to_owned(),
                read_only: false,
                no_copy: false,
                subpath: None,
            });
            let id = client.create(&record).await;
            let obstacle = bench.layout.run_record(PROJECT, &id);
            fs_err::create_dir_all(&obstacle).unwrap();
            let remove = Request::Remove {
                id: id.clone(),
                force: false,
                volumes,
            };
            client.call(remove, &[]).await.unwrap_err();
            let folder = bench.layout.container(PROJECT, &id);
            assert!(folder.exists());
            assert!(bench.view(&id).is_none(), "it exists no longer");
            kill(helper("__supervisor", &[]).await);
            fs_err::remove_dir(&obstacle).unwrap();
            client = bench.client().await;
            assert!(!folder.exists());
            let volume = volume::find(&bench.layout, &name).unwrap();
            assert_eq!(volume.is_none(), volumes);
            assert_eq!(volume::users(&bench.layout, &name).unwrap(), []);
        }
    });
}

#[test]
fn health_survives_the_supervisor() {
    isolated(async |bench| {
        let client = bench.client().await;
        let mut record = bench.shell("db", "sleep 0.3; echo ok >/tmp/ready; sleep 100");
        record.launch.health = Some(probe("cat /tmp/ready"));
        let id = client.run(&record).await;
        drop(client);
        kill(helper("__supervisor", &[]).await);
        let client = bench.client().await;
        client.until(&id, Condition::Healthy).await;
        client
            .ask(Request::Stop {
                id,
                timeout: Some(0),
            })
            .await;
    });
}

#[test]
fn a_killed_keeper_costs_no_line_and_no_container() {
    isolated(async |bench| {
        let client = bench.client().await;
        let writer = client.run(&bench.shell("count", WRITER)).await;
        let job = client.run(&bench.shell("job", "sleep 0.5; exit 21")).await;
        let mut changes = client.changes().await;
        let mut killed = Vec::new();
        for _ in 0..3 {
            let keeper = helper("__keeper", &killed).await;
            kill(keeper);
            killed.push(keeper);
        }
        let keeper = helper("__keeper", &killed).await;
        // What it forked is not its child any more; the code is remembered by
        // the kernel (6.15), read from the zombie, or unknown.
        let (code, restart) = next_exit(&mut changes, &job).await;
        assert!(matches!(code, Some(21) | None), "{code:?}");
        assert!(!restart);
        // The new keeper does all that a keeper does.
        let third = client.run(&bench.shell("third", "exit 4")).await;
        assert_eq!(next_exit(&mut changes, &third).await, (Some(4), false));
        // And starts supervisors, which adopt what the first keeper cloned.
        drop((changes, client));
        let supervisor = helper("__supervisor", &[]).await;
        kill(supervisor);
        helper("__supervisor", &[supervisor]).await;
        assert_eq!(helper("__keeper", &killed).await, keeper);
        let client = bench.client().await;
        client
            .ask(Request::Stop {
                id: writer.clone(),
                timeout: Some(0),
            })
            .await;
        let lines = bench.lines(&writer).await;
        assert!(lines.len() > 100, "{}", lines.len());
        assert_numbered(&lines);
    });
}

#[test]
fn when_both_are_killed_the_next_command_adopts_what_lives() {
    isolated(async |bench| {
        let client = bench.client().await;
        let writer = client.run(&bench.shell("count", WRITER)).await;
        let gone = client.run(&bench.shell("gone", "sleep 0.1; exit 1")).await;
        drop(client);
        let (keeper, supervisor) = (
            helper("__keeper", &[]).await,
            helper("__supervisor", &[]).await,
        );
        for pid in [keeper, supervisor] {
            kill_process(Pid::from_raw(pid).unwrap(), Signal::STOP).unwrap();
        }
        kill(keeper);
        kill(supervisor);
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(
            bench.view(&writer).unwrap().state,
            RunState::Running,
            "it needs neither"
        );
        let client = bench.client().await;
        // It is joined as before.
        let request = exec(&bench.view(&writer).unwrap().record, "exit 5");
        let stdio = pipes();
        let mut conversation = client.start(request, &borrowed(&stdio)).await.unwrap();
        conversation.next().await.unwrap();
        let last = conversation.next().await.unwrap().reply;
        assert_eq!(last, Reply::ExecExited { code: 5 });
        client.until(&gone, Condition::Exited).await;
        // Here the test itself inherits it, as init does, and its zombie tells.
        let code = bench.view(&gone).unwrap().exit.unwrap().code;
        assert!(matches!(code, Some(1) | None), "{code:?}");
        client
            .ask(Request::Stop {
                id: writer.clone(),
                timeout: Some(0),
            })
            .await;
        let lines = bench.lines(&writer).await;
        assert!(lines.len() > 100, "{}", lines.len());
        assert_numbered(&lines);
    });
}

/// A teardown that stops at the control group: the next supervisor finds it, and
/// whatever of it is gone already.
#[test]
fn a_container_that_was_taken_down_by_half_is_taken_down_by_the_next_supervisor() {
    isolated(async |bench| {
        let client = bench.client().await;
        let record = bench.shell("job", "sleep 100");
        let id = client.run(&record).await;
        // In version 1, a process that is in the way in one hierarchy, where
        // nobody looks for it. In version 2 it ends with the container.
        let mut guest = Command::new("/bin/sleep").arg("100").spawn().unwrap();
        let folder = bench.group_folder("pids", &id);
        fs_err::write(folder.join("cgroup.procs"), guest.id().to_string()).unwrap();
        client
            .ask(Request::Stop {
                id: id.clone(),
                timeout: Some(0),
            })
            .await;
        let spool = bench.layout.spool(PROJECT, &id);
        bench
            .eventually("the teardown's last step", || !spool.exists())
            .await;
        kill(helper("__supervisor", &[]).await);
        guest.kill().unwrap();
        guest.wait().unwrap();
        drop(client);
        bench.client().await;
        assert!(!folder.exists());
    });
}

#[test]
fn a_newer_binary_takes_over_and_keeps_everything() {
    isolated(async |bench| {
        let client = bench.client().await;
        let writer = client.run(&bench.shell("count", WRITER)).await;
        let keeper = helper("__keeper", &[]).await;
        let supervisor = helper("__supervisor", &[]).await;
        let copy = bench.layout.run().join("newer-skiff");
        fs_err::copy(env!("CARGO_BIN_EXE_skiff"), &copy).unwrap();
        let program = fs_err::File::open(&copy).unwrap();
        let inode = program.metadata().unwrap().ino();
        let client = client.upgrade_to(program.into_file().into()).await.unwrap();
        let next = helper("__supervisor", &[supervisor]).await;
        assert_eq!(helper("__keeper", &[]).await, keeper, "the same process");
        for pid in [keeper, next] {
            let program = fs_err::metadata(format!("/proc/{pid}/exe")).unwrap();
            assert_eq!(program.ino(), inode, "{pid}");
        }
        fs_err::remove_file(&copy).unwrap();
        client
            .ask(Request::Stop {
                id: writer.clone(),
                timeout: Some(0),
            })
            .await;
        assert_eq!(bench.view(&writer).unwrap().exit.unwrap().code, Some(137));
        assert_numbered(&bench.lines(&writer).await);
    });
}

/// Both are killed while each is starting the other anew, and a command comes.
#[test]
fn after_any_race_one_keeper_and_one_supervisor_remain() {
    isolated(async |bench| {
        let client = bench.client().await;
        let record = bench.shell("web", "sleep 100");
        let id = client.run(&record).await;
        drop(client);
        let mut killed = Vec::new();
        for _ in 0..10 {
            let keeper = helper("__keeper", &killed).await;
            let supervisor = helper("__supervisor", &killed).await;
            kill(keeper);
            kill(supervisor);
            killed.extend([keeper, supervisor]);
            let client = bench.client().await;
            client.until(&id, Condition::Started).await;
            let stdio = pipes();
            let request = exec(&record, "exit 5");
            let mut conversation = client.start(request, &borrowed(&stdio)).await.unwrap();
            conversation.next().await.unwrap();
            let last = conversation.next().await.unwrap().reply;
            assert_eq!(last, Reply::ExecExited { code: 5 });
        }
        helper("__keeper", &killed).await;
        helper("__supervisor", &killed).await;
        reap_orphans();
        let client = bench.client().await;
        client
            .ask(Request::Stop {
                id,
                timeout: Some(0),
            })
            .await;
    });
}

/// The test is process 1 of its namespace, and whatever a keeper leaves behind
/// is its to collect: a container's process 1 ends after all others.
fn reap_orphans() {
    while rustix::process::wait(WaitOptions::NOHANG).is_ok_and(|one| one.is_some()) {}
}
