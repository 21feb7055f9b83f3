//! What is built from several calls: detached mounts, descriptors over sockets.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::CWD;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// The most descriptors that one message can carry (`SCM_MAX_FD`).
pub const MAX_FDS: usize = 253;

/// One parameter of a file system to be mounted.
pub type Parameter<'a> = (&'a str, Option<&'a str>);

/// A file system that could not be made, with what the kernel said about it.
#[derive(Debug)]
pub struct FsError {
    /// The call's own error.
    pub errno: rustix::io::Errno,
    /// The kernel's words, where it had some.
    pub message: Option<String>,
}

/// A new file system as a mount that is attached nowhere yet
/// (fsopen, fsconfig, fsmount: Linux 5.2).
///
/// # Errors
/// What the kernel says about the type or the parameters.
pub fn detached_mount(
    kind: &str,
    parameters: &[Parameter<'_>],
    attributes: MountAttrFlags,
) -> Result<OwnedFd, FsError> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).map_err(|errno| FsError {
        errno,
        message: None,
    })?;
    configure(&context, parameters)
        .and_then(|()| fsconfig_create(&context))
        .and_then(|()| fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes))
        .map_err(|errno| FsError {
            errno,
            message: context_message(context.as_fd()),
        })
}

fn configure(context: &OwnedFd, parameters: &[Parameter<'_>]) -> rustix::io::Result<()> {
    for (key, value) in parameters {
        match value {
            Some(value) => fsconfig_set_string(context, *key, *value)?,
            None => fsconfig_set_flag(context, *key)?,
        }
    }
    Ok(())
}

/// The last error message of a file system context (Linux 5.2).
pub fn context_message(context: BorrowedFd<'_>) -> Option<String> {
    let mut last = None;
    let mut buffer = [0_u8; 512];
    while let Ok(length) = rustix::io::read(context, &mut buffer) {
        let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
        let text = text.trim_end();
        if let Some(error) = text.strip_prefix("e ") {
            last = Some(error.to_owned());
        }
    }
    last
}

/// Whether a clone of mounts takes those below the named one along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// The one mount.
    Single,
    /// All below it too.
    Recursive,
}

/// A detached copy of the mount at `path` below `directory` (`open_tree`, Linux
/// 5.2). An empty path means what `directory` itself refers to.
///
/// # Errors
/// What the kernel says.
pub fn clone_mount(
    directory: BorrowedFd<'_>,
    path: &Path,
    depth: Depth,
) -> rustix::io::Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    if depth == Depth::Recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    open_tree(directory, path, flags)
}

/// As [`clone_mount`], by a path of the host.
///
/// # Errors
/// What the kernel says.
pub fn clone_host_mount(path: &Path, depth: Depth) -> rustix::io::Result<OwnedFd> {
    clone_mount(CWD, path, depth)
}

/// Attaches a detached mount to what `target` refers to (`move_mount`, Linux 5.2).
///
/// # Errors
/// `ENOTDIR` where one is a folder and the other is not.
pub fn attach_mount(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> rustix::io::Result<()> {
    move_mount(
        mount,
        "",
        target,
        "",
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH,
    )
}

/// The path by which a call that takes no descriptor reaches one, as long as
/// the process sees its own `/proc`.
pub fn descriptor_path(fd: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

/// Sends one message with at most [`MAX_FDS`] descriptors.
///
/// # Errors
/// What sendmsg(2) says; `EINVAL` for too many descriptors.
pub fn send_with_fds(
    socket: BorrowedFd<'_>,
    message: &[u8],
    fds: &[BorrowedFd<'_>],
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(rustix::io::Errno::INVAL.into());
    }
    let sent = rustix::io::retry_on_intr(|| {
        sendmsg(
            socket,
            &[IoSlice::new(message)],
            &mut control,
            SendFlags::NOSIGNAL,
        )
    })?;
    Ok(sent)
}

/// Receives one message and its descriptors, close-on-exec. Length 0 is the
/// end of the connection.
///
/// # Errors
/// What recvmsg(2) says.
pub fn recv_with_fds(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    flags: RecvFlags,
) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let mut slices = [IoSliceMut::new(buffer)];
        match recvmsg(
            socket,
            &mut slices,
            &mut control,
            flags | RecvFlags::CMSG_CLOEXEC,
        ) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other?,
        }
    };
    let fds = control
        .drain()
        .filter_map(|message| {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                Some(fds)
            } else {
                None
            }
        })
        .flatten()
        .collect();
    Ok((received.bytes, fds))
}
