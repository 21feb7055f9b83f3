//! What a container is like, asked of skiff and of Docker with the same tables.
//!
//! Each table is a Compose file with questions and the answers expected
//! ([`table`]). The suite asks skiff. `./tests/run --peer` asks a Docker Engine
//! with Docker Compose, which has to give the very same answers, but for those
//! that a table says are skiff's own, and why.

mod asked;
mod docker;
mod table;

use asked::Engine;
use table::{Question, Table};

use crate::support::{Image, Invocation, Project, Sandbox, isolated};

struct Skiff<'a> {
    sandbox: &'a Sandbox,
    project: Project<'a>,
}

impl Engine for Skiff<'_> {
    fn compose(&self, args: &[&str]) -> Invocation {
        self.project.skiff(args)
    }

    fn wait(&self, service: &str) {
        let follow = self.project.skiff(["logs", "-f", service]);
        follow.run().succeeds().whatever();
    }

    fn load(&self, image: &Image, name: &str) {
        self.sandbox.load(image, name);
    }

    fn expected<'t>(&self, question: &'t Question) -> &'t [String] {
        &question.answer
    }
}

fn ask_skiff(sandbox: &Sandbox, name: &str, text: &str) {
    let table = Table::parse(&text.replace("<core>", &core_limit()));
    let project = sandbox.project(name, &asked::compose_file(name, &table));
    let skiff = Skiff { sandbox, project };
    asked::ask(name, &table, &skiff);
    skiff.project.down();
}

/// The limit of core files that a container can be given at most: a session of
/// sudo has 0, and no root without `CAP_SYS_RESOURCE` raises it again.
fn core_limit() -> String {
    const CAP_SYS_RESOURCE: u32 = 24;
    let field = |file: &str, name: &str, index: usize| -> String {
        let text = fs_err::read_to_string(file).expect(file);
        let value = text.lines().find_map(|line| line.strip_prefix(name));
        let value = value.and_then(|words| words.split_whitespace().nth(index));
        value.unwrap_or_else(|| panic!("{file}: {name}")).to_owned()
    };
    let effective = field("/proc/self/status", "CapEff:", 0);
    let effective = u64::from_str_radix(&effective, 16).expect("capabilities in hexadecimal");
    if effective >> CAP_SYS_RESOURCE & 1 == 1 {
        return "unlimited".to_owned();
    }
    field("/proc/self/limits", "Max core file size", 1)
}

/// One module a table, with a test for each that is asked.
macro_rules! tables {
    ($($name:ident)*) => {$(
        mod $name {
            const TEXT: &str = include_str!(concat!(stringify!($name), ".table"));

            #[test]
            fn skiff() {
                super::isolated(|sandbox| super::ask_skiff(sandbox, stringify!($name), TEXT));
            }

            #[test]
            #[ignore = "asks a Docker Engine: ./tests/run --peer"]
            fn docker() {
                super::docker::ask_docker(stringify!($name), TEXT);
            }
        }
    )*};
}

tables! { confinement defaults image limits network process user volumes }
