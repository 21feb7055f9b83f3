//! Many files at once, and a machine at its limits.

use fs_err as fs;

use super::{SYNC, end, watch, with_rules};
use crate::support::{Background, isolated, program};

#[test]
fn a_checkout_of_5000_files_is_one_batch() {
    isolated(|sandbox| {
        let rules = "        - {path: ., action: sync, target: /app}\n";
        let project = with_rules(sandbox, "storm", rules);
        let git = |arguments: &[&str]| {
            let all = [
                "-c",
                "user.name=a",
                "-c",
                "user.email=a@b",
                "-c",
                "gc.auto=0",
            ];
            sandbox
                .command(&program("git"))
                .args(all.iter().chain(arguments))
                .dir(&project.dir)
                .run()
                .succeeds()
                .whatever();
        };
        git(&["init", "-q", "-b", "old"]);
        git(&["add", "."]);
        git(&["commit", "-qm", "old"]);
        git(&["checkout", "-qb", "new"]);
        for number in 0..5000 {
            project.write(
                &format!("src/d{}/f{number}", number % 50),
                &format!("{number}"),
            );
        }
        git(&["add", "."]);
        git(&["commit", "-qm", "new"]);
        git(&["checkout", "-q", "old"]);
        let mut watch = watch(&project, &[]);
        git(&["checkout", "-q", "new"]);
        // 50 folders are among them.
        assert!(batches(&mut watch, 5050) <= 10);
        let count = project.sh("web", "cd /app/src && find . -type f | wc -l");
        assert_eq!(count.trim(), "5000");
        assert_eq!(project.sh("web", "cat /app/src/d17/f1217"), "1217");
        git(&["checkout", "-q", "old"]);
        assert!(batches(&mut watch, 5050) <= 10);
        assert_eq!(project.sh("web", "ls /app/src"), "");
        end(watch);
        project.down();
    });
}

/// How many batches it takes until so many files were told; more than one only where the
/// machine is so busy that git pauses.
fn batches(watch: &mut Background, files: u32) -> u32 {
    let (mut count, mut told) = (0, 0);
    while told < files {
        let line = watch.wait_line("web: ");
        let number = line
            .split(' ')
            .nth(1)
            .and_then(|word| word.parse::<u32>().ok());
        told += number.unwrap_or(1);
        count += 1;
    }
    count
}

#[test]
fn nothing_is_lost_in_a_storm_that_goes_on() {
    isolated(|sandbox| {
        let project = with_rules(sandbox, "lasting", SYNC);
        let mut watch = watch(&project, &[]);
        let script = "cd src && i=0; while [ $i -lt 3000 ]; do \
                      mkdir -p d$((i % 7)); echo $i >d$((i % 7))/f$((i % 500)); i=$((i+1)); done; \
                      rm -r d3; mkdir d3; echo last >d3/last";
        sandbox
            .shell(script)
            .dir(&project.dir)
            .run()
            .succeeds()
            .whatever();
        project.write("src/end", "end");
        // Batches go on until the last of it is there.
        watch.wait_for("what is the same", |line| {
            line.starts_with("web: ") && {
                let inside = project.sh("web", "cd /app && find . -type f -exec cat {} + | sort");
                let here = sandbox
                    .shell("cd src && find . -type f ! -name first -exec cat {} + | sort")
                    .dir(&project.dir)
                    .run()
                    .succeeds();
                inside == here.stdout
            }
        });
        end(watch);
        project.down();
    });
}

#[test]
fn an_idle_watch_does_nothing() {
    isolated(|sandbox| {
        let project = with_rules(sandbox, "idle", SYNC);
        let mut watch = watch(&project, &[]);
        project.write("src/x", "y");
        watch.wait_line("web: src/x");
        // Voluntary and other switches of all its threads, over something that takes a while.
        let switches = |pid: u32| -> u64 {
            let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("its threads");
            tasks
                .map(|task| {
                    let status = task.expect("a thread").path().join("status");
                    let status = fs::read_to_string(status).expect("its status");
                    let counts = status.lines().filter(|line| line.contains("ctxt_switches"));
                    counts
                        .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
                        .sum::<u64>()
                })
                .sum()
        };
        // The wait for a supervisor that does not answer is over after 3 s.
        sandbox.shell("sleep 4").run().succeeds().whatever();
        let before = switches(watch.pid());
        sandbox.shell("sleep 2").run().succeeds().whatever();
        assert_eq!(switches(watch.pid()), before);
        end(watch);
        project.down();
    });
}
