//! What comes out of `image build` beside the store, and what goes in by standard
//! input.

use std::collections::BTreeMap;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use fs_err as fs;

use super::{carried_out, with_dockerfile};
use crate::support::isolated;

/// Files of each kind, made with the base's tools.
const KINDS: &str = "FROM test/busybox AS all\nRUN mkdir -p /out/deep && cd /out && echo hi > file \
    && ln file other && ln -s file link && mkfifo pipe && mknod null c 1 3 && chmod 4755 file \
    && chown 12:34 deep\nFROM scratch\nCOPY --from=all /out /\n";

/// Names of an archive's entries, with kind and owner.
fn entries(archive: &Path) -> BTreeMap<String, (tar::EntryType, u64)> {
    let mut archive = tar::Archive::new(fs::File::open(archive).expect("an archive"));
    let entries = archive.entries().expect("entries").map(|entry| {
        let entry = entry.expect("an entry");
        let name = entry.path().expect("a name").display().to_string();
        let header = entry.header();
        (name, (header.entry_type(), header.uid().expect("a number")))
    });
    entries.collect()
}

#[test]
fn the_files_of_an_image_are_written_to_a_folder_that_is_the_callers() {
    isolated(|sandbox| {
        let project = with_dockerfile(sandbox, "files", KINDS);
        let before = project.skiff(["image", "ls", "-aq"]).run().succeeds();
        let build = ["image", "build", "-o", "new/out", "."];
        let built = project
            .skiff(build)
            .env("SUDO_UID", "1234")
            .env("SUDO_GID", "1234")
            .env("SUDO_USER", "somebody")
            .env("SUDO_HOME", sandbox.home())
            .run()
            .succeeds();
        built.warns("exporting to client directory").whatever();
        let out = project.dir.join("new/out");
        let file = fs::metadata(out.join("file")).expect("a file");
        assert_eq!(fs::read_to_string(out.join("other")).expect("text"), "hi\n");
        assert_eq!(
            (file.nlink(), file.permissions().mode() & 0o7777),
            (2, 0o755)
        );
        for path in ["", "..", "file", "deep"] {
            let found = fs::metadata(out.join(path)).expect(path);
            assert_eq!((found.uid(), found.gid()), (1234, 1234), "{path}");
        }
        let link = fs::read_link(out.join("link")).expect("a link");
        assert_eq!(link, Path::new("file"));
        let pipe = fs::symlink_metadata(out.join("pipe")).expect("a pipe");
        assert!(pipe.file_type().is_fifo());
        // What the caller could not make is left out.
        assert!(!out.join("null").exists());
        // The image itself was not asked for.
        let after = project.skiff(["image", "ls", "-aq"]).run().succeeds();
        assert_eq!(after.stdout, before.stdout);
        // What is there already stays, or is replaced.
        fs::write(out.join("mine"), "m").expect("a file");
        fs::write(out.join("file"), "changed").expect("a file");
        let again = project.skiff(build).run().succeeds();
        assert_eq!(carried_out(&again), Vec::<String>::new());
        assert_eq!(fs::read_to_string(out.join("file")).expect("text"), "hi\n");
        assert!(out.join("mine").exists());
    });
}

#[test]
fn archives_have_all_of_it_and_go_to_a_file_or_standard_output() {
    isolated(|sandbox| {
        let project = with_dockerfile(sandbox, "archives", KINDS);
        let work = &project.dir;
        let build = |output: &str| {
            project
                .skiff(["image", "build", "-q", "-o", output, "."])
                .run()
        };
        assert_eq!(build("type=tar,dest=a.tar").succeeds().stdout, "");
        let all = entries(&work.join("a.tar"));
        let names: Vec<&str> = all.keys().map(String::as_str).collect();
        assert_eq!(names, ["deep/", "file", "link", "null", "other", "pipe"]);
        assert_eq!(all["deep/"], (tar::EntryType::Directory, 12));
        assert_eq!(all["null"].0, tar::EntryType::Char);
        assert_eq!(all["other"].0, tar::EntryType::Link);
        sandbox
            .shell("cd archives && $skiff image build -q -o - . > b.tar")
            .run()
            .succeeds()
            .whatever();
        let files = ["a.tar", "b.tar"].map(|name| fs::read(work.join(name)).expect("an archive"));
        assert!(files[0] == files[1]);
        // A reader that has enough is no failure.
        let enough = "cd archives && { $skiff image build -q --target all -o - . || echo failed >&2; } | true";
        assert_eq!(sandbox.shell(enough).run().succeeds().stderr, "");
        // The image itself, which the store does not get to see.
        let args = [
            "image",
            "build",
            "-t",
            "own/app:1",
            "-o",
            "type=docker,dest=i.tar",
            ".",
        ];
        project.skiff(args).run().succeeds().whatever();
        let inspect = || project.skiff(["image", "inspect", "own/app:1"]).run();
        inspect().fails().whatever();
        let loaded = project.skiff(["load", "-i", "i.tar"]).run().succeeds();
        assert_eq!(loaded.stdout, "Loaded image: own/app:1\n");
        inspect().succeeds().whatever();
        for (output, part) in [
            ("type=zip,dest=x", "there is no `type=zip`"),
            ("type=local", "`type=local` needs `dest=`"),
            ("type=tar,dest=no/where.tar", "no/where.tar`"),
            ("a.tar", "a.tar`"),
        ] {
            build(output).ends_with(1).warns(part).whatever();
        }
    });
}

/// An archive of files.
fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o640);
        header.set_uid(77);
        header.set_size(text.len() as u64);
        builder
            .append_data(&mut header, name, text.as_bytes())
            .expect("an entry");
    }
    builder.into_inner().expect("an archive")
}

#[test]
fn an_archive_on_standard_input_is_a_context() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let dockerfile = "FROM test/busybox\nCOPY a /w/\nRUN cat /w/a; stat -c %a:%u /w/a\n";
        let files = [
            ("Dockerfile", dockerfile),
            ("Other", "FROM test/busybox\nRUN echo other\n"),
            ("a", "content of a\n"),
        ];
        let tar = archive(&files);
        let packed = zstd::encode_all(&*tar, 1).expect("packed");
        let build = |args: &[&str], input: &[u8]| {
            let words = ["image", "build"].iter().chain(args).chain(&["-"]);
            sandbox.skiff(words).input(input).run()
        };
        build(&[], &tar)
            .succeeds()
            .warns("content of a")
            .warns(" 640:77")
            .whatever();
        // Packed it is another archive with the same content.
        let again = build(&[], &packed).succeeds();
        assert_eq!(carried_out(&again), Vec::<String>::new());
        build(&["-f", "Other"], &tar)
            .succeeds()
            .warns(" other")
            .whatever();
        for (args, input, part) in [
            (
                &["-f", "-"][..],
                &tar[..],
                "cannot be both the context and the Dockerfile",
            ),
            (&["-f", "x"], b"FROM scratch\n", "is no archive"),
            (&["-f", "Nothing"], &tar, "there is no Dockerfile `Nothing`"),
            (&[], &[0xff, 0xfe, 0], "it is not UTF-8"),
            (&[], &tar[..700], "unpack"),
        ] {
            build(args, input).ends_with(1).warns(part).whatever();
        }
    });
}

#[test]
fn progress_is_chosen_behind_the_command_too() {
    isolated(|sandbox| {
        let project = with_dockerfile(sandbox, "progress", "FROM test/busybox\nRUN echo loud\n");
        let plain = ["image", "build", "--progress=plain", "."];
        let plain = project.skiff(plain).run().succeeds();
        plain.warns(" loud").whatever();
        let none = ["image", "build", "--no-cache", "--progress=none", "."];
        assert_eq!(project.skiff(none).run().succeeds().stderr, "");
        let json = ["image", "build", "--no-cache", "--progress", "rawjson", "."];
        let json = project.skiff(json).run().succeeds();
        assert!(
            json.stderr.lines().all(|line| line.starts_with('{')),
            "{json}"
        );
        let quiet = ["build", "--progress=quiet", "--force-rm", "--compress"];
        assert_eq!(project.skiff(quiet).run().succeeds().stderr, "");
        let wrong = ["image", "build", "--progress=loud", "."];
        project
            .skiff(wrong)
            .run()
            .ends_with(1)
            .warns("loud")
            .whatever();
    });
}
