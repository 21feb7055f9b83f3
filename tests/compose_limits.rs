//! Whatever a Compose file is, and whatever it asks to be read, `skiff config`
//! ends with a model or an error: within 300 MiB of memory, and before the test
//! runner takes it for hanging.

#[cfg(test)]
mod hostile;

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::net::UnixListener;
    use std::path::Path;
    use std::process::{Command, Output, Stdio};

    use fs_err as fs;

    use crate::hostile::{self, Hostile, Loads};

    /// All that a load may take: of memory, and so of addresses, in KiB.
    const MOST_KIB: usize = 300 << 10;

    /// `skiff ARGUMENTS`, with no more memory than that.
    fn skiff(folder: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("ulimit -v {MOST_KIB}; exec \"$@\""), "sh"])
            .arg(env!("CARGO_BIN_EXE_skiff"))
            .args(arguments)
            .current_dir(folder)
            .env_clear()
            .stdin(Stdio::null());
        command
    }

    fn said(output: &Output) -> String {
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// An ordinary end: 0, or 1 with an error. A panic ends with a signal or 101.
    fn ended(output: &Output, what: &str) -> bool {
        let code = output.status.code();
        assert!(
            matches!(code, Some(0 | 1)),
            "{what}: {}\n{}",
            output.status,
            said(output)
        );
        code == Some(0)
    }

    fn check(case: &Hostile) -> Result<(), String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in &case.files {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        let output = skiff(folder.path(), &["config"]).output().unwrap();
        let loaded = ended(&output, case.name);
        let text = said(&output);
        let fits = match case.loads {
            Loads::Yes => loaded,
            Loads::No(part) => !loaded && text.contains(part),
        };
        // Fifty errors with the ways to them, and no more, whatever they are about.
        let short = text.len() < 128 << 10;
        if fits && short {
            return Ok(());
        }
        let start: String = text.chars().take(500).collect();
        Err(format!("{}: {:?}: {start}", case.name, case.loads))
    }

    fn check_all(cases: &[Hostile]) {
        let wrong: Vec<String> = cases.iter().filter_map(|case| check(case).err()).collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    }

    #[test]
    fn large_files_end() {
        check_all(&hostile::sizes());
    }

    #[test]
    fn deep_files_end() {
        check_all(&hostile::nesting());
    }

    #[test]
    fn files_that_grow_when_read_end() {
        check_all(&hostile::growth());
    }

    #[test]
    fn files_that_lead_to_others_end() {
        check_all(&hostile::chains());
    }

    #[test]
    fn files_with_endless_errors_end() {
        check_all(&hostile::many_errors());
    }

    #[test]
    fn files_of_all_spellings_are_read_or_refused() {
        check_all(&hostile::spelling());
    }

    /// Where the name of a file can stand.
    const PLACES: [(&str, &str); 6] = [
        ("-f", ""),
        ("include", "include: [FILE]\nservices: {a: {image: x}}\n"),
        (
            "extends",
            "services: {a: {extends: {file: FILE, service: a}}}\n",
        ),
        ("env_file", "services: {a: {image: x, env_file: FILE}}\n"),
        (
            "label_file",
            "services: {a: {image: x, label_file: FILE}}\n",
        ),
        ("--env-file", "services: {a: {image: x}}\n"),
    ];

    /// What `skiff config` says where this file is named everywhere.
    fn named_everywhere(folder: &Path, file: &str, error: &str) {
        // At the same time: some are waited for in vain.
        std::thread::scope(|threads| {
            for (index, (place, text)) in PLACES.iter().enumerate() {
                threads.spawn(move || {
                    let compose = format!("{index}.yaml");
                    fs::write(folder.join(&compose), text.replace("FILE", file)).unwrap();
                    let mut arguments = match *place {
                        "-f" => vec!["-f", file],
                        "--env-file" => vec!["-f", &compose, "--env-file", file],
                        _ => vec!["-f", &compose],
                    };
                    arguments.extend(["config", "-q"]);
                    let output = skiff(folder, &arguments).output().unwrap();
                    let text = said(&output);
                    assert!(!ended(&output, place), "{place} {file} was loaded");
                    assert!(text.contains(error), "{place} {file}: {text}");
                });
            }
        });
    }

    #[test]
    fn devices_are_refused_wherever_they_are_named() {
        let folder = tempfile::tempdir().unwrap();
        for device in ["/dev/zero", "/dev/urandom", "/dev/tty", "/dev/full"] {
            named_everywhere(folder.path(), device, "it is a device");
        }
    }

    #[test]
    fn folders_and_sockets_are_refused_wherever_they_are_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("folder")).unwrap();
        named_everywhere(folder.path(), "folder", "it is a folder");
        let _socket = UnixListener::bind(folder.path().join("socket")).unwrap();
        named_everywhere(folder.path(), "socket", "it is a socket");
    }

    #[test]
    fn a_file_of_endless_length_is_refused_wherever_it_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let huge = fs::File::create(folder.path().join("huge")).unwrap();
        huge.set_len(1 << 40).unwrap();
        named_everywhere(folder.path(), "huge", "larger than 32 MiB");
    }

    fn fifo(folder: &Path) -> std::path::PathBuf {
        let path = folder.join("fifo");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, mode).unwrap();
        path
    }

    #[test]
    fn a_pipe_that_nobody_writes_to_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = fifo(folder.path());
        named_everywhere(folder.path(), "fifo", "cannot read");
        // The same where somebody holds it open and says nothing.
        let _writer = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .unwrap();
        let output = skiff(folder.path(), &["-f", "fifo", "config", "-q"])
            .output()
            .unwrap();
        assert!(!ended(&output, "held"));
    }

    /// One of them is waited for; that is enough to know.
    #[test]
    fn many_pipes_are_not_waited_for_one_by_one() {
        let folder = tempfile::tempdir().unwrap();
        fifo(folder.path());
        let list = "  - fifo\n  - ./x/../fifo\n".repeat(500);
        fs::write(
            folder.path().join("compose.yaml"),
            format!("include:\n{list}"),
        )
        .unwrap();
        let output = skiff(folder.path(), &["config", "-q"]).output().unwrap();
        assert!(!ended(&output, "pipes"));
    }

    #[test]
    fn a_pipe_that_somebody_writes_to_is_read_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = fifo(folder.path());
        let child = skiff(folder.path(), &["-f", "fifo", "config", "--images"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Opening it waits for the reader, which may not see an end before.
        let mut writer = fs::OpenOptions::new().write(true).open(&path).unwrap();
        for line in ["services:\n", "  a:\n", "    image: x\n"] {
            writer.write_all(line.as_bytes()).unwrap();
        }
        drop(writer);
        let output = child.wait_with_output().unwrap();
        assert!(ended(&output, "pipe"), "{}", said(&output));
        assert_eq!(output.stdout, b"x\n");
    }

    #[test]
    fn what_the_shell_hands_over_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let program = env!("CARGO_BIN_EXE_skiff");
        let line = format!(
            "echo 'services: {{a: {{image: x}}}}' | {program} -f /dev/stdin config --images && \
             echo 'services: {{a: {{image: y}}}}' | {program} -f - config --images"
        );
        let output = Command::new("sh")
            .args(["-c", &line])
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "x\ny\n",
            "{}",
            said(&output)
        );
    }

    #[test]
    fn standard_input_without_end_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let output = skiff(folder.path(), &["-f", "-", "config", "-q"])
            .stdin(fs::File::open("/dev/zero").unwrap().into_parts().0)
            .output()
            .unwrap();
        assert!(!ended(&output, "standard input"));
        assert!(
            said(&output).contains("larger than 32 MiB"),
            "{}",
            said(&output)
        );
    }

    #[test]
    fn no_variables_at_all_is_what_the_null_device_has() {
        let folder = tempfile::tempdir().unwrap();
        let text = "services: {a: {image: x, env_file: /dev/null}}\n";
        fs::write(folder.path().join("compose.yaml"), text).unwrap();
        let arguments = ["--env-file", "/dev/null", "config", "-q"];
        let output = skiff(folder.path(), &arguments).output().unwrap();
        assert!(ended(&output, "/dev/null"), "{}", said(&output));
    }

    /// A file that somebody appends to all the while.
    #[test]
    fn a_file_that_grows_while_it_is_read_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("compose.yaml");
        let mut file = fs::File::create(&path).unwrap();
        file.write_all(b"services: {a: {image: x}}\n").unwrap();
        let child = skiff(folder.path(), &["config", "-q"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let id = child.id();
        let writer = std::thread::spawn(move || {
            let line = vec![b'#'; 1 << 16];
            let alive = format!("/proc/{id}/exe");
            // A zombie has no executable any more.
            while fs::read_link(&alive).is_ok() && file.metadata().unwrap().len() < 1 << 30 {
                file.write_all(&line).unwrap();
            }
        });
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        ended(&output, "growing");
    }
}
