//! Projects that mean harm, or look as if they did: each may be refused or
//! loaded, but at no more than a few seconds and 300 MiB.

#![expect(clippy::too_many_lines, reason = "tables, one row a project")]

mod growth;

pub(crate) use growth::growth;

/// One project: files by name; `compose.yaml` is the main one.
pub(crate) struct Hostile {
    pub(crate) name: &'static str,
    pub(crate) files: Vec<(String, Vec<u8>)>,
    /// What the loader must do with it.
    pub(crate) loads: Loads,
}

/// What becomes of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loads {
    /// A model.
    Yes,
    /// Errors, the first of which has this text in it.
    No(&'static str),
}

fn one(name: &'static str, loads: Loads, text: impl Into<Vec<u8>>) -> Hostile {
    Hostile {
        name,
        loads,
        files: vec![("compose.yaml".to_owned(), text.into())],
    }
}

fn several(name: &'static str, loads: Loads, files: Vec<(&str, String)>) -> Hostile {
    Hostile {
        name,
        loads,
        files: files
            .into_iter()
            .map(|(name, text)| (name.to_owned(), text.into_bytes()))
            .collect(),
    }
}

fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(line).collect()
}

const WEB: &str = "services:\n  web:\n    image: x\n";

/// What is large as it stands.
pub(crate) fn sizes() -> Vec<Hostile> {
    use Loads::{No, Yes};
    let mib = 1 << 20;
    vec![
        one(
            "50 MB of comments",
            No("larger than 32 MiB"),
            "# \n".repeat(17 * mib),
        ),
        one(
            "31 MiB of comments",
            Yes,
            format!("{WEB}{}", "# \n".repeat(10 * mib)),
        ),
        one(
            "a scalar of 31 MiB",
            Yes,
            format!("{WEB}    x-a: {}\n", "a".repeat(31 * mib)),
        ),
        one(
            "a quoted scalar of 31 MiB of commas",
            Yes,
            format!("{WEB}    x-a: \"{}\"\n", ",".repeat(31 * mib)),
        ),
        one(
            "a block of 31 MiB",
            Yes,
            format!("{WEB}    x-a: |\n{}", "      a\n".repeat(31 * mib / 8)),
        ),
        one(
            "a key of 31 MiB",
            No("a key is longer"),
            format!("{WEB}    ? {}\n    : 1\n", "a".repeat(31 * mib)),
        ),
        one(
            "a list of a million",
            Yes,
            format!("{WEB}    x-a: [{}]\n", "x,".repeat(990_000)),
        ),
        one(
            "lists within a list, a million",
            Yes,
            format!("{WEB}    x-a: [{}]\n", "[],".repeat(990_000)),
        ),
        one(
            "mappings within a list, a million",
            Yes,
            format!("{WEB}    x-a: [{}]\n", "{a: 1},".repeat(330_000)),
        ),
        one(
            "a list of sixteen million, kept back by the parser",
            No("more than 1000000 words"),
            format!("x: [[{}]]", "x,".repeat(15 * mib)),
        ),
        one(
            "a text of more than a million words",
            No("services.web.command: a text, or a list in brackets, of more than 1000000 words"),
            format!("{WEB}    command: {}\n", "a ".repeat(1_010_000)),
        ),
        one(
            "a command of many words in a block",
            No("the commands up to this one have more than 500000 words"),
            format!("{WEB}    command: |\n      {}\n", "a ".repeat(510_000)),
        ),
        one(
            "commands of many words together",
            No("the commands up to this one have more than 500000 words"),
            format!(
                "services:\n{}",
                lines(6, |n| format!(
                    "  s{n}:\n    image: x\n    command: |\n      {}\n",
                    "a ".repeat(100_000)
                ))
            ),
        ),
        one(
            "brackets that never close",
            No(""),
            "[[x".to_owned() + &",[".repeat(8 * mib),
        ),
        one(
            "100,000 environment variables",
            Yes,
            format!(
                "{WEB}    environment:\n{}",
                lines(100_000, |n| format!("      K{n}: v\n"))
            ),
        ),
        one(
            "100,000 labels in a list",
            Yes,
            format!(
                "{WEB}    labels:\n{}",
                lines(100_000, |n| format!("      - k{n}=v\n"))
            ),
        ),
        one(
            "100,000 extensions",
            Yes,
            format!("{WEB}{}", lines(100_000, |n| format!("x-{n}: {n}\n"))),
        ),
        one(
            "20,000 services",
            Yes,
            format!(
                "services:\n{}",
                lines(20_000, |n| format!("  s{n}: {{image: x}}\n"))
            ),
        ),
        one(
            "100,000 services",
            No("more than 20000 services"),
            format!(
                "services:\n{}",
                lines(100_000, |n| format!("  s{n}: {{image: x}}\n"))
            ),
        ),
        one(
            "100,000 volumes",
            Yes,
            format!(
                "{WEB}    volumes:\n{}volumes:\n{}",
                lines(60_000, |n| format!("      - v{n}:/v{n}\n")),
                lines(60_000, |n| format!("  v{n}:\n")),
            ),
        ),
        one(
            "mounts that grow",
            No("more than 1000000 nodes"),
            format!(
                "{WEB}    volumes:\n{}",
                lines(400_000, |n| format!("      - ./a:/v{n}\n"))
            ),
        ),
        one(
            "a range of all ports",
            Yes,
            format!("{WEB}    ports: ['1-65535:1-65535']\n"),
        ),
        one(
            "ranges of all ports for two protocols",
            Yes,
            format!("{WEB}    ports: ['1-65535:1-65535', '1-65535:1-65535/udp']\n"),
        ),
        one(
            "many ranges of all ports",
            No("more than 1000000 nodes"),
            format!(
                "{WEB}    ports:\n{}",
                lines(200, |n| format!("      - 127.0.0.{n}:1-65535:1-65535\n"))
            ),
        ),
        one("a million documents", No(""), "---\n".repeat(1_000_000)),
        one(
            "many documents over a large one",
            No("too many documents"),
            format!(
                "{WEB}{}{}",
                lines(20_000, |n| format!("  s{n}: {{image: x}}\n")),
                "---\nx-a: 1\n".repeat(50_000)
            ),
        ),
        one(
            "200,000 dependencies",
            No("more than 1000000 nodes"),
            format!(
                "services:\n{}",
                lines(450, |n| {
                    let all: Vec<_> = (0..450).map(|n| format!("s{n}")).collect();
                    format!("  s{n}: {{image: x, depends_on: [{}]}}\n", all.join(", "))
                })
            ),
        ),
        one(
            "circles without end",
            No("depend on each other"),
            format!(
                "x-all: &all [{}]\nservices:\n{}",
                (0..250)
                    .map(|n| format!("s{n}"))
                    .collect::<Vec<_>>()
                    .join(", "),
                lines(250, |n| format!("  s{n}: {{image: x, depends_on: *all}}\n"))
            ),
        ),
        one(
            "a name of a project of 10 MiB",
            No("name is longer"),
            format!("name: {}\n{WEB}", "a".repeat(10 * mib)),
        ),
    ]
}

/// What is deep.
pub(crate) fn nesting() -> Vec<Hostile> {
    use Loads::{No, Yes};
    let deep = 10_000;
    vec![
        one(
            "brackets 10,000 deep",
            No(""),
            format!("{WEB}    x-a: {}{}\n", "[".repeat(deep), "]".repeat(deep)),
        ),
        one(
            "a million brackets",
            No(""),
            format!("x: {}", "[".repeat(1_000_000)),
        ),
        one(
            "braces 10,000 deep",
            No(""),
            format!("x: {}1{}", "{a: ".repeat(deep), "}".repeat(deep)),
        ),
        one(
            "a block 10,000 deep",
            No("nested deeper"),
            lines(deep.min(7_000), |n| format!("{}a:\n", " ".repeat(n))),
        ),
        one(
            "dashes a million deep",
            No("nested deeper"),
            format!("x: \n  {}a", "- ".repeat(1_000_000)),
        ),
        one(
            "question marks a million deep",
            No("nested deeper"),
            format!("{}a", "? ".repeat(1_000_000)),
        ),
        one(
            "aliases below long keys",
            Yes,
            format!(
                "x-a: &a 1\nx-b: {}[{}]{}\n{WEB}",
                format!("{{? {} : ", "k".repeat(16 << 10)).repeat(200),
                "*a, ".repeat(100_000),
                "}".repeat(200)
            ),
        ),
        one(
            "variables 10,000 deep",
            No("nested deeper"),
            format!(
                "{WEB}    command: \"{}x{}\"\n",
                "${A:-".repeat(deep),
                "}".repeat(deep)
            ),
        ),
    ]
}

/// What leads from file to file.
pub(crate) fn chains() -> Vec<Hostile> {
    use Loads::{No, Yes};
    let including = |count: usize, next: &dyn Fn(usize) -> String| -> Vec<(String, Vec<u8>)> {
        let name = |n: usize| match n {
            0 => "compose.yaml".to_owned(),
            n => format!("f{n}.yaml"),
        };
        (0..count)
            .map(|n| (name(n), next(n + 1).into_bytes()))
            .collect()
    };
    vec![
        several(
            "a file that includes itself",
            No("in a circle"),
            vec![("compose.yaml", format!("include: [compose.yaml]\n{WEB}"))],
        ),
        several(
            "files that include each other",
            No("in a circle"),
            vec![
                ("compose.yaml", format!("include: [a.yaml]\n{WEB}")),
                ("a.yaml", "include: [compose.yaml]\n".to_owned()),
            ],
        ),
        Hostile {
            name: "10,000 files that include each other",
            loads: No("more than 100 files include each other"),
            files: including(10_000, &|next| format!("include: [f{next}.yaml]\n{WEB}")),
        },
        Hostile {
            name: "files that include the next one twice",
            loads: No("files are loaded"),
            files: including(60, &|next| {
                format!("include: [f{next}.yaml, ./x/../f{next}.yaml]\n{WEB}")
            }),
        },
        Hostile {
            name: "2,000 files",
            loads: Yes,
            files: std::iter::once((
                "compose.yaml".to_owned(),
                format!("include:\n{}", lines(2_000, |n| format!("  - p{n}.yaml\n"))).into_bytes(),
            ))
            .chain((0..2_000).map(|n| {
                let text = format!("services: {{s{n}: {{image: x}}}}\n");
                (format!("p{n}.yaml"), text.into_bytes())
            }))
            .collect(),
        },
        one(
            "services that extend each other",
            No("in a circle"),
            "services:\n  a: {extends: b}\n  b: {extends: a}\n",
        ),
        one(
            "10,000 services that extend each other",
            No("more than 100 services extend each other"),
            format!(
                "services:\n{}",
                lines(10_000, |n| format!("  s{n}: {{extends: s{}}}\n", n + 1))
            ),
        ),
        Hostile {
            name: "10,000 files whose services extend each other",
            loads: No("more than 100 services extend each other"),
            files: including(10_000, &|next| {
                format!("services: {{a: {{extends: {{file: f{next}.yaml, service: a}}}}}}\n")
            }),
        },
        one(
            "a chain of 20,000 dependencies",
            Yes,
            format!(
                "services:\n  s0: {{image: x}}\n{}",
                lines(19_999, |n| format!(
                    "  s{}: {{image: x, depends_on: [s{n}]}}\n",
                    n + 1
                ))
            ),
        ),
    ]
}

/// What is wrong over and over.
pub(crate) fn many_errors() -> Vec<Hostile> {
    use Loads::No;
    let key = "k".repeat(60 << 10);
    vec![
        one(
            "100,000 unknown attributes",
            No("is not an attribute here"),
            format!("{WEB}{}", lines(100_000, |n| format!("    imag{n}: x\n"))),
        ),
        one(
            "100,000 wrong values in one line",
            No(""),
            format!("{WEB}    cap_add: [{}]\n", "1, ".repeat(100_000)),
        ),
        one(
            "one wrong alias, 100,000 times",
            No(""),
            format!(
                "x-a: &a\n  - 1\n{WEB}    cap_add: [{}]\n",
                "*a, ".repeat(100_000)
            ),
        ),
        one(
            "100,000 keys twice",
            No("in this mapping already"),
            format!("{WEB}    environment:\n{}", "      K: v\n".repeat(100_000)),
        ),
        one(
            "100,000 unset variables",
            Loads::Yes,
            format!(
                "{WEB}    environment:\n{}",
                lines(100_000, |n| format!("      K{n}: $V{n}\n"))
            ),
        ),
        one(
            "100,000 unknown dependencies",
            No(""),
            format!(
                "{WEB}    depends_on:\n{}",
                lines(100_000, |n| format!("      - some-other-service-{n}\n"))
            ),
        ),
        one(
            "long names with errors below",
            No(""),
            format!(
                "services:\n  ? {key}\n  :\n    image: x\n{}",
                lines(50_000, |n| format!("    unknown{n}: x\n"))
            ),
        ),
        one(
            "long names that nothing bears",
            No(""),
            format!(
                "services:\n  ? {key}\n  : {{image: x}}\n  b: {{image: x, depends_on: [{key}a]}}\n"
            ),
        ),
    ]
}

/// What is spelt otherwise than people expect.
pub(crate) fn spelling() -> Vec<Hostile> {
    use Loads::{No, Yes};
    vec![
        one("nothing", No("empty"), ""),
        one("a byte order mark", Yes, format!("\u{feff}{WEB}")),
        one(
            "lines that end as on Windows",
            Yes,
            WEB.replace('\n', "\r\n"),
        ),
        one(
            "lines that end as on old Macs",
            Yes,
            WEB.replace('\n', "\r"),
        ),
        one("tabs for indentation", No(""), WEB.replace("  ", "\t")),
        one("a tab behind a value", Yes, WEB.replace("x\n", "x\t\n")),
        one(
            "not UTF-8",
            No("not UTF-8"),
            b"services:\n  web: {image: \"\xff\xfe\"}\n",
        ),
        one(
            "UTF-16",
            No("not UTF-8"),
            format!("\u{feff}{WEB}")
                .encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect::<Vec<u8>>(),
        ),
        one("zero bytes", No(""), vec![0; 1 << 20]),
        one(
            "a zero in a value",
            No(""),
            format!("{WEB}    hostname: a\u{0}b\n"),
        ),
        one(
            "a key twice",
            No("in this mapping already"),
            format!("{WEB}    image: y\n"),
        ),
        one(
            "an unknown anchor",
            No(""),
            format!("{WEB}    command: *nowhere\n"),
        ),
        one(
            "a quote that is never closed",
            No(""),
            format!("{WEB}    command: \"{}", "a ".repeat(1 << 20)),
        ),
        one(
            "yes, on, 012, 1:20, 1e3, dates and nothing",
            Yes,
            format!(
                "{WEB}    environment:\n      - A=yes\n    x-all: [yes, on, off, n, 012, 0o12, 1:20, \
                 190:20:30, 1e3, 1_000, 0x1F, 0b1, 2024-01-01, ~, Null, .inf, -.INF, .nan, +.5]\n"
            ),
        ),
        one(
            "an octal where a string is wanted",
            No("hostname"),
            format!("{WEB}    hostname: 012\n"),
        ),
        one(
            "a date where a string is wanted",
            No("read as a date"),
            format!("{WEB}    hostname: 2024-01-01\n"),
        ),
        one(
            "a null where a mapping is wanted",
            No(""),
            "services:\n  web: ~\n",
        ),
        one("a scalar", No("the top level is"), "hello\n"),
        one("a list", No("the top level is"), "- a\n"),
    ]
}
