//! Standard streams and the terminal: pty(7), `tty_ioctl(4)`.

use std::os::fd::{AsFd, OwnedFd};

use oci_spec::runtime::Process;
use rustix::fs::{FileType, Mode, OFlags, fchown, fstat, fstatfs, major, minor};
use rustix::process::{Uid, ioctl_tiocsctty};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use rustix::termios::{Winsize, tcsetwinsize};

use super::error::{Step, StepResult, plain};
use crate::engine::inroot::Root;
use crate::engine::launch::{CONSOLE_MESSAGE, LaunchFds};
use crate::engine::sys::helpers;

/// statfs(2) of a devpts.
const DEVPTS_MAGIC: i64 = 0x1cd1;
/// /dev/null.
const NULL_DEVICE: (u32, u32) = (1, 3);

/// Puts the given pipes, or `/dev/null`s, in place of 0, 1 and 2.
pub(super) fn take_streams(stdio: &[OwnedFd; 3]) -> StepResult<()> {
    let [input, output, error] = stdio;
    use_as_streams(input, output, error)
}

/// Makes a pty in the container's devpts, sends its master to the parent, and
/// makes the other end the controlling terminal and the standard streams.
///
/// The session must be new. Returns the other end.
pub(super) fn open(root: &Root, process: &Process, fds: &LaunchFds) -> StepResult<OwnedFd> {
    let step = "open a terminal";
    let master = root
        .open_no_links("/dev/pts/ptmx", OFlags::RDWR | OFlags::NOCTTY)
        .on(step, "/dev/pts/ptmx")?;
    // The container may have put something else there.
    let status = fstat(&master).doing(step)?;
    let filesystem = fstatfs(&master).doing(step)?;
    if filesystem.f_type != DEVPTS_MAGIC || (major(status.st_rdev), minor(status.st_rdev)) != (5, 2)
    {
        return Err(plain(step, "/dev/pts/ptmx", "it is no pty multiplexer"));
    }
    unlockpt(&master).doing(step)?;
    let terminal = ioctl_tiocgptpeer(
        &master,
        OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC,
    )
    .doing(step)?;
    if let Some(size) = process.console_size() {
        let size = Winsize {
            ws_row: u16::try_from(size.height()).unwrap_or(u16::MAX),
            ws_col: u16::try_from(size.width()).unwrap_or(u16::MAX),
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&terminal, size).doing("set the terminal's size")?;
    }
    helpers::send_with_fds(fds.sync.as_fd(), CONSOLE_MESSAGE, &[master.as_fd()])
        .doing("hand over the terminal")?;
    ioctl_tiocsctty(&terminal).doing("take the controlling terminal")?;
    use_as_streams(&terminal, &terminal, &terminal)?;
    Ok(terminal)
}

/// Gives the streams to the program's user, so that `/dev/stdout` can be
/// opened anew. Files and devices of others stay theirs.
pub(super) fn give_streams(uid: u32, terminal: bool) -> StepResult<()> {
    for stream in [
        rustix::stdio::stdin(),
        rustix::stdio::stdout(),
        rustix::stdio::stderr(),
    ] {
        let status = fstat(stream).doing("look at a standard stream")?;
        let kind = FileType::from_raw_mode(status.st_mode);
        let device = (major(status.st_rdev), minor(status.st_rdev));
        let ours = kind == FileType::Fifo
            || (terminal && kind == FileType::CharacterDevice && device != NULL_DEVICE);
        if !ours || status.st_uid == uid {
            continue;
        }
        match fchown(stream, Some(Uid::from_raw(uid)), None) {
            // A pipe from a user namespace or a read-only mount: it then
            // cannot be opened anew, and that is all.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::PERM | rustix::io::Errno::ROFS) => {}
            other => other.doing("give a standard stream to the user")?,
        }
    }
    Ok(())
}

fn use_as_streams(input: &OwnedFd, output: &OwnedFd, error: &OwnedFd) -> StepResult<()> {
    dup2_stdin(input).doing("take the standard input")?;
    dup2_stdout(output).doing("take the standard output")?;
    dup2_stderr(error).doing("take the standard error")
}

/// `/dev/console` of a container with a terminal is that terminal.
pub(super) fn bind_console(root: &Root, terminal: &OwnedFd) -> StepResult<()> {
    let step = "mount";
    let console = "/dev/console";
    let target = root
        .make_file(console.as_ref(), Mode::RUSR | Mode::WUSR)
        .on(step, console)?;
    let mount = helpers::clone_mount(terminal.as_fd(), "".as_ref(), helpers::Depth::Single)
        .on(step, console)?;
    helpers::attach_mount(mount.as_fd(), target.as_fd()).on(step, console)
}
