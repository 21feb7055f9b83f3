//! Standard streams of a container.
//!
//! Output goes into FIFOs that the container has open for reading *and*
//! writing: as long as it lives it is its own reader, so that a dead
//! supervisor never costs it a SIGPIPE, and being files they can be opened
//! anew when every one of our processes died.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use fs_err as fs;
use rustix::fs::{CWD, FileType, Mode, OFlags};

use super::link::Link;
use crate::supervise::launch::LaunchSpec;
use crate::supervise::logs::pump::Sources;

/// FIFOs in the spool folder.
const OUTPUT: &str = "out";
const ERRORS: &str = "err";
const TERMINAL: &str = "tty";
/// Below a container's name, what the keeper holds of its streams.
const INPUT_KEY: &str = "in";
const MASTER_KEY: &str = "master";

/// What a container is started with.
#[derive(Debug)]
pub(super) struct Streams {
    /// For the child; `None` where it makes a terminal.
    pub(super) stdio: Option<[OwnedFd; 3]>,
    /// What its output is read from; `None` for a terminal, whose master comes
    /// later, and where the caller reads it.
    pub(super) sources: Option<Sources>,
    /// The writing end of its standard input, where it is kept open.
    pub(super) input: Option<OwnedFd>,
}

/// Makes a container's streams; those of an earlier run are gone afterwards.
pub(super) fn make(
    launch: &LaunchSpec,
    spool: &Path,
    given: Option<[OwnedFd; 3]>,
) -> io::Result<Streams> {
    fs::create_dir_all(spool)?;
    if launch.tty {
        make_fifo(spool, TERMINAL)?;
        return Ok(Streams {
            stdio: None,
            sources: None,
            input: None,
        });
    }
    if let Some(given) = given {
        return Ok(Streams {
            stdio: Some(given),
            sources: None,
            input: None,
        });
    }
    let (stdin, input) = if launch.open_stdin {
        let (reader, writer) = io::pipe()?;
        (OwnedFd::from(reader), Some(OwnedFd::from(writer)))
    } else {
        (open("/dev/null".as_ref(), OFlags::RDONLY)?, None)
    };
    make_fifo(spool, OUTPUT)?;
    make_fifo(spool, ERRORS)?;
    let stdio = [
        stdin,
        open(&spool.join(OUTPUT), OFlags::RDWR)?,
        open(&spool.join(ERRORS), OFlags::RDWR)?,
    ];
    let sources = Some(Sources::Pipes([
        reader(spool, OUTPUT)?,
        reader(spool, ERRORS)?,
    ]));
    Ok(Streams {
        stdio: Some(stdio),
        sources,
        input,
    })
}

/// Sources of a container whose terminal has this master.
pub(super) fn terminal(spool: &Path, master: OwnedFd) -> io::Result<Sources> {
    rustix::io::ioctl_fionbio(&master, true)?;
    let pipe = open(&spool.join(TERMINAL), OFlags::RDWR | OFlags::NONBLOCK)?;
    Ok(Sources::Terminal { master, pipe })
}

/// Has the keeper hold what cannot be made again, or whose content would be
/// lost with its last descriptor.
pub(super) fn hold(link: &Link, key: &str, sources: &Sources) -> io::Result<()> {
    match sources {
        Sources::Pipes([out, err]) => {
            link.hold(&format!("{key}/{OUTPUT}"), out.try_clone()?)?;
            link.hold(&format!("{key}/{ERRORS}"), err.try_clone()?)?;
        }
        Sources::Terminal { master, pipe } => {
            link.hold(&format!("{key}/{MASTER_KEY}"), master.try_clone()?)?;
            link.hold(&format!("{key}/{TERMINAL}"), pipe.try_clone()?)?;
        }
    }
    Ok(())
}

/// Has the keeper hold the writing end of a container's standard input.
pub(super) fn hold_input(link: &Link, key: &str, input: OwnedFd) -> io::Result<()> {
    link.hold(&format!("{key}/{INPUT_KEY}"), input)?;
    Ok(())
}

/// Sources of a container that runs already, from what the keeper held, or
/// from the FIFOs on disk; `None` where its output never came this way.
pub(super) fn inherited(
    launch: &LaunchSpec,
    spool: &Path,
    mut held: impl FnMut(&str) -> Option<OwnedFd>,
) -> io::Result<Option<Sources>> {
    if launch.tty {
        let Some(master) = held(MASTER_KEY) else {
            return Ok(None);
        };
        return match held(TERMINAL) {
            Some(pipe) => Ok(Some(Sources::Terminal { master, pipe })),
            None => terminal(spool, master).map(Some),
        };
    }
    let mut source = |name: &str| match held(name) {
        Some(fd) => Ok(Some(fd)),
        None if spool.join(name).exists() => reader(spool, name).map(Some),
        None => Ok(None),
    };
    match (source(OUTPUT)?, source(ERRORS)?) {
        (Some(out), Some(err)) => Ok(Some(Sources::Pipes([out, err]))),
        _ => Ok(None),
    }
}

/// What an attached client writes to: a terminal's master or the writing end
/// of the standard input.
pub(super) fn input_keys(key: &str) -> [String; 2] {
    [format!("{key}/{MASTER_KEY}"), format!("{key}/{INPUT_KEY}")]
}

/// The name of a terminal's master.
pub(super) fn master_key(key: &str) -> String {
    format!("{key}/{MASTER_KEY}")
}

fn make_fifo(folder: &Path, name: &str) -> io::Result<()> {
    let path = folder.join(name);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
    Ok(())
}

/// The end that we read from: not blocking, whoever writes or not.
fn reader(folder: &Path, name: &str) -> io::Result<OwnedFd> {
    open(&folder.join(name), OFlags::RDONLY | OFlags::NONBLOCK)
}

fn open(path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(
        path,
        flags | OFlags::CLOEXEC,
        Mode::empty(),
    )?)
}
