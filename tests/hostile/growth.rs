//! What a small file makes grow.

use super::{Hostile, Loads, WEB, lines, one, several};

/// What grows when it is read.
pub(crate) fn growth() -> Vec<Hostile> {
    use Loads::{No, Yes};
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..30 {
        let items = vec![format!("*a{}", level - 1); 9].join(", ");
        bomb += &format!("a{level}: &a{level} [{items}]\n");
    }
    let mut maps = "x-0: &a0 {a: 1}\n".to_owned();
    for level in 1..30 {
        let below = level - 1;
        maps += &format!("x-{level}: &a{level} {{a: *a{below}, b: *a{below}, c: *a{below}}}\n");
    }
    let mut doubled = "A=0123456789abcdef\n".to_owned();
    for (before, after) in ('A'..='Y').zip('B'..='Z') {
        doubled += &format!("{after}=${before}${before}${before}${before}\n");
    }
    let large = "v".repeat(1 << 20);
    vec![
        one("aliases that explode", No("more than 1000000 nodes"), bomb),
        one("mappings that explode", No("more than 1000000 nodes"), maps),
        one(
            "aliases of a long text",
            No("more than 1000000 nodes"),
            format!(
                "x-s: &s '{}'\nx-l: [{}]\n",
                "k".repeat(30_000),
                vec!["*s"; 10_000].join(", ")
            ),
        ),
        one(
            "aliases of a mapping with long texts",
            No("more than 1000000 nodes"),
            format!(
                "x-m: &m\n{}{}",
                lines(100, |n| format!("  k{n}: {}\n", "v".repeat(10_000))),
                lines(300, |n| format!("x-{n}: *m\n"))
            ),
        ),
        one(
            "a long text that everybody extends",
            No("more than 1000000 nodes here"),
            format!(
                "services:\n  b: {{image: i, labels: {{a: {}}}}}\n{}",
                "k".repeat(300_000),
                lines(3_000, |n| format!("  s{n}: {{extends: b}}\n"))
            ),
        ),
        one(
            "as many long texts as there is room for",
            Yes,
            format!(
                "x-s: &s '{}'\nservices:\n{}",
                "k".repeat(30_000),
                lines(1_000, |n| format!(
                    "  s{n}: {{image: i, environment: {{A: *s}}, labels: {{A: *s}}}}\n"
                ))
            ),
        ),
        one(
            "merge keys that explode",
            Yes,
            format!(
                "x-a: &a {{k: v}}\n{}{WEB}",
                lines(2_000, |n| format!(
                    "x-{n}: &b{n} {{<<: [*a, *a, *a], k{n}: 1}}\n"
                ))
            ),
        ),
        one(
            "a merge key of itself",
            No("inside of what it stands for"),
            "x: &a\n  <<: *a\n",
        ),
        one(
            "an alias of a circle",
            No("inside of what it stands for"),
            "x: &a {b: &b {c: *a}}\n",
        ),
        several(
            "variables that explode",
            No("grow beyond 32 MiB"),
            vec![("compose.yaml", WEB.to_owned()), (".env", doubled)],
        ),
        several(
            "a variable of 1 MiB, 100,000 times",
            No("larger than 32 MiB"),
            vec![
                (
                    "compose.yaml",
                    format!("{WEB}    command: \"{}\"\n", "$A".repeat(100_000)),
                ),
                (".env", format!("A={large}\n")),
            ],
        ),
        several(
            "an unused variable of 1 MiB, 100,000 times",
            No("larger than 32 MiB"),
            vec![
                (
                    "compose.yaml",
                    format!("{WEB}    command: \"{}\"\n", "${A:+}".repeat(100_000)),
                ),
                (".env", format!("A={large}\n")),
            ],
        ),
        several(
            "a file of variables for each of 2,000 services",
            No("larger than 32 MiB"),
            vec![
                (
                    "compose.yaml",
                    format!(
                        "services:\n{}",
                        lines(2_000, |n| format!(
                            "  s{n}: {{image: x, env_file: big.env}}\n"
                        ))
                    ),
                ),
                ("big.env", lines(20_000, |n| format!("K{n}=value\n"))),
            ],
        ),
        several(
            "a file of comments for each of 10,000 services",
            No("larger than 32 MiB"),
            vec![
                (
                    "compose.yaml",
                    format!(
                        "services:\n{}",
                        lines(10_000, |n| format!(
                            "  s{n}: {{image: x, env_file: big.env}}\n"
                        ))
                    ),
                ),
                ("big.env", "# nothing\n".repeat(1 << 20)),
            ],
        ),
        several(
            "1,000 services that extend a large one",
            No("more than 1000000 nodes"),
            vec![
                (
                    "compose.yaml",
                    format!(
                        "services:\n{}",
                        lines(1_000, |n| format!(
                            "  s{n}: {{extends: {{file: base.yaml, service: web}}}}\n"
                        ))
                    ),
                ),
                (
                    "base.yaml",
                    format!(
                        "{WEB}    environment:\n{}",
                        lines(50_000, |n| format!("      K{n}: v\n"))
                    ),
                ),
            ],
        ),
        several(
            "a long folder for 50,000 mounts",
            No("larger than 32 MiB"),
            vec![
                (
                    "compose.yaml",
                    format!(
                        "include: [{{path: part.yaml, project_directory: /{}}}]\n",
                        "d".repeat(4_000)
                    ),
                ),
                (
                    "part.yaml",
                    format!(
                        "{WEB}    volumes:\n{}",
                        lines(50_000, |n| format!("      - ./{n}:/{n}\n"))
                    ),
                ),
            ],
        ),
        several(
            "100,000 hosts over 100,000 others",
            Yes,
            vec![
                (
                    "compose.yaml",
                    format!(
                        "{WEB}    extra_hosts:\n{}",
                        lines(100_000, |n| format!("      - h{n}=1.2.3.4\n"))
                    ),
                ),
                (
                    "compose.override.yaml",
                    format!(
                        "{WEB}    extra_hosts:\n{}",
                        lines(100_000, |n| format!("      - i{n}=1.2.3.4\n"))
                    ),
                ),
            ],
        ),
        several(
            "100,000 resets",
            Yes,
            vec![
                (
                    "compose.yaml",
                    format!("{WEB}{}", lines(100_000, |n| format!("x-{n}: 1\n"))),
                ),
                (
                    "compose.override.yaml",
                    lines(100_000, |n| format!("x-{n}: !reset 1\n")),
                ),
            ],
        ),
        several(
            "pools over pools",
            No("more than 200 pools"),
            ["compose.yaml", "compose.override.yaml"]
                .map(|name| {
                    let pools = lines(5_000, |n| {
                        format!("        - subnet: 10.{}.{}.0/24\n", n / 256, n % 256)
                    });
                    (
                        name,
                        format!("{WEB}networks:\n  n:\n    ipam:\n      config:\n{pools}"),
                    )
                })
                .into(),
        ),
    ]
}
