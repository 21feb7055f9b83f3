//! The user behind sudo: a Compose file's `~`, `$HOME` and `$USER` are theirs,
//! not root's, and so is Docker's configuration.

use std::path::PathBuf;

use fs_err as fs;

use crate::env;
pub use crate::image::Account;

/// The user who called sudo; `None` where nobody did. Those that `/etc/passwd`
/// does not list (LDAP, sssd) are known from what sudo says: sudo(8),
/// `SUDO_UID` and its like, with `SUDO_HOME` since 1.9.15.
pub fn invoking_user() -> Option<Account> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let uid: u32 = env::read_string(env::SUDO_UID)?.parse().ok()?;
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    parse_passwd(&passwd, uid).or_else(|| {
        Some(Account {
            name: env::read_string(env::SUDO_USER)?,
            uid,
            gid: env::read_string(env::SUDO_GID)?.parse().ok()?,
            home: env::read_path(env::SUDO_HOME),
        })
    })
}

/// What to tell where the caller's home cannot be found out.
pub fn unknown_home() -> Option<String> {
    let account = invoking_user().filter(|account| account.home.is_none())?;
    Some(format!(
        "the home folder of `{}` is not in /etc/passwd, so `~` and Docker's config.json are root's; \
         `sudo SUDO_HOME=$HOME skiff …` tells it",
        account.name
    ))
}

/// The environment for Compose files.
pub fn environment() -> Vec<(String, String)> {
    let mut all = env::all();
    if let Some(account) = invoking_user() {
        let home = account.home.map(|home| home.to_string_lossy().into_owned());
        for (name, value) in [
            ("HOME", home.as_deref()),
            ("USER", Some(account.name.as_str())),
            ("LOGNAME", Some(account.name.as_str())),
        ] {
            let Some(value) = value else { continue };
            match all.iter_mut().find(|(known, _)| known == name) {
                Some((_, old)) => value.clone_into(old),
                None => all.push((name.to_owned(), value.to_owned())),
            }
        }
    }
    all
}

/// Docker's configuration folder: `$DOCKER_CONFIG`, else `~/.docker` of the
/// user who called.
pub fn docker_config() -> Option<PathBuf> {
    env::read_path(env::DOCKER_CONFIG).or_else(|| {
        let home = invoking_user()
            .and_then(|account| account.home)
            .or_else(|| env::read_path(env::HOME))?;
        Some(home.join(".docker"))
    })
}

/// The account of this number in the text of a passwd file (passwd(5)).
fn parse_passwd(text: &str, uid: u32) -> Option<Account> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        let number: u32 = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        let home = Some(PathBuf::from(fields.nth(1)?));
        (number == uid).then_some(Account {
            name,
            uid,
            gid,
            home,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_by_number() {
        let text = "root:x:0:0:root:/root:/bin/sh\n\
                    # odd line\n\
                    ada:x:1000:1001:Ada,,,:/home/ada:/bin/bash\n";
        let ada = parse_passwd(text, 1000).unwrap();
        assert_eq!(ada.name, "ada");
        assert_eq!(ada.gid, 1001);
        assert_eq!(ada.home, Some(PathBuf::from("/home/ada")));
        assert_eq!(parse_passwd(text, 1001), None);
    }
}
