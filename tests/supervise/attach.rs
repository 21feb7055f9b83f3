//! Containers' output and input for whoever attaches to them.

use skiff::supervise::wire::{ChangeKind, Reply};

use crate::harness::{Ask, isolated};

#[test]
fn an_attached_terminal_shows_all_output_and_takes_input() {
    isolated(async |bench| {
        let client = bench.client().await;
        let mut record = bench.shell(
            "tty",
            "tty; stty size; echo -n '# '; read line; echo got $line; exit 2",
        );
        record.launch.tty = true;
        record.launch.open_stdin = true;
        let id = client.create(&record).await;
        let mut attached = client.attach(&id).await.unwrap();
        client.begin(&id).await;
        let first = attached.next().await.unwrap();
        let Reply::Event(change) = first.reply else {
            panic!("{:?}", first.reply)
        };
        assert_eq!(change.kind, ChangeKind::Started);
        let master = first.fds.into_iter().next().unwrap();
        let mut shown = String::new();
        let mut code = None;
        let mut typed = false;
        loop {
            match attached.next().await.unwrap().reply {
                Reply::Output { stream, data } => {
                    assert_eq!(stream, 1);
                    shown.push_str(&String::from_utf8(data).unwrap());
                    if !typed && shown.ends_with("# ") {
                        rustix::io::write(&master, b"hello\n").unwrap();
                        typed = true;
                    }
                }
                Reply::Event(change) => {
                    if let ChangeKind::Exited { code: last, .. } = change.kind {
                        code = last;
                    }
                }
                Reply::Ok => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(code, Some(2));
        assert!(shown.contains("/dev/"), "{shown:?}");
        assert!(shown.ends_with("# hello\r\ngot hello\r\n"), "{shown:?}");
        let log = bench.lines(&id).await;
        assert_eq!(log.last().unwrap(), "got hello\r");
    });
}

#[test]
fn an_attached_program_that_ends_at_once_is_seen_and_one_that_is_over_holds_nobody() {
    isolated(async |bench| {
        let client = bench.client().await;
        for number in 0..20 {
            let mut record = bench.shell(&format!("quick{number}"), "echo here");
            record.launch.tty = true;
            let id = client.create(&record).await;
            let mut attached = client.attach(&id).await.unwrap();
            client.begin(&id).await;
            let mut shown = String::new();
            loop {
                match attached.next().await.unwrap().reply {
                    Reply::Output { data, .. } => {
                        shown.push_str(&String::from_utf8(data).unwrap());
                    }
                    Reply::Event(_) => {}
                    Reply::Ok => break,
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(shown, "here\r\n");
            let mut late = client.attach(&id).await.unwrap();
            assert_eq!(late.next().await.unwrap().reply, Reply::Ok);
        }
    });
}
