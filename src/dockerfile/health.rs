//! `HEALTHCHECK`.

use std::time::Duration;

use super::instruction::Healthcheck;
use super::read::Reader;
use super::span::{Problem, Word};
use super::words::missing;

/// Its flags.
pub(super) const FLAGS: [&str; 5] = [
    "interval",
    "timeout",
    "start-period",
    "start-interval",
    "retries",
];

/// Reads the instruction.
///
/// # Errors
/// Neither `CMD` nor `NONE`, no command, a duration or a number that is none.
pub(super) fn read(
    reader: &Reader<'_>,
    problems: &mut Vec<Problem>,
) -> Result<Healthcheck, Vec<Problem>> {
    let what = "`HEALTHCHECK CMD command` or `HEALTHCHECK NONE`";
    let line = reader.line;
    let text = line.text.get(reader.rest.clone()).unwrap_or_default();
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let keyword = line.word(reader.rest.start..reader.rest.start + end);
    let rest = text.get(end..).unwrap_or_default();
    let start = reader.rest.end - rest.trim_start().len();
    let part = start..reader.rest.end;
    match keyword.text.to_ascii_uppercase().as_str() {
        "" => Err(vec![missing(line, &reader.rest, "HEALTHCHECK", what)]),
        "NONE" if !part.is_empty() => {
            let problem = Problem::new(line.span(part), "`HEALTHCHECK NONE` has no arguments");
            Err(vec![problem])
        }
        "NONE" => Ok(Healthcheck {
            test: vec!["NONE".to_owned()],
            ..Healthcheck::default()
        }),
        "CMD" => {
            let command = reader.command(part.clone())?;
            if part.is_empty() || command.words.is_empty() {
                let problem = Problem::new(keyword.at, "`HEALTHCHECK CMD` has no command");
                return Err(vec![problem]);
            }
            let mut test = vec![if command.is_shell { "CMD-SHELL" } else { "CMD" }.to_owned()];
            test.extend(command.words);
            let mut period = |name: &str| {
                let word = reader.flag_word(name, problems);
                word.and_then(|word| match period(name, &word) {
                    Ok(period) => Some(period),
                    Err(problem) => {
                        problems.push(problem);
                        None
                    }
                })
                .unwrap_or_default()
            };
            Ok(Healthcheck {
                test,
                interval: period("interval"),
                timeout: period("timeout"),
                start_period: period("start-period"),
                start_interval: period("start-interval"),
                retries: retries(reader, problems),
            })
        }
        _ => {
            let message = format!("`{}` is no kind of health check", keyword.text);
            let problem = Problem::new(keyword.at, message).expected(what);
            Err(vec![problem.did_you_mean(&keyword.text, &["CMD", "NONE"])])
        }
    }
}

fn retries(reader: &Reader<'_>, problems: &mut Vec<Problem>) -> u32 {
    let Some(word) = reader.flag_word("retries", problems) else {
        return 0;
    };
    let number = word.text.parse::<i32>().ok();
    if let Some(number) = number.and_then(|number| u32::try_from(number).ok()) {
        return number;
    }
    let message = format!("`{}` cannot be the value of `--retries`", word.text);
    problems.push(Problem::new(word.at, message).expected("a whole number, 0 or more"));
    0
}

fn period(name: &str, word: &Word) -> Result<Duration, Problem> {
    let fail = |what: &str| {
        let message = format!("`{}` cannot be the value of `--{name}`", word.text);
        Problem::new(word.at, message).expected(what)
    };
    let period = go_duration(&word.text).ok_or_else(|| fail("a duration: `30s`, `1m30s`"))?;
    if !period.is_zero() && period < Duration::from_millis(1) {
        return Err(fail("0, or at least `1ms`"));
    }
    Ok(period)
}

/// A duration that is not negative, as Go's `time.ParseDuration` reads it.
fn go_duration(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0_f64;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at_checked(end)?;
        let number: f64 = number.parse().ok()?;
        let end = behind
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(behind.len());
        let (unit, behind) = behind.split_at_checked(end)?;
        let unit = match unit {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 6e10,
            "h" => 3.6e12,
            _ => return None,
        };
        total += number * unit;
        rest = behind;
    }
    // What Go can hold: 63 bits of nanoseconds.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative and in range"
    )]
    (total < 9.2e18).then(|| Duration::from_nanos(total.round() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go() {
        for (text, expected) in [
            ("30s", Some(30_000)),
            ("1m30s", Some(90_000)),
            ("1.5h", Some(5_400_000)),
            ("100ms", Some(100)),
            ("0", Some(0)),
            ("+1s", Some(1000)),
            ("", None),
            ("5", None),
            ("-1s", None),
            ("1d", None),
            ("s", None),
            ("9999999999h", None),
        ] {
            assert_eq!(
                go_duration(text),
                expected.map(Duration::from_millis),
                "{text}"
            );
        }
    }
}
