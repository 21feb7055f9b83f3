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
    let table = Table::parse(text);
    let project = sandbox.project(name, &asked::compose_file(name, &table));
    let skiff = Skiff { sandbox, project };
    asked::ask(name, &table, &skiff);
    skiff.project.down();
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
