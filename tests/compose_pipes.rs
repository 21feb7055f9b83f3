//! Files that are pipes: what a shell hands over is read once and counts wherever
//! it is asked for.

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    /// Runs a line of a shell, in which `skiff` is ours, in a folder with a project:
    /// code, standard output, standard error.
    fn shell(folder: &Path, line: &str) -> (i32, String, String) {
        let file = "name: p\nservices: {w: {image: 'w:$A'}}\n";
        fs_err::write(folder.join("compose.yaml"), file).unwrap();
        let skiff = env!("CARGO_BIN_EXE_skiff");
        let output = Command::new("bash")
            .args(["-c", &format!("skiff() {{ '{skiff}' \"$@\"; }}\n{line}")])
            .current_dir(folder)
            .env_remove("DOCKER_HOST")
            .env_remove("A")
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let code = output.status.code().unwrap();
        (code, text(output.stdout), text(output.stderr))
    }

    #[test]
    fn variables_come_through_what_a_shell_hands_over() {
        let folder = tempfile::tempdir().unwrap();
        for line in [
            "skiff --env-file <(echo A=1) config --images",
            "echo A=1 | skiff --env-file /dev/stdin config --images",
            "echo A=1 | skiff --env-file /proc/self/fd/0 config --images",
            "skiff --env-file <(echo A=2) --env-file <(echo A=1) config --images",
            "A=1 skiff -f <(cat compose.yaml) config --images",
        ] {
            let (code, output, errors) = shell(folder.path(), line);
            assert_eq!(
                (code, output.as_str(), errors.as_str()),
                (0, "w:1\n", ""),
                "{line}"
            );
        }
    }

    #[test]
    fn a_pipe_with_a_name_is_refused_for_variables() {
        let folder = tempfile::tempdir().unwrap();
        let line = "mkfifo a; skiff --env-file a config";
        let (code, output, errors) = shell(folder.path(), line);
        assert_eq!((code, output.as_str()), (1, ""));
        assert!(errors.contains("(FIFO)"), "{errors}");
    }
}
