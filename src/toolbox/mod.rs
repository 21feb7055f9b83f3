//! The applets of the built-in image `skiff/toolbox`.
//!
//! The image holds this very binary as `/bin/skiff` and a link to it for each
//! applet, so that examples, the self-test and the end-to-end tests need no
//! registry. An applet is small, starts in a fraction of a millisecond, uses no
//! async runtime, and resolves names by itself (a static libc would load the
//! container's own libraries for that). There is no shell.

mod basic;
mod http;
mod names;
mod page;
mod probe;
mod serve;
mod signals;
mod time;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

/// What an applet gives: an exit code, or what it could not do.
type Outcome = Result<u8, String>;

/// An applet's arguments, without its name.
type Applet = fn(&[String]) -> Outcome;

macro_rules! applets {
    ($($name:literal => $function:path,)*) => {
        /// The names under which the image links the binary, sorted.
        pub const APPLETS: &[&str] = &[$($name),*];

        /// The same names, each with what it does.
        const TABLE: &[(&str, Applet)] = &[$(($name, $function)),*];
    };
}

applets! {
    "cat" => basic::cat,
    "count" => basic::count,
    "date" => time::date,
    "echo" => basic::echo,
    "env" => basic::env,
    "exit" => basic::exit,
    "false" => basic::no,
    "hostname" => basic::hostname,
    "id" => basic::id,
    "ls" => basic::ls,
    "nslookup" => names::nslookup,
    "probe" => probe::probe,
    "serve" => serve::serve,
    "sleep" => time::sleep,
    "trap" => signals::trap,
    "true" => basic::yes,
    "wget" => probe::wget,
    "write" => basic::write,
}

/// Runs an applet if the arguments, the program's own name first, are for one:
/// the name is an applet's, or the first argument is `toolbox` and the second
/// is. `None` means that they are the command line's.
pub fn dispatch(arguments: &[OsString]) -> Option<ExitCode> {
    let (own, rest) = arguments.split_first()?;
    let own = Path::new(own).file_name()?.to_str()?;
    let (name, rest) = match (find(own), rest) {
        (Some(_), rest) => (own, rest),
        (None, [word, name, rest @ ..]) if word == "toolbox" => (name.to_str()?, rest),
        (None, _) => return None,
    };
    let applet = find(name)?;
    let rest: Vec<String> = rest
        .iter()
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    Some(match applet(&rest) {
        Ok(code) => ExitCode::from(code),
        Err(message) => {
            // Nobody is left to be told that stderr is closed.
            writeln!(io::stderr(), "{name}: {message}").ok();
            ExitCode::FAILURE
        }
    })
}

fn find(name: &str) -> Option<Applet> {
    TABLE
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, applet)| *applet)
}

/// Writes to standard output; a closed one ends the applet.
fn print(text: &str) -> Result<(), String> {
    let mut output = io::stdout().lock();
    output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush())
        .map_err(|error| format!("cannot write to standard output: {error}"))
}

/// Takes the value of `--name VALUE` or `--name=VALUE` at the head of the
/// arguments; `None` where another argument is there.
fn option<'a>(
    name: &str,
    arguments: &mut std::slice::Iter<'a, String>,
) -> Option<Result<&'a str, String>> {
    let first = arguments.as_slice().first()?;
    if first == name {
        arguments.next();
        let value = arguments.next().map(String::as_str);
        return Some(value.ok_or_else(|| format!("`{name}` needs a value")));
    }
    let value = first.strip_prefix(name)?.strip_prefix('=')?;
    arguments.next();
    Some(Ok(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(arguments: &[&str]) -> Option<ExitCode> {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        dispatch(&arguments)
    }

    #[test]
    fn applets_are_found_by_own_name_or_after_toolbox() {
        let five = Some(ExitCode::from(5));
        assert_eq!(code(&["/bin/exit", "5"]), five);
        assert_eq!(code(&["exit", "5"]), five);
        assert_eq!(code(&["/usr/bin/skiff", "toolbox", "exit", "5"]), five);
    }

    /// `skiff ls` and `skiff exec` are commands of their own.
    #[test]
    fn command_lines_are_left_alone() {
        assert_eq!(code(&["skiff", "ls"]), None);
        assert_eq!(code(&["skiff"]), None);
        assert_eq!(code(&["skiff", "toolbox"]), None);
        assert_eq!(code(&["skiff", "toolbox", "nonesuch"]), None);
        assert_eq!(code(&[]), None);
    }

    #[test]
    fn applets_are_sorted_and_unique() {
        assert!(APPLETS.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn options_take_both_forms() {
        let arguments = [
            "--a".to_owned(),
            "1".to_owned(),
            "--a=2".to_owned(),
            "--a".to_owned(),
        ];
        let mut rest = arguments.iter();
        assert_eq!(option("--a", &mut rest), Some(Ok("1")));
        assert_eq!(option("--b", &mut rest), None);
        assert_eq!(option("--a", &mut rest), Some(Ok("2")));
        assert!(option("--a", &mut rest).unwrap().is_err());
    }
}
