//! `probe`, for health checks, and `wget`.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::http::{self, Url};
use super::{Outcome, names, option, time};

/// Time for everything together, unless given.
const LIMIT: Duration = Duration::from_secs(10);

/// `probe [--timeout TIME] URL`: code 0 where an http URL is answered with a
/// status of 200 to 299, or a `tcp://host:port` accepts a connection.
pub(super) fn probe(arguments: &[String]) -> Outcome {
    let mut limit = LIMIT;
    let mut url = None;
    let mut rest = arguments.iter();
    while !rest.as_slice().is_empty() {
        if let Some(value) = option("--timeout", &mut rest) {
            limit = time::parse_duration(value?)?;
        } else {
            url = rest.next();
        }
    }
    let text = url.ok_or("usage: probe [--timeout TIME] URL")?;
    let url = Url::parse(text)?;
    if url.tcp_only {
        names::connect(&url.host, url.port, Instant::now() + limit)?;
        return Ok(0);
    }
    let answer = http::fetch("GET", &url, None, limit)?;
    if (200..300).contains(&answer.status) {
        Ok(0)
    } else {
        Err(format!("{text} answers {}", answer.status))
    }
}

/// `wget [-q] [-O -] URL`: the answer's body to standard output. The options
/// are those of the usual program and change nothing.
pub(super) fn wget(arguments: &[String]) -> Outcome {
    let text = arguments
        .iter()
        .find(|argument| !argument.starts_with('-'))
        .ok_or("usage: wget URL")?;
    let answer = http::fetch("GET", &Url::parse(text)?, None, LIMIT)?;
    let mut output = io::stdout().lock();
    output
        .write_all(&answer.body)
        .and_then(|()| output.flush())
        .map_err(|error| error.to_string())?;
    if (200..300).contains(&answer.status) {
        Ok(0)
    } else {
        Err(format!("{text} answers {}", answer.status))
    }
}
