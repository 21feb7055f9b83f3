//! Loading takes as much more as there is more to load, of every kind of
//! project, and so do questions about what was loaded: counted in allocations,
//! which a busy machine does not change.

#[cfg(test)]
#[path = "../benches/projects.rs"]
mod projects;

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use allocation_counter::{AllocationInfo, measure};
    use skiff::compose::{LoadOptions, Loaded, Memory, explain, lint, load};

    use crate::projects::Kind;

    fn loading(kind: Kind, services: usize) -> AllocationInfo {
        let (options, memory) = kind.in_memory(services);
        measure(|| {
            let loaded = load(&options, &memory).unwrap();
            assert!(loaded.project.services.len() >= services);
        })
    }

    #[test]
    fn work_and_memory_grow_with_the_number_of_services() {
        for kind in Kind::ALL {
            let (few, many) = (loading(kind, 250), loading(kind, 1_000));
            // Four times as much, and a little for tables that double.
            let most = few.count_total * 43 / 10;
            assert!(many.count_total <= most, "{kind:?}: {few:?} {many:?}");
            let most = few.bytes_total * 5;
            assert!(many.bytes_total <= most, "{kind:?}: {few:?} {many:?}");
            let most = few.bytes_max * 5;
            assert!(many.bytes_max <= most, "{kind:?}: {few:?} {many:?}");
        }
    }

    #[test]
    fn two_thousand_services_take_less_than_200_mb() {
        let lines = Kind::Plain.files(2_000)[0].1.lines().count();
        assert!(lines >= 60_000, "{lines} lines");
        let most = loading(Kind::Plain, 2_000).bytes_max;
        assert!(most < 200_000_000, "{most} bytes");
    }

    /// A project that is made of one thing very often: its files by name, and a
    /// question about it.
    struct Often {
        files: fn(usize) -> Vec<(&'static str, String)>,
        subject: &'static str,
        most: usize,
    }

    /// A service with as many lines of a kind below it.
    fn service(head: &str, count: usize, line: fn(usize) -> String) -> String {
        let mut text = format!("services:\n  a:\n    image: x\n{head}");
        for n in 0..count {
            text.push_str(&line(n));
        }
        text
    }

    /// One command with as many variables in it, which the service has itself.
    fn command(count: usize) -> String {
        let mut text = "services:\n  a:\n    image: x\n    command: echo".to_owned();
        for n in 0..count {
            write!(text, " $V{n}").unwrap();
        }
        text.push_str("\n    environment:\n");
        for n in 0..count {
            writeln!(text, "      V{n}: here").unwrap();
        }
        text
    }

    fn dotenv(count: usize) -> String {
        (0..count).map(|n| format!("V{n}=there\n")).collect()
    }

    /// Services that extend each other, each from the one before.
    fn chain(count: usize) -> String {
        let mut text = "services:\n  s0: {image: first}\n".to_owned();
        for n in 1..count {
            let before = n - 1;
            writeln!(text, "  s{n}: {{extends: s{before}, image: i{n}}}").unwrap();
        }
        text
    }

    const OFTEN: [Often; 7] = [
        Often {
            files: |count| vec![("compose.yaml", chain(count))],
            subject: "services",
            most: 400,
        },
        Often {
            files: |count| vec![("compose.yaml", command(count)), (".env", dotenv(count))],
            subject: "a.command",
            most: 1_000,
        },
        Often {
            files: |count| {
                let texts: String = (0..count).map(|n| format!("${{V{n}:-d}}")).collect();
                let text = format!("services:\n  a:\n    image: x\n    command: \"{texts}\"\n");
                vec![("compose.yaml", text)]
            },
            subject: "a.command",
            most: 2_000,
        },
        Often {
            files: |count| {
                let port = |n| format!("      - \"{}:80\"\n", 2_000 + n);
                let more = |n| format!("      - \"{}:80\"\n", 20_000 + n);
                vec![
                    ("compose.yaml", service("    ports:\n", count, port)),
                    (
                        "compose.override.yaml",
                        service("    ports:\n", count, more),
                    ),
                ]
            },
            subject: "a.ports",
            most: 1_000,
        },
        Often {
            files: |count| {
                let variable = |n| format!("      - V{n}=1\n");
                vec![
                    (
                        "compose.yaml",
                        service("    env_file: e\n    environment:\n", count, variable),
                    ),
                    ("e", dotenv(count)),
                ]
            },
            subject: "a",
            most: 1_000,
        },
        Often {
            files: |count| {
                let entry = |n| format!("      - /v{n}\n");
                let head = "    build:\n      dockerfile_inline: |\n        FROM x\n        COPY . /v1/sub\n    volumes:\n";
                vec![("compose.yaml", service(head, count, entry))]
            },
            subject: "a.volumes",
            most: 1_000,
        },
        Often {
            files: |count| {
                let text = service("    ports: !override\n", count, |n| {
                    format!("      - \"{}:1\"\n", 3_000 + n)
                });
                let base = service("    ports:\n", count, |n| {
                    format!("      - \"{}:1\"\n", 30_000 + n)
                });
                vec![("compose.yaml", base), ("compose.override.yaml", text)]
            },
            subject: "a.ports",
            most: 1_000,
        },
    ];

    fn loaded(often: &Often, count: usize) -> (Loaded, Memory) {
        let files = (often.files)(count);
        let files = files
            .into_iter()
            .map(|(name, text)| (format!("/p/{name}"), text));
        let memory: Memory = files.collect();
        let options = LoadOptions {
            cwd: "/p".into(),
            trace: true,
            ..LoadOptions::default()
        };
        (load(&options, &memory).unwrap(), memory)
    }

    fn assert_linear(what: &str, few: &AllocationInfo, many: &AllocationInfo) {
        let most = few.count_total * 5 + 200;
        assert!(many.count_total <= most, "{what}: {few:?} {many:?}");
        let most = few.bytes_total * 6 + 100_000;
        assert!(many.bytes_total <= most, "{what}: {few:?} {many:?}");
    }

    #[test]
    fn explanations_and_hints_grow_with_what_they_are_about() {
        for often in &OFTEN {
            let asking = |count: usize| {
                let (loaded, memory) = loaded(often, count);
                let explaining = measure(|| {
                    let found = explain(&loaded.project, often.subject).unwrap();
                    let text: Vec<String> = found
                        .iter()
                        .map(|one| one.render(&skiff::compose::Style::PLAIN))
                        .collect();
                    assert!(!text.concat().is_empty());
                });
                let linting = measure(|| {
                    lint(&loaded.project, Vec::new(), &memory);
                });
                (explaining, linting)
            };
            let (few, many) = (asking(often.most / 4), asking(often.most));
            let what = often.subject;
            assert_linear(&format!("explain {what}"), &few.0, &many.0);
            assert_linear(&format!("lint {what}"), &few.1, &many.1);
        }
    }

    /// A service with an undefined name, and the section of those that are defined
    /// beside the services.
    type Undefined = (&'static str, fn(usize) -> String);

    const UNDEFINED: [(&str, Undefined); 12] = [
        ("depends_on", ("", |n| format!("depends_on: [zz{n}]"))),
        ("links", ("", |n| format!("links: [zz{n}]"))),
        ("volumes_from", ("", |n| format!("volumes_from: [zz{n}]"))),
        ("ipc", ("", |n| format!("ipc: 'service:zz{n}'"))),
        ("pid", ("", |n| format!("pid: 'service:zz{n}'"))),
        (
            "network_mode",
            ("", |n| format!("network_mode: 'service:zz{n}'")),
        ),
        ("extends", ("", |n| format!("extends: zz{n}"))),
        (
            "contexts",
            ("", |n| {
                format!("build: {{context: ., additional_contexts: {{c: 'service:zz{n}'}}}}")
            }),
        ),
        ("networks", ("networks", |n| format!("networks: [zz{n}]"))),
        ("volumes", ("volumes", |n| format!("volumes: ['zz{n}:/v']"))),
        ("secrets", ("secrets", |n| format!("secrets: [zz{n}]"))),
        ("configs", ("configs", |n| format!("configs: [zz{n}]"))),
    ];

    /// As many services, of which each names something that there is not.
    fn undefined((section, attribute): Undefined, count: usize) -> String {
        let mut text = "services:\n".to_owned();
        for n in 0..count {
            writeln!(text, "  a{n}: {{image: x, {}}}", attribute(n)).unwrap();
        }
        if !section.is_empty() {
            writeln!(text, "{section}:").unwrap();
            for n in 0..count {
                writeln!(text, "  a{n}: {{external: true}}").unwrap();
            }
        }
        text
    }

    #[test]
    fn refusals_grow_with_the_number_of_undefined_names() {
        for (what, kind) in UNDEFINED {
            let refusing = |count: usize| {
                let memory = Memory::from([("/p/compose.yaml", undefined(kind, count))]);
                let options = LoadOptions {
                    cwd: "/p".into(),
                    ..LoadOptions::default()
                };
                measure(|| {
                    let refused = load(&options, &memory).unwrap_err();
                    assert!(refused.errors().count() > 50, "{what}");
                })
            };
            assert_linear(what, &refusing(250), &refusing(1_000));
        }
    }

    #[test]
    fn names_on_the_command_line_are_not_all_compared_with_all_services() {
        let asking = |count: usize| {
            let memory =
                Memory::from([("/p/compose.yaml", undefined(("", |_| String::new()), count))]);
            let options = LoadOptions {
                cwd: "/p".into(),
                services: (0..count).map(|n| format!("zz{n}")).collect(),
                ..LoadOptions::default()
            };
            measure(|| {
                load(&options, &memory).unwrap_err();
            })
        };
        assert_linear("services", &asking(250), &asking(1_000));
    }
}
