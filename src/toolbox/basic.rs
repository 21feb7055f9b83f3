//! Applets that only print, read or write.

use std::fmt::Write as _;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};

use fs_err as fs;

use super::{Outcome, option, print, signals, time};

/// `echo [-n] WORD…`
pub(super) fn echo(arguments: &[String]) -> Outcome {
    let (end, words) = match arguments {
        [first, words @ ..] if first == "-n" => ("", words),
        words => ("\n", words),
    };
    print(&(words.join(" ") + end))?;
    Ok(0)
}

/// `true`
#[expect(clippy::unnecessary_wraps, reason = "the type of every applet")]
pub(super) fn yes(_: &[String]) -> Outcome {
    Ok(0)
}

/// `false`
#[expect(clippy::unnecessary_wraps, reason = "the type of every applet")]
pub(super) fn no(_: &[String]) -> Outcome {
    Ok(1)
}

/// `exit CODE`
pub(super) fn exit(arguments: &[String]) -> Outcome {
    match arguments {
        [code] => code
            .parse()
            .map_err(|_| format!("`{code}` is no exit code (0 to 255)")),
        _ => Err("usage: exit CODE".to_owned()),
    }
}

/// `cat [FILE…]`; `-` or nothing is standard input.
pub(super) fn cat(arguments: &[String]) -> Outcome {
    let mut output = io::stdout().lock();
    let input = ["-".to_owned()];
    let files = if arguments.is_empty() {
        input.as_slice()
    } else {
        arguments
    };
    for file in files {
        let copied = if file == "-" {
            io::copy(&mut io::stdin().lock(), &mut output)
        } else {
            fs::File::open(file).and_then(|mut file| io::copy(&mut file, &mut output))
        };
        copied.map_err(|error| error.to_string())?;
    }
    output.flush().map_err(|error| error.to_string())?;
    Ok(0)
}

/// `env [NAME…]`: all variables as lines, or the values of some.
pub(super) fn env(arguments: &[String]) -> Outcome {
    let all = crate::env::all();
    let mut text = String::new();
    let mut missing = 0;
    for name in arguments {
        match all.iter().find(|(key, _)| key == name) {
            Some((_, value)) => text = text + value + "\n",
            None => missing = 1,
        }
    }
    if arguments.is_empty() {
        for (key, value) in all {
            text = text + &key + "=" + &value + "\n";
        }
    }
    print(&text)?;
    Ok(missing)
}

/// `hostname`
pub(super) fn hostname(_: &[String]) -> Outcome {
    print(&format!("{}\n", own_name()))?;
    Ok(0)
}

/// This machine's name, as uname(2) has it.
pub(super) fn own_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

/// `id [-u|-g|-G]`
pub(super) fn id(arguments: &[String]) -> Outcome {
    let uid = rustix::process::geteuid().as_raw();
    let gid = rustix::process::getegid().as_raw();
    let groups = rustix::process::getgroups().map_err(|errno| errno.to_string())?;
    let mut groups: Vec<u32> = groups
        .into_iter()
        .map(rustix::process::Gid::as_raw)
        .collect();
    if !groups.contains(&gid) {
        groups.insert(0, gid);
    }
    let numbers = |groups: &[u32]| {
        let words: Vec<_> = groups.iter().map(u32::to_string).collect();
        words.join(" ")
    };
    let text = match arguments.first().map(String::as_str) {
        Some("-u") => uid.to_string(),
        Some("-g") => gid.to_string(),
        Some("-G") => numbers(&groups),
        Some(other) => return Err(format!("unknown option `{other}`")),
        None => {
            let named = |file: &str, id: u32| match name_of(file, id) {
                Some(name) => format!("{id}({name})"),
                None => id.to_string(),
            };
            let groups: Vec<_> = groups.iter().map(|id| named("/etc/group", *id)).collect();
            format!(
                "uid={} gid={} groups={}",
                named("/etc/passwd", uid),
                named("/etc/group", gid),
                groups.join(",")
            )
        }
    };
    print(&(text + "\n"))?;
    Ok(0)
}

/// The name that a passwd or group file gives to a number.
fn name_of(file: &str, id: u32) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    })
}

/// `ls [-a] [-l] [PATH…]`: one name a line.
pub(super) fn ls(arguments: &[String]) -> Outcome {
    let (options, paths): (Vec<_>, Vec<_>) = arguments
        .iter()
        .partition(|argument| argument.len() > 1 && argument.starts_with('-'));
    let letters: String = options
        .iter()
        .flat_map(|option| option.chars().skip(1))
        .collect();
    if let Some(other) = letters.chars().find(|letter| !"al1".contains(*letter)) {
        return Err(format!("unknown option `-{other}`"));
    }
    let current = ".".to_owned();
    let paths = if paths.is_empty() {
        vec![&current]
    } else {
        paths
    };
    let mut text = String::new();
    for path in paths {
        let attributes = fs::symlink_metadata(path).map_err(|error| error.to_string())?;
        let mut names = vec![path.clone()];
        let mut prefix = String::new();
        if attributes.is_dir() {
            names = entries(path, letters.contains('a')).map_err(|error| error.to_string())?;
            prefix = format!("{path}/");
        }
        for name in names {
            if letters.contains('l') {
                text += &long(&format!("{prefix}{name}"));
            }
            text = text + &name + "\n";
        }
    }
    print(&text)?;
    Ok(0)
}

fn entries(path: &str, hidden: bool) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if hidden || !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Type and mode, owner, group and size, as `ls -l` begins a line.
fn long(path: &str) -> String {
    let Ok(attributes) = fs::symlink_metadata(path) else {
        return "? ".to_owned();
    };
    let kind = attributes.file_type();
    let letter = match () {
        () if kind.is_dir() => 'd',
        () if kind.is_symlink() => 'l',
        () if kind.is_char_device() => 'c',
        () if kind.is_block_device() => 'b',
        () if kind.is_fifo() => 'p',
        () if kind.is_socket() => 's',
        () => '-',
    };
    let mode = attributes.permissions().mode();
    let mut text = String::from(letter);
    for (bit, letter) in (0..9).rev().zip("rwxrwxrwx".chars()) {
        text.push(if mode >> bit & 1 == 1 { letter } else { '-' });
    }
    let (owner, group, size) = (attributes.uid(), attributes.gid(), attributes.size());
    // Writing into a String cannot fail.
    write!(text, " {owner} {group} {size} ").ok();
    text
}

/// `write [-a] FILE TEXT…`: the text and a newline; `-a` adds to the file.
pub(super) fn write(arguments: &[String]) -> Outcome {
    let (append, rest) = match arguments {
        [first, rest @ ..] if first == "-a" => (true, rest),
        rest => (false, rest),
    };
    let [file, words @ ..] = rest else {
        return Err("usage: write [-a] FILE TEXT".to_owned());
    };
    fs::OpenOptions::new()
        .create(true)
        .append(append)
        .write(true)
        .truncate(!append)
        .open(file)
        .and_then(|mut file| file.write_all((words.join(" ") + "\n").as_bytes()))
        .map_err(|error| error.to_string())?;
    Ok(0)
}

/// `count [N] [--interval TIME] [--prefix TEXT] [--pad BYTES] [--stderr]`:
/// numbered lines from 1, for ever without N, as fast as it can without an
/// interval. SIGTERM ends it with code 0.
pub(super) fn count(arguments: &[String]) -> Outcome {
    let mut count = Counting::parse(arguments)?;
    signals::until_terminated(move || count.run().map_err(|error| error.to_string()))
}

struct Counting {
    last: u64,
    interval: Option<std::time::Duration>,
    prefix: String,
    pad: usize,
    output: Box<dyn Write + Send>,
}

impl Counting {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut counting = Self {
            last: u64::MAX,
            interval: None,
            prefix: String::new(),
            pad: 0,
            output: Box::new(io::stdout()),
        };
        let number = |text: &str| text.parse().map_err(|_| format!("`{text}` is no number"));
        let mut rest = arguments.iter();
        while !rest.as_slice().is_empty() {
            if let Some(value) = option("--interval", &mut rest) {
                counting.interval = Some(time::parse_duration(value?)?);
            } else if let Some(value) = option("--prefix", &mut rest) {
                value?.clone_into(&mut counting.prefix);
            } else if let Some(value) = option("--pad", &mut rest) {
                counting.pad = usize::try_from(number(value?)?).unwrap_or(0);
            } else if let Some(argument) = rest.next() {
                match argument.as_str() {
                    "--stderr" => counting.output = Box::new(io::stderr()),
                    text => counting.last = number(text)?,
                }
            }
        }
        Ok(counting)
    }

    fn run(&mut self) -> io::Result<u8> {
        let mut output = BufWriter::with_capacity(1 << 16, &mut self.output);
        let padding = "x".repeat(self.pad);
        for number in 1..=self.last {
            writeln!(output, "{}{number}{padding}", self.prefix)?;
            if let Some(interval) = self.interval {
                output.flush()?;
                time::pause(interval);
            }
        }
        output.flush()?;
        Ok(0)
    }
}

/// Reads a whole file, for applets that show one.
pub(super) fn read(path: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}
