//! Containers that live no longer than the command that runs them.

use std::io::Read;
use std::os::fd::AsFd;

use fs_err as fs;
use skiff::supervise::client::{Client, Conversation};
use skiff::supervise::record::ContainerRecord;
use skiff::supervise::wire::{ChangeKind, Request};

use crate::harness::{Bench, DEADLINE, isolated, kill, next_exit};

/// Starts one on pipes of its own; gives back the conversation that holds it,
/// and what it writes.
async fn begin(
    client: &Client,
    mut record: ContainerRecord,
) -> (Conversation, std::io::PipeReader) {
    record.launch.bound = true;
    let (input, _) = std::io::pipe().unwrap();
    let (output, writer) = std::io::pipe().unwrap();
    let fds = [input.as_fd(), writer.as_fd(), writer.as_fd()];
    let request = Request::Run(Box::new(record));
    let mut held = client.start(request, &fds).await.unwrap();
    let change = tokio::time::timeout(DEADLINE, held.next_change())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(change.kind, ChangeKind::Started);
    (held, output)
}

#[test]
fn what_it_wrote_is_there_until_the_command_hangs_up() {
    isolated(async |bench| {
        let client = bench.client().await;
        let record = bench.shell("step", "echo said; echo kept > /file; exit 3");
        let id = record.id.clone();
        let (mut held, mut output) = begin(&client, record.clone()).await;
        assert_eq!(next_exit(&mut held, &id).await, (Some(3), false));
        let mut text = String::new();
        output.read_to_string(&mut text).unwrap();
        assert_eq!(text, "said\n");
        let folder = bench.layout.container(&record.project, &id);
        let kept = fs::read_to_string(folder.join("upper/file")).unwrap();
        assert_eq!(kept, "kept\n");
        drop(held);
        bench
            .eventually("its folder goes", || !folder.exists())
            .await;
    });
}

#[test]
fn it_ends_when_the_command_hangs_up() {
    isolated(async |bench| {
        let client = bench.client().await;
        let record = bench.shell("step", "echo begun; sleep 1000");
        let folder = bench.layout.container(&record.project, &record.id);
        let (held, mut output) = begin(&client, record).await;
        let mut begun = [0; 6];
        output.read_exact(&mut begun).unwrap();
        drop(held);
        // All who write to it are gone.
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        bench
            .eventually("its folder goes", || !folder.exists())
            .await;
    });
}

#[test]
fn a_supervisor_that_takes_over_ends_it() {
    isolated(async |bench| {
        let client = bench.client().await;
        let record = bench.shell("step", "echo begun; sleep 1000");
        let folder = bench.layout.container(&record.project, &record.id);
        let (mut held, mut output) = begin(&client, record).await;
        let mut begun = [0; 6];
        output.read_exact(&mut begun).unwrap();
        let [supervisor] = Bench::helpers("__supervisor")[..] else {
            panic!("more than one supervisor");
        };
        kill(supervisor);
        held.next_change().await.unwrap_err();
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        bench
            .eventually("its folder goes", || !folder.exists())
            .await;
    });
}
