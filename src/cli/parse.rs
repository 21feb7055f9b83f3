//! Values of flags.

use super::error::CliError;
use crate::image::PullPolicy;

/// `--pull`: `None` for `policy`, that is, as each service says.
///
/// # Errors
/// Another word.
pub fn pull(text: &str) -> Result<Option<PullPolicy>, CliError> {
    match text {
        "policy" => Ok(None),
        "always" => Ok(Some(PullPolicy::Always)),
        "missing" => Ok(Some(PullPolicy::Missing)),
        "never" => Ok(Some(PullPolicy::Never)),
        other => Err(CliError::new(format!(
            "--pull takes `always`, `missing`, `never` or `policy`, not `{other}`"
        ))),
    }
}

/// `--scale web=3`.
///
/// # Errors
/// Not a name, `=` and a number.
pub fn scale(text: &str) -> Result<(String, u32), CliError> {
    text.split_once('=')
        .filter(|(service, _)| !service.is_empty())
        .and_then(|(service, count)| Some((service.to_owned(), count.parse().ok()?)))
        .ok_or_else(|| CliError::new(format!("--scale takes SERVICE=NUM, not `{text}`")))
}

/// `-e NAME=VALUE`, or `-e NAME`, which takes the caller's value.
pub fn variable(text: &str) -> (String, Option<String>) {
    match text.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (text.to_owned(), None),
    }
}

/// `-l NAME=VALUE`; a label without a value is empty.
pub fn label(text: &str) -> (String, String) {
    let (name, value) = variable(text);
    (name, value.unwrap_or_default())
}

/// A signal by name, with or without SIG, or number.
///
/// # Errors
/// No such signal.
pub fn signal(text: &str) -> Result<i32, CliError> {
    let unknown = || CliError::new(format!("no such signal: {text}"));
    if let Ok(number) = text.parse::<i32>() {
        return (1..=64)
            .contains(&number)
            .then_some(number)
            .ok_or_else(unknown);
    }
    let upper = text.to_ascii_uppercase();
    let name = if upper.starts_with("SIG") {
        upper
    } else {
        format!("SIG{upper}")
    };
    name.parse::<nix::sys::signal::Signal>()
        .map(|signal| signal as i32)
        .map_err(|_| unknown())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_go_by_name_and_number() {
        assert_eq!(signal("SIGTERM").unwrap(), 15);
        assert_eq!(signal("hup").unwrap(), 1);
        assert_eq!(signal("9").unwrap(), 9);
        for bad in ["", "0", "99", "SIGFOO"] {
            assert!(signal(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn scales_are_a_name_and_a_number() {
        assert_eq!(scale("web=3").unwrap(), ("web".to_owned(), 3));
        for bad in ["web", "=3", "web=", "web=-1"] {
            assert!(scale(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn variables_may_have_no_value() {
        assert_eq!(variable("A=b=c"), ("A".into(), Some("b=c".into())));
        assert_eq!(variable("A"), ("A".into(), None));
    }
}
