//! Docker Compose as the one that is asked.

use tempfile::TempDir;

use super::asked::{self, Engine, image_name};
use super::table::{Question, Table};
use crate::support::{Image, Invocation};

/// What the client needs of the caller's environment.
const VARIABLES: [&str; 7] = [
    "PATH",
    "HOME",
    "DOCKER_HOST",
    "DOCKER_CONFIG",
    "DOCKER_CONTEXT",
    "DOCKER_CERT_PATH",
    "DOCKER_TLS_VERIFY",
];

/// A project's folder and images, which are removed with it.
struct Docker {
    name: &'static str,
    images: Vec<String>,
    dir: TempDir,
}

/// Asks a table of the Docker Engine that the environment names.
pub(super) fn ask_docker(name: &'static str, text: &str) {
    let version = docker(&["compose", "ls", "-q"]).run();
    assert!(
        version.code == 0,
        "no Docker with Compose answers (DOCKER_HOST={}):\n{version}",
        skiff::env::read_string("DOCKER_HOST").unwrap_or_default()
    );
    let table = Table::parse(text);
    let dir = tempfile::tempdir().expect("a temporary folder");
    fs_err::write(
        dir.path().join("compose.yaml"),
        asked::compose_file(name, &table),
    )
    .expect("a file in a new folder");
    let images = table
        .images
        .iter()
        .map(|(image, _)| image_name(name, image));
    let images = images.collect();
    asked::ask(name, &table, &Docker { name, images, dir });
}

/// The client; fails the test where there is none.
fn docker(args: &[&str]) -> Invocation {
    let path = skiff::env::read_string("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join("docker").exists());
    assert!(
        found,
        "this test asks Docker, and `docker` is not found: https://docs.docker.com/engine/install"
    );
    let client = Invocation::new("docker").args(args);
    VARIABLES
        .iter()
        .fold(client, |client, name| match skiff::env::read(name) {
            Some(value) => client.env(name, value),
            None => client,
        })
}

impl Engine for Docker {
    fn compose(&self, args: &[&str]) -> Invocation {
        let project = format!("skiff-as-docker-{}", self.name);
        let args = [&["compose", "-p", &project], args].concat();
        docker(&args).dir(self.dir.path())
    }

    fn wait(&self, service: &str) {
        // `logs -f` of Docker Compose follows on after the end.
        let id = self.compose(&["ps", "-aq", service]).run().succeeds();
        docker(&["wait", id.stdout.trim()])
            .run()
            .succeeds()
            .whatever();
    }

    fn load(&self, image: &Image, name: &str) {
        docker(&["load", "-q"])
            .input(image.docker_archive(name))
            .run()
            .succeeds()
            .whatever();
    }

    fn expected<'t>(&self, question: &'t Question) -> &'t [String] {
        question.dockers.as_ref().unwrap_or(&question.answer)
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        // After a failure too; what goes wrong here is told by the next run.
        self.compose(&["down", "-v", "-t", "0", "--remove-orphans"])
            .run()
            .whatever();
        let remove = ["image", "rm", "-f"];
        let images = self.images.iter().map(String::as_str);
        let args: Vec<&str> = remove.into_iter().chain(images).collect();
        docker(&args).run().whatever();
    }
}
