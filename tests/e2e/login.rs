//! `login` and `logout`: what is asked, said and kept.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use fs_err as fs;
use serde_json::{Value, json};

use crate::support::{Registry, Sandbox, Terminal, isolated};

const SERVER: &str = "127.0.0.1:5000";

fn config(sandbox: &Sandbox) -> Value {
    let text = fs::read(sandbox.home().join(".docker/config.json")).expect("a config.json");
    serde_json::from_slice(&text).expect("JSON")
}

#[test]
fn passwords_come_from_flags_or_standard_input() {
    isolated(|sandbox| {
        let _registry = Registry::start_private(sandbox, 5000);
        let login = |args: &[&str], input: &str| {
            let words = ["login"].iter().chain(args).chain(&[SERVER]);
            sandbox.skiff(words).input(input).run()
        };
        let good = login(&["-u", "me", "--password-stdin"], "secret\n").succeeds();
        good.prints("Login Succeeded\n")
            .warns("kept unencrypted in `")
            .whatever();
        let kept = json!({"auths": {SERVER: {"auth": "bWU6c2VjcmV0"}}});
        assert_eq!(config(sandbox), kept);
        let file = sandbox.home().join(".docker/config.json");
        assert_eq!(
            fs::metadata(&file).expect("a file").permissions().mode() & 0o777,
            0o600
        );
        let again = login(&[], "").succeeds().prints("Login Succeeded\n");
        again
            .warns("Authenticating with existing credentials... [Username: me]")
            .whatever();
        for (args, input, part) in [
            (
                &["-u", "me", "-p", "wrong"][..],
                "",
                "refuses to log in `me`",
            ),
            (
                &["-u", "me", "--password-stdin"],
                "wrong",
                "authentication required",
            ),
            (
                &["-u", "me", "-p", "secret", "--password-stdin"],
                "x",
                "exclude each other",
            ),
            (&["--password-stdin"], "secret", "needs --username"),
            (&["-u", "me"], "", "no terminal to ask"),
            (&["-u", "", "-p", "secret"], "", "the user name is empty"),
            (
                &["-u", "me", "--password-stdin"],
                "\n",
                "the password is empty",
            ),
        ] {
            let refused = login(args, input).ends_with(1).warns(part);
            assert_eq!(refused.stdout, "", "{refused}");
            assert_eq!(config(sandbox), kept, "nothing was changed");
        }
        sandbox
            .skiff(["logout", SERVER])
            .run()
            .succeeds()
            .prints("Removing login credentials for 127.0.0.1:5000\n")
            .whatever();
        assert_eq!(config(sandbox), json!({"auths": {}}));
        sandbox
            .skiff(["logout"])
            .run()
            .succeeds()
            .prints("Removing login credentials for https://index.docker.io/v1/\n")
            .whatever();
        login(&["-u", "me", "-p", "secret"], "")
            .succeeds()
            .warns("can see --password")
            .whatever();
        assert_eq!(config(sandbox), kept);
        let nowhere = sandbox
            .skiff(["login", "-u", "me", "-p", "x", "127.0.0.1:1"])
            .run()
            .fails();
        nowhere
            .warns("cannot reach registry `127.0.0.1:1`: connection refused")
            .whatever();
    });
}

#[test]
fn a_variable_goes_before_the_file() {
    isolated(|sandbox| {
        let _registry = Registry::start_private(sandbox, 5000);
        let with = |auths: &str, args: &[&str]| {
            let command = sandbox.skiff(args.iter().copied());
            command.env("DOCKER_AUTH_CONFIG", auths).run()
        };
        let entry = |text: &str| json!({"auths": {SERVER: {"auth": text}}}).to_string();
        let mine = entry("bWU6c2VjcmV0");
        with(&mine, &["login", SERVER])
            .succeeds()
            .prints("Login Succeeded\n")
            .warns("Authenticating with existing credentials... [Username: me]")
            .warns("`DOCKER_AUTH_CONFIG` is set, and goes before what is kept")
            .whatever();
        // What it does not know the file may know.
        fs::create_dir_all(sandbox.home().join(".docker")).expect("a folder");
        fs::write(sandbox.home().join(".docker/config.json"), &mine).expect("a file");
        let elsewhere = json!({"auths": {"example.org": {"auth": "YTpi"}}}).to_string();
        with(&elsewhere, &["login", SERVER]).succeeds().whatever();
        with(&entry("bWU6d3Jvbmc="), &["login", SERVER])
            .fails()
            .warns("refuses to log in `me`")
            .whatever();
        with("{", &["login", SERVER])
            .fails()
            .warns("registry `127.0.0.1:5000` from `DOCKER_AUTH_CONFIG`")
            .whatever();
    });
}

#[test]
fn a_terminal_is_asked_and_does_not_show_the_password() {
    isolated(|sandbox| {
        let _registry = Registry::start_private(sandbox, 5000);
        let mut terminal = Terminal::start(&sandbox.skiff(["login", SERVER]));
        terminal.wait_text("Username: ");
        terminal.types("me\r");
        terminal.wait_text("Password: ");
        terminal.types("secret\r");
        let (code, shown) = terminal.finish();
        assert_eq!(code, 0, "{shown}");
        assert!(shown.contains("Login Succeeded"), "{shown}");
        assert!(!shown.contains("secret"), "{shown}");
        assert_eq!(
            config(sandbox)["auths"][SERVER]["auth"],
            json!("bWU6c2VjcmV0")
        );
        sandbox
            .skiff(["logout", SERVER])
            .run()
            .succeeds()
            .whatever();
        // Ctrl-C at the password leaves a terminal that shows what is typed.
        let script = format!(
            "trap : INT; $skiff login -u me {SERVER}; echo code $?; stty -a | grep -o ' echo '"
        );
        let mut terminal = Terminal::start(&sandbox.shell(&script));
        terminal.wait_text("Password: ");
        terminal.types("\u{3}");
        let (_, shown) = terminal.finish();
        assert!(shown.contains("code 130"), "{shown}");
        assert!(shown.contains(" echo "), "{shown}");
    });
}

/// Under sudo the credentials go to the caller's home, are theirs, and open the
/// registry.
#[test]
fn under_sudo_the_credentials_are_the_caller_s() {
    isolated(|sandbox| {
        let _registry = Registry::start_private(sandbox, 5000);
        let home = sandbox.work().join("ann");
        fs::create_dir(&home).expect("a home");
        std::os::unix::fs::chown(&home, Some(1234), Some(1235)).expect("an owner");
        let as_ann = |args: &[&str]| {
            sandbox
                .skiff(args)
                .env("SUDO_USER", "ann")
                .env("SUDO_UID", "1234")
                .env("SUDO_GID", "1235")
                .env("SUDO_HOME", &home)
        };
        as_ann(&["login", "-u", "me", "-p", "secret", SERVER])
            .run()
            .succeeds()
            .whatever();
        assert!(!sandbox.home().join(".docker").exists());
        for path in [".docker", ".docker/config.json"] {
            let metadata = fs::metadata(home.join(path)).expect("it is there");
            assert_eq!((metadata.uid(), metadata.gid()), (1234, 1235), "{path}");
        }
        let missing = as_ann(&["image", "pull", "127.0.0.1:5000/none"])
            .run()
            .fails();
        missing.warns("has no image").whatever();
        let denied = sandbox
            .skiff(["image", "pull", "127.0.0.1:5000/none"])
            .run()
            .fails();
        denied
            .warns("denies access")
            .warns("skiff login 127.0.0.1:5000")
            .whatever();
        as_ann(&["logout", SERVER]).run().succeeds().whatever();
        as_ann(&["image", "pull", "127.0.0.1:5000/none"])
            .run()
            .fails()
            .warns("denies access")
            .whatever();
    });
}

#[test]
fn a_name_that_is_no_registry_is_refused() {
    isolated(|sandbox| {
        for command in ["login", "logout"] {
            let refused = sandbox.skiff([command, "quay"]).run().fails();
            refused.warns("`quay` is not a registry").whatever();
        }
    });
}
