//! Users and groups by name, from the container's own files: passwd(5),
//! group(5). The rules are Docker's.

use std::io::{self, Read};
use std::os::fd::OwnedFd;

use oci_spec::runtime;
use rustix::fs::{FileType, OFlags};
use rustix::process::{Gid, Uid};

use super::error::{Step, StepResult, plain};
use crate::engine::inroot::Root;
use crate::engine::spec::{FIND_GROUP, FIND_USER};

/// The highest id that Docker takes.
const ID_LIMIT: u32 = i32::MAX as u32;

/// Who a program runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// User id.
    pub(crate) uid: u32,
    /// Primary group id.
    pub(crate) gid: u32,
    /// Supplementary groups, the primary one first.
    pub(crate) groups: Vec<u32>,
    /// Home folder; `/` where nobody knows one.
    pub(crate) home: String,
}

/// The container's passwd and group files; an absent one is empty.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    users: Vec<User>,
    groups: Vec<Group>,
}

#[derive(Debug)]
struct User {
    name: String,
    uid: u32,
    gid: u32,
    home: String,
}

#[derive(Debug)]
struct Group {
    name: String,
    gid: u32,
    members: Vec<String>,
}

impl Accounts {
    /// Reads both files.
    pub(crate) fn read(root: &Root) -> StepResult<Self> {
        Ok(Self::parse(
            &read_file(root, "/etc/passwd")?,
            &read_file(root, "/etc/group")?,
        ))
    }

    /// Lines that are not of the format are left out, as everybody does.
    pub(crate) fn parse(passwd: &str, group: &str) -> Self {
        Self {
            users: passwd.lines().filter_map(parse_user).collect(),
            groups: group.lines().filter_map(parse_group).collect(),
        }
    }

    /// `user[:group]` and further groups, each by name or number.
    pub(crate) fn identity(&self, user: &str, further: &[String]) -> StepResult<Identity> {
        let (user, group) = match user.split_once(':') {
            Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
            None => (user, None),
        };
        let user = if user.is_empty() { "0" } else { user };
        let number = parse_id(FIND_USER, user)?;
        let entry = self
            .users
            .iter()
            .find(|entry| entry.name == user || number == Some(entry.uid));
        let uid = entry
            .map(|entry| entry.uid)
            .or(number)
            .ok_or_else(|| missing(FIND_USER, user, "passwd"))?;
        let mut groups = Vec::new();
        let gid = if let Some(group) = group {
            self.group(group)?
        } else {
            // Membership counts only where no group was asked for.
            let name = entry.map_or(user, |entry| &entry.name);
            let member_of = self
                .groups
                .iter()
                .filter(|group| group.members.iter().any(|member| member == name));
            groups.extend(member_of.map(|group| group.gid));
            entry.map_or(0, |entry| entry.gid)
        };
        for name in further {
            groups.push(self.group(name)?);
        }
        groups.insert(0, gid);
        let mut unique = Vec::with_capacity(groups.len());
        for group in groups {
            if !unique.contains(&group) {
                unique.push(group);
            }
        }
        Ok(Identity {
            uid,
            gid,
            groups: unique,
            home: entry.map_or_else(|| "/".to_owned(), |entry| entry.home.clone()),
        })
    }

    /// The OCI spec's numbers; all zero means root with the groups that the
    /// container's files give it.
    pub(crate) fn of_process(
        &self,
        user: &runtime::User,
        further: &[String],
    ) -> StepResult<Identity> {
        let listed = user.additional_gids().as_deref().unwrap_or_default();
        if (user.uid(), user.gid()) == (0, 0) && listed.is_empty() {
            return self.identity("", further);
        }
        let mut groups = listed.to_vec();
        for name in further {
            groups.push(self.group(name)?);
        }
        Ok(Identity {
            uid: user.uid(),
            gid: user.gid(),
            groups,
            home: self.home(user.uid()),
        })
    }

    /// A user's number alone.
    pub(crate) fn user(&self, name: &str) -> StepResult<u32> {
        if let Some(number) = parse_id(FIND_USER, name)? {
            return Ok(number);
        }
        self.users
            .iter()
            .find(|entry| entry.name == name)
            .map(|entry| entry.uid)
            .ok_or_else(|| missing(FIND_USER, name, "passwd"))
    }

    /// A group's number.
    pub(crate) fn group(&self, name: &str) -> StepResult<u32> {
        if let Some(entry) = self.groups.iter().find(|entry| entry.name == name) {
            return Ok(entry.gid);
        }
        parse_id(FIND_GROUP, name)?.ok_or_else(|| missing(FIND_GROUP, name, "group"))
    }

    fn home(&self, uid: u32) -> String {
        self.users
            .iter()
            .find(|entry| entry.uid == uid)
            .map_or_else(|| "/".to_owned(), |entry| entry.home.clone())
    }
}

impl Identity {
    /// Becomes this user. Permitted capabilities are kept where the caller has
    /// asked for it; the effective ones are lost, unless the user is root.
    pub(super) fn assume(&self) -> StepResult<()> {
        let groups: Vec<Gid> = self.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
        rustix::thread::set_thread_groups(&groups).doing("set the groups")?;
        let gid = Gid::from_raw(self.gid);
        rustix::thread::set_thread_res_gid(gid, gid, gid).on("become the group", self.gid)?;
        let uid = Uid::from_raw(self.uid);
        rustix::thread::set_thread_res_uid(uid, uid, uid).on("become the user", self.uid)
    }
}

fn read_file(root: &Root, path: &str) -> StepResult<String> {
    match root.open_file(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY) {
        Ok(file) => read_regular(file).on("read", path),
        Err(errno) if errno == rustix::io::Errno::NOENT || errno == rustix::io::Errno::NOTDIR => {
            Ok(String::new())
        }
        Err(errno) => Err(errno).on("open", path),
    }
}

/// A device or FIFO of the image must not hold the start up.
fn read_regular(file: OwnedFd) -> io::Result<String> {
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode);
    let mut bytes = Vec::new();
    if kind == FileType::RegularFile {
        std::fs::File::from(file).read_to_end(&mut bytes)?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn parse_user(line: &str) -> Option<User> {
    let mut fields = line.trim().split(':');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    let home = fields.nth(1).unwrap_or_default();
    Some(User {
        name: name.to_owned(),
        uid,
        gid,
        home: if home.is_empty() { "/" } else { home }.to_owned(),
    })
}

fn parse_group(line: &str) -> Option<Group> {
    let mut fields = line.trim().split(':');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let gid = fields.nth(1)?.parse().ok()?;
    let members = fields
        .next()
        .unwrap_or_default()
        .split(',')
        .filter(|member| !member.is_empty())
        .map(str::to_owned)
        .collect();
    Some(Group {
        name: name.to_owned(),
        gid,
        members,
    })
}

/// A number where the text is one; too large a one is an error.
fn parse_id(step: &str, text: &str) -> StepResult<Option<u32>> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    text.parse()
        .ok()
        .filter(|number| *number <= ID_LIMIT)
        .map(Some)
        .ok_or_else(|| plain(step, text, format!("ids are in the range 0-{ID_LIMIT}")))
}

fn missing(step: &str, name: &str, file: &str) -> crate::engine::spec::InitError {
    plain(
        step,
        name,
        format!("the container's /etc/{file} has no such entry"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nbroken\napp:x:1000:1001:App:/srv/app:/bin/sh\nnohome:x:5:5::\n";
    const GROUP: &str = "root:x:0:\nwheel:x:10:root,app\napp:x:1001:\n7:x:99:\n";

    fn identity(user: &str, further: &[&str]) -> Result<Identity, String> {
        let further: Vec<String> = further.iter().map(|&one| one.to_owned()).collect();
        Accounts::parse(PASSWD, GROUP)
            .identity(user, &further)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn identity_of_every_form_is_resolved_as_docker_does() {
        type Resolved = (u32, u32, &'static [u32], &'static str);
        let table: &[(&str, &[&str], Resolved)] = &[
            ("", &[], (0, 0, &[0, 10], "/root")),
            ("root", &[], (0, 0, &[0, 10], "/root")),
            ("app", &[], (1000, 1001, &[1001, 10], "/srv/app")),
            ("1000", &[], (1000, 1001, &[1001, 10], "/srv/app")),
            ("app:", &[], (1000, 1001, &[1001, 10], "/srv/app")),
            ("app:wheel", &[], (1000, 10, &[10], "/srv/app")),
            (
                "app:77",
                &["wheel", "78", "77"],
                (1000, 77, &[77, 10, 78], "/srv/app"),
            ),
            ("4711", &[], (4711, 0, &[0], "/")),
            (":wheel", &[], (0, 10, &[10], "/root")),
            ("nohome", &[], (5, 5, &[5], "/")),
            ("0:7", &[], (0, 99, &[99], "/root")),
        ];
        for (user, further, (uid, gid, groups, home)) in table {
            let expected = Identity {
                uid: *uid,
                gid: *gid,
                groups: groups.to_vec(),
                home: (*home).to_owned(),
            };
            assert_eq!(identity(user, further), Ok(expected), "user `{user}`");
        }
    }

    #[test]
    fn identity_of_an_unknown_name_is_an_error_with_the_name() {
        assert_eq!(
            identity("nobody", &[]),
            Err(
                "cannot find the user `nobody`: the container's /etc/passwd has no such entry"
                    .to_owned()
            )
        );
        assert_eq!(
            identity("app:staff", &[]),
            Err(
                "cannot find the group `staff`: the container's /etc/group has no such entry"
                    .to_owned()
            )
        );
        assert!(identity("root", &["staff"]).is_err());
        assert!(identity("4294967295", &[]).is_err());
        assert!(identity("99999999999", &[]).is_err());
    }
}
