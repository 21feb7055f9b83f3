//! `skiff logs`.

use std::io::{self, BufWriter, Write};

use clap::Args;
use jiff::Timestamp;

use crate::cli::context::Context;
use crate::cli::describe::short_name;
use crate::cli::error::{CliError, CliResult};
use crate::cli::signals::Interrupts;
use crate::cli::{runtime, when};
use crate::supervise::inspect::ContainerView;
use crate::supervise::logs::project::{ProjectLogs, Wanted};
use crate::supervise::logs::reader::{LogItem, ReadOptions};
use crate::supervise::record::ContainerRecord;
use crate::ui::logs::Prefixes;

/// Flags of `skiff logs`.
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Go on as output comes
    #[arg(short, long)]
    follow: bool,
    /// Lines from the end of each container's log, or `all`
    #[arg(short = 'n', long, default_value = "all", allow_hyphen_values = true)]
    tail: String,
    /// Since a time (2013-01-02T13:23:37Z) or for a span (42m)
    #[arg(long)]
    since: Option<String>,
    /// Until a time or for a span
    #[arg(long)]
    until: Option<String>,
    /// Show timestamps
    #[arg(short, long)]
    timestamps: bool,
    /// No colours in prefixes
    #[arg(long)]
    no_color: bool,
    /// No prefix before lines
    #[arg(long)]
    no_log_prefix: bool,
    /// Only the replica of this number
    #[arg(long)]
    index: Option<u32>,
    /// Only these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

/// Prints the output of a project's containers, all of it to standard output.
///
/// # Errors
/// No project can be told, a named service is unknown, or a log cannot be read.
pub fn run(context: &Context, args: &LogsArgs) -> CliResult {
    let target = context.target(&[])?;
    let mut views = context.containers(target.name())?;
    Context::check_services(&target, &views, &args.services)?;
    views.retain(|view| wanted(args, &view.record));
    let now = Timestamp::now();
    let time = |text: &Option<String>| {
        text.as_deref()
            .map(|text| when::parse(text, now))
            .transpose()
    };
    let options = ReadOptions {
        tail: parse_tail(&args.tail)?,
        since: time(&args.since)?,
        until: time(&args.until)?,
        follow: args.follow,
    };
    runtime::block_on(async {
        let mut interrupts = Interrupts::new()?;
        tokio::select! {
            printed = print(context, target.name(), args, &views, options) => printed,
            _ = interrupts.next() => Err(CliError::Interrupted),
        }
    })
}

fn wanted(args: &LogsArgs, record: &ContainerRecord) -> bool {
    let named = args.services.contains(&record.service);
    (args.services.is_empty() && !record.oneoff || named)
        && args
            .index
            .is_none_or(|index| index == record.number && !record.oneoff)
}

/// `all`, or a number of lines; Docker takes a negative one for all.
fn parse_tail(text: &str) -> Result<Option<usize>, CliError> {
    if text == "all" {
        return Ok(None);
    }
    let number: i64 = text
        .parse()
        .map_err(|_| CliError::new(format!("--tail takes a number or `all`, not `{text}`")))?;
    Ok(usize::try_from(number).ok())
}

async fn print(
    context: &Context,
    project: &str,
    args: &LogsArgs,
    views: &[ContainerView],
    options: ReadOptions,
) -> CliResult {
    let color = context.ui.color_out && !args.no_color;
    let names: Vec<String> = views
        .iter()
        .map(|view| short_name(project, &view.record.name))
        .collect();
    let mut prefixes = Prefixes::new(names, color, !args.no_log_prefix);
    let all = Wanted {
        lines: true,
        holds: true,
    };
    let mut logs = ProjectLogs::new(&context.layout, project, options, |record| {
        wanted(args, record).then_some(all)
    })?;
    for view in views {
        logs.add(&view.record, false)?;
    }
    if args.follow {
        logs.discover()?;
    }
    let mut out = BufWriter::new(io::stdout().lock());
    while let Some(item) = next(&mut logs, &mut out, args.follow).await? {
        let LogItem::Line(line) = item else { continue };
        let Some(speaker) = logs.speaker(line.source) else {
            continue;
        };
        let name = short_name(project, &speaker.name);
        out.write_all(prefixes.of(&name).as_bytes())?;
        if args.timestamps {
            write!(out, "{} ", line.time)?;
        }
        out.write_all(&line.text)?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
    Ok(())
}

/// The next item; what was printed is flushed before it is waited for.
async fn next(
    logs: &mut ProjectLogs<'_>,
    out: &mut impl Write,
    follow: bool,
) -> io::Result<Option<LogItem>> {
    if !follow {
        return logs.next().await;
    }
    let mut next = std::pin::pin!(logs.next());
    let ready = std::future::poll_fn(|cx| std::task::Poll::Ready(next.as_mut().poll(cx))).await;
    match ready {
        std::task::Poll::Ready(item) => item,
        std::task::Poll::Pending => {
            out.flush()?;
            next.await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tail_takes_a_number_or_all() {
        assert_eq!(parse_tail("all").unwrap(), None);
        assert_eq!(parse_tail("0").unwrap(), Some(0));
        assert_eq!(parse_tail("10").unwrap(), Some(10));
        assert_eq!(parse_tail("-1").unwrap(), None);
        assert!(parse_tail("many").is_err());
    }
}
