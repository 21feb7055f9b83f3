//! Values of instructions that are checked before a build begins.

use super::step::Mode;

/// Reads `--chmod`: an octal number, or what chmod(1) calls a symbolic mode.
///
/// # Errors
/// What is neither, as a message.
pub(super) fn mode(text: &str) -> Result<Mode, String> {
    let fail = || format!("`{text}` is no mode");
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return match u32::from_str_radix(text, 8) {
            Ok(bits) if bits <= 0o7777 => Ok(Mode::Bits(bits)),
            _ => Err(fail()),
        };
    }
    let is_valid = text.split(',').all(|clause| {
        let rest = clause.trim_start_matches(['u', 'g', 'o', 'a']);
        let mut actions = rest.split_inclusive(['+', '-', '=']);
        // Whose comes first, then at least one sign.
        let begins = actions
            .next()
            .is_some_and(|first| ["+", "-", "="].contains(&first));
        begins && {
            let actions = rest.split(['+', '-', '=']).skip(1);
            actions.into_iter().all(|permissions| {
                let is_copy = ["u", "g", "o"].contains(&permissions);
                is_copy || permissions.chars().all(|c| "rwxXst".contains(c))
            })
        }
    });
    if is_valid {
        Ok(Mode::Symbolic(text.to_owned()))
    } else {
        Err(fail())
    }
}

/// Whether a text names a signal of Linux: `SIGTERM`, `term`, `15`, `SIGRTMIN+3`.
pub(super) fn is_signal(text: &str) -> bool {
    const NAMES: [&str; 36] = [
        "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT",
        "KILL", "PIPE", "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM",
        "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ",
        "RTMIN", "RTMAX",
    ];
    if let Ok(number) = text.parse::<i32>() {
        return number > 0;
    }
    let upper = text.to_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let offset = |begin: &str| name.strip_prefix(begin).and_then(|n| n.parse::<u8>().ok());
    NAMES.contains(&name)
        || offset("RTMIN+").is_some_and(|n| (1..=15).contains(&n))
        || offset("RTMAX-").is_some_and(|n| (1..=14).contains(&n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_octal_or_symbolic() {
        assert_eq!(mode("0755"), Ok(Mode::Bits(0o755)));
        for text in ["u=rwX,go=rX", "+x", "a-w", "g=u", "u+s,o+t", "u=rw-x"] {
            assert_eq!(mode(text), Ok(Mode::Symbolic(text.to_owned())));
        }
        for text in ["888", "10000", "x", "u=z", "u=rw,", "rwx"] {
            assert!(mode(text).is_err(), "{text}");
        }
    }

    #[test]
    fn signals_have_names_or_numbers() {
        for text in ["SIGTERM", "term", "15", "SIGRTMIN+3", "RTMAX-1", "winch"] {
            assert!(is_signal(text), "{text}");
        }
        for text in ["0", "-1", "NOPE", "RTMIN+16", ""] {
            assert!(!is_signal(text), "{text}");
        }
    }
}
