//! What a new process of a container does between clone and exec.
//!
//! It runs in a child of the single-threaded keeper, with a copy of the
//! keeper's memory, and never returns into the keeper's code. Each step is a
//! function of its own; a failed one is told to the parent as an
//! [`InitError`](super::spec::InitError) over `sync`, and the process ends.

mod container;
mod credentials;
pub(crate) mod error;
mod exec;
pub(crate) mod identity;
mod inherited;
pub(crate) mod namespaces;
mod program;
mod terminal;

use std::convert::Infallible;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use oci_spec::runtime::Process;
use rustix::fs::Mode;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use serde::de::DeserializeOwned;

use self::credentials::Credentials;
use self::error::{NOT_EXECUTABLE, NOT_FOUND, SETUP_FAILED, Step, StepResult, plain};
use self::identity::Identity;
use self::program::Program;
use super::launch::LaunchFds;
use super::spec::{ENTER_FOLDER, InitError};
use super::sys::{self, helpers};

/// Docker's umask.
const UMASK: u32 = 0o022;

/// The child of `spawn_container`. Returns only where set-up failed, with the
/// exit code.
pub(super) fn run_container(fds: &LaunchFds) -> i32 {
    guarded(fds, container::start)
}

/// The child of `spawn_exec`.
pub(super) fn run_exec(fds: &LaunchFds) -> i32 {
    guarded(fds, exec::start)
}

/// A panic must not unwind into the keeper's loop: this is the child.
fn guarded(fds: &LaunchFds, start: fn(&LaunchFds) -> StepResult<Infallible>) -> i32 {
    // The keeper's memory is not for a container's processes to read.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).ok();
    let result = catch_unwind(AssertUnwindSafe(|| {
        fds.close_others();
        start(fds)
    }));
    let error = match result {
        Ok(Ok(never)) => match never {},
        Ok(Err(error)) => error,
        Err(_panic) => InitError {
            step: "set up the container".to_owned(),
            object: None,
            errno: 0,
            message: Some("internal error: the set-up code panicked".to_owned()),
            exit_code: SETUP_FAILED,
        },
    };
    report(fds.sync.as_fd(), &error);
    error.exit_code
}

/// The last part, the same for process 1 and for an exec: user, working
/// directory, limits, privileges, program.
fn finish(
    process: &Process,
    identity: &Identity,
    credentials: &Credentials,
    terminal: bool,
    find: impl FnOnce(&[String]) -> StepResult<Program>,
) -> StepResult<Infallible> {
    terminal::give_streams(identity.uid, terminal)?;
    let mut env = process.env().clone().unwrap_or_default();
    // An empty one counts as missing, as runc has it.
    env.retain(|entry| entry != "HOME=");
    if !env.iter().any(|entry| entry.starts_with("HOME=")) {
        env.push(format!("HOME={}", identity.home));
    }
    inherited::apply_rlimits(process.rlimits().as_deref().unwrap_or_default())?;
    rustix::process::umask(Mode::from_raw_mode(process.user().umask().unwrap_or(UMASK)));
    sys::close_on_exec_from(3).doing("mark descriptors close-on-exec")?;
    // As root, which may enter what the user may not, and again as the user,
    // who may enter what root may not (a network file system).
    let entered = change_folder(process.cwd());
    let refused = matches!(&entered, Err(error) if error.errno == libc::EACCES);
    if !refused {
        entered?;
    }
    let mut program = None;
    credentials.assume(identity, || {
        if refused {
            change_folder(process.cwd())?;
        }
        program = Some(find(&env)?);
        Ok(())
    })?;
    match program {
        Some(program) => program.execute(),
        None => Err(plain("start the program", "args", "no command specified")),
    }
}

fn change_folder(folder: &Path) -> StepResult<()> {
    let step = ENTER_FOLDER;
    let folder = if folder.as_os_str().is_empty() {
        Path::new("/")
    } else {
        folder
    };
    rustix::process::chdir(folder)
        .on(step, folder.display())
        .map_err(|error| InitError {
            exit_code: if error.errno == libc::ENOENT {
                NOT_FOUND
            } else {
                NOT_EXECUTABLE
            },
            ..error
        })?;
    // A descriptor of the host's tree could lead there (CVE-2024-21626).
    let here = rustix::process::getcwd(Vec::new()).on(step, folder.display())?;
    if here.as_bytes().starts_with(b"/") {
        Ok(())
    } else {
        Err(plain(step, folder.display(), "it is outside the container"))
    }
}

/// Nobody is left to tell where this fails: the exit code says it.
fn report(sync: BorrowedFd<'_>, error: &InitError) {
    if let Ok(text) = serde_json::to_vec(error) {
        helpers::send_with_fds(sync, &text, &[]).ok();
    }
}

/// Reads the spec from its memfd, whatever the shared file offset is.
fn read_spec<T: DeserializeOwned>(memfd: BorrowedFd<'_>) -> StepResult<T> {
    let text = read_all(memfd).doing("read the spec")?;
    serde_json::from_slice(&text)
        .map_err(|error| plain("read the spec", "memfd", error.to_string()))
}

fn read_all(fd: BorrowedFd<'_>) -> std::io::Result<Vec<u8>> {
    let file = File::from(fd.try_clone_to_owned()?);
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}
