//! Finding the program and executing it: execve(2). Messages and exit codes
//! are those that `docker run` gives.

use std::convert::Infallible;
use std::ffi::CString;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::unistd::{execve, execveat};
use rustix::fs::{Access, AtFlags, CWD, FileType, accessat, stat};

use super::error::{NOT_EXECUTABLE, NOT_FOUND, Step, StepResult, plain};
use crate::engine::spec::InitError;
use crate::engine::tiny_init;

/// A program ready to be executed: nothing is allocated any more.
#[derive(Debug)]
pub(super) struct Program {
    path: CString,
    shown: String,
    args: Vec<CString>,
    env: Vec<CString>,
    init: Option<OwnedFd>,
}

impl Program {
    /// Looks `args[0]` up in the environment's `PATH`, as the current user.
    pub(super) fn find(args: &[String], env: &[String], init: Option<OwnedFd>) -> StepResult<Self> {
        let Some(name) = args.first().filter(|name| !name.is_empty()) else {
            return Err(plain("start the program", "args", "no command specified"));
        };
        let path = if name.contains('/') {
            check_executable(name).map_err(|why| why.error(name))?;
            name.clone()
        } else {
            let folders = env
                .iter()
                .rev()
                .find_map(|entry| entry.strip_prefix("PATH="));
            look_up(name, folders.unwrap_or_default())?
        };
        let mut program = Self {
            path: c_string(&path)?,
            shown: name.clone(),
            args: args
                .iter()
                .map(|arg| c_string(arg))
                .collect::<Result<_, _>>()?,
            env: env
                .iter()
                .map(|entry| c_string(entry))
                .collect::<Result<_, _>>()?,
            init,
        };
        if program.init.is_some() {
            let before = [c_string(tiny_init::NAME)?, c_string("--")?];
            program.args.splice(0..0, before);
        }
        Ok(program)
    }

    /// Executes it.
    pub(super) fn execute(self) -> StepResult<Infallible> {
        let result = match &self.init {
            Some(init) => execveat(
                init,
                c"",
                &self.args,
                &self.env,
                nix::fcntl::AtFlags::AT_EMPTY_PATH,
            ),
            None => execve(&self.path, &self.args, &self.env),
        };
        result.map_err(|errno| {
            let missing = matches!(errno, Errno::ENOENT | Errno::ENOTDIR);
            failure(
                errno as i32,
                format!("exec {}: {}", self.shown, describe(errno as i32)),
                if missing { NOT_FOUND } else { NOT_EXECUTABLE },
            )
        })
    }
}

/// Why a path is no program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unfit {
    Missing(i32),
    Folder,
    NotPermitted(i32),
}

impl Unfit {
    fn error(self, name: &str) -> InitError {
        match self {
            Self::Missing(errno) => failure(
                errno,
                format!("exec: \"{name}\": stat {name}: {}", describe(errno)),
                NOT_FOUND,
            ),
            Self::Folder => failure(
                libc::EISDIR,
                format!("exec: \"{name}\": is a directory"),
                NOT_EXECUTABLE,
            ),
            Self::NotPermitted(errno) => failure(
                errno,
                format!("exec: \"{name}\": {}", describe(errno)),
                NOT_EXECUTABLE,
            ),
        }
    }
}

fn look_up(name: &str, folders: &str) -> StepResult<String> {
    for folder in folders.split(':') {
        let path = if folder.is_empty() {
            format!("./{name}")
        } else {
            format!("{folder}/{name}")
        };
        if check_executable(&path).is_ok() {
            return Ok(path);
        }
    }
    Err(failure(
        libc::ENOENT,
        format!("exec: \"{name}\": executable file not found in $PATH"),
        NOT_FOUND,
    ))
}

fn check_executable(path: &str) -> Result<(), Unfit> {
    let status = stat(path).map_err(|errno| match errno {
        rustix::io::Errno::ACCESS => Unfit::NotPermitted(libc::EACCES),
        other => Unfit::Missing(other.raw_os_error()),
    })?;
    if FileType::from_raw_mode(status.st_mode) == FileType::Directory {
        return Err(Unfit::Folder);
    }
    accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS)
        .map_err(|errno| Unfit::NotPermitted(errno.raw_os_error()))
}

/// The kernel's text for an errno, in Go's (and so Docker's) lower case.
fn describe(errno: i32) -> String {
    Errno::from_raw(errno).desc().to_lowercase()
}

fn failure(errno: i32, message: String, exit_code: i32) -> InitError {
    InitError {
        step: "start the program".to_owned(),
        object: None,
        errno,
        message: Some(message),
        exit_code,
    }
}

fn c_string(text: &str) -> StepResult<CString> {
    CString::new(text)
        .map_err(|_| std::io::Error::from_raw_os_error(libc::EINVAL))
        .on("pass a text with a NUL byte", text.escape_debug())
}
