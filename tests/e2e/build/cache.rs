//! What is done again, and what is not.

use fs_err as fs;

use super::{build, carried_out, image_id, with_dockerfile};
use crate::support::isolated;

#[test]
fn only_what_changed_and_what_follows_is_done_again() {
    isolated(|sandbox| {
        let project = with_dockerfile(
            sandbox,
            "again",
            "FROM test/busybox AS dev\nRUN echo tools > /tools\n\
             FROM test/busybox\nCOPY --from=dev /tools /\nCOPY lib /lib/\nRUN cat /lib/*\nCOPY app /\nRUN cat /app\n",
        );
        project.write("lib/a", "one\n");
        project.write("app", "first\n");
        assert_eq!(carried_out(&build(&project)).len(), 6);
        let first = image_id(&project);
        let again = build(&project);
        assert_eq!(carried_out(&again), Vec::<String>::new(), "{again}");
        assert_eq!(image_id(&project), first);
        // Times are no content.
        let app = fs::File::open(project.dir.join("app")).unwrap();
        app.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(carried_out(&build(&project)), Vec::<String>::new());
        project.write("app", "second\n");
        assert_eq!(
            carried_out(&build(&project)),
            ["COPY app /", "RUN cat /app"]
        );
        assert_ne!(image_id(&project), first);
        // What was before is known still.
        project.write("app", "first\n");
        assert_eq!(carried_out(&build(&project)), Vec::<String>::new());
        assert_eq!(image_id(&project), first);
        // A stage that is made anew and comes to the same.
        let text = fs::read_to_string(project.dir.join("Dockerfile")).unwrap();
        project.write("Dockerfile", &text.replace("echo tools", "echo  tools"));
        assert_eq!(carried_out(&build(&project)), ["RUN echo  tools > /tools"]);
        project.write("new", "");
        assert_eq!(
            carried_out(&build(&project)),
            Vec::<String>::new(),
            "nothing copies it"
        );
        project.write("lib/b", "two\n");
        assert_eq!(carried_out(&build(&project)).len(), 4);
        let anew = project.skiff(["build", "--no-cache"]).run().succeeds();
        assert_eq!(carried_out(&anew).len(), 6);
    });
}

/// `no_cache_filter` of the file: that stage, and nothing that comes to the same.
#[test]
fn the_stages_that_a_file_names_are_carried_out_anew() {
    isolated(|sandbox| {
        let project = with_dockerfile(
            sandbox,
            "filtered",
            "FROM test/busybox AS tools\nRUN echo tools > /tools\n\
             FROM test/busybox\nCOPY --from=tools /tools /\nRUN cat /tools\n",
        );
        assert_eq!(carried_out(&build(&project)).len(), 3);
        let file = "services: {web: {build: {context: ., no_cache_filter: [tools]}}}\n";
        project.write("compose.yaml", file);
        assert_eq!(carried_out(&build(&project)), ["RUN echo tools > /tools"]);
        project.write("compose.yaml", &file.replace("tools", "other"));
        assert_eq!(carried_out(&build(&project)), Vec::<String>::new());
    });
}

#[test]
fn the_same_step_of_two_services_is_carried_out_once() {
    isolated(|sandbox| {
        let project = with_dockerfile(
            sandbox,
            "twice",
            "FROM test/busybox\nARG WHO\nRUN --mount=type=cache,target=/c echo x >> /c/count; cat /c/count\nRUN echo $WHO\n",
        );
        project.write(
            "compose.yaml",
            "services:\n  a: {build: {context: ., args: {}}}\n  b: {build: .}\n",
        );
        let output = build(&project);
        let counted = output
            .stderr
            .lines()
            .filter(|line| line.ends_with(" x"))
            .count();
        assert_eq!(counted, 1, "{output}");
    });
}

#[test]
fn what_a_command_does_not_see_changes_nothing() {
    isolated(|sandbox| {
        let project = with_dockerfile(
            sandbox,
            "seen",
            "FROM test/busybox\nARG USED\nRUN echo $USED\nARG LATER\nRUN echo later\n",
        );
        let build = |args: &[&str]| {
            let all = ["build"].iter().chain(args);
            carried_out(&project.skiff(all).run().succeeds())
        };
        assert_eq!(build(&["--build-arg", "USED=1"]).len(), 2);
        assert_eq!(
            build(&[
                "--build-arg",
                "USED=1",
                "--build-arg",
                "HTTP_PROXY=http://x"
            ])
            .len(),
            0
        );
        assert_eq!(
            build(&["--build-arg", "USED=1", "--build-arg", "LATER=2"]),
            ["RUN echo later"]
        );
        assert_eq!(build(&["--build-arg", "USED=2"]).len(), 2);
    });
}
