//! Where a container has its mounts: paths below its root.

use super::Mount;

/// A path of a container without doubled slashes, `.` and `..` parts and slashes at its end.
pub(crate) fn clean_target(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let clean = parts.join("/");
    if path.starts_with('/') {
        format!("/{clean}")
    } else {
        clean
    }
}

/// Why a mount has no place in the container, what is expected and what to do,
/// divided by `; `; `None` where it has one.
///
/// The loader takes any text, as the reference implementation does, whose engine
/// then refuses it.
pub(crate) fn misplaced_mount(mount: &Mount) -> Option<String> {
    let wrong = misplaced(&mount.target)?;
    let source = mount.source.as_deref();
    if let Some(text) = drive(&mount.target, source) {
        return Some(text);
    }
    let target = &mount.target;
    let help = match source {
        Some(_) if !target.trim_matches(['/', '.']).is_empty() => {
            format!("write the target as `/{}`", clean_target(target))
        }
        Some(_) => "name a folder, such as `/data`".to_owned(),
        None => alone(target),
    };
    Some(format!("{wrong}; {help}"))
}

/// The same of an entry of `tmpfs`, `TARGET[:OPTIONS]`.
pub(crate) fn misplaced_tmpfs(text: &str) -> Option<String> {
    let target = text.split_once(':').map_or(text, |(target, _)| target);
    let wrong = misplaced(target)?;
    let clean = clean_target(target);
    let help = match clean.trim_matches(['/', '.']) {
        "" => "name a folder, such as `/tmp`".to_owned(),
        _ => format!("write `/{clean}`"),
    };
    Some(format!("{wrong}; {help}"))
}

fn misplaced(target: &str) -> Option<String> {
    let is_below_root = target.starts_with('/') && clean_target(target) != "/";
    (!is_below_root).then(|| {
        format!(
            "`{target}` is not an absolute path below `/`; expected a place in the container, \
             such as `/data`"
        )
    })
}

/// What to do about a mount that is one text without a colon.
fn alone(target: &str) -> String {
    let options: Vec<_> = target
        .split(',')
        .filter_map(|part| part.split_once('='))
        .collect();
    if target.starts_with('/') {
        "name a folder, such as `/data`".to_owned()
    } else if options.is_empty() {
        format!("write what is mounted, a colon and the place: `{target}:/data`")
    } else {
        let lines = options.iter();
        let lines: Vec<String> = lines
            .map(|(key, value)| format!("{key}: {value}"))
            .collect();
        format!(
            "the options of `docker run --mount` are a mapping here: `- {{{}}}`",
            lines.join(", ")
        )
    }
}

/// The short syntax takes a single letter before a colon for a Windows drive, as the
/// reference implementation does.
fn drive(target: &str, source: Option<&str>) -> Option<String> {
    let is_drive = |part: &str| {
        part.len() == 2
            && part.ends_with(':')
            && part.starts_with(|c: char| c.is_ascii_alphabetic())
    };
    let texts = std::iter::once(target).chain(source);
    let mut parts = texts.flat_map(|text| text.split('/'));
    parts.any(is_drive).then(|| {
        format!(
            "`{}` is read as a path on a Windows drive, because one letter stands before the colon; \
             give the volume a longer name, or write the mount with `type`, `source` and `target`",
            source.unwrap_or(target)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help(source: Option<&str>, target: &str) -> Option<String> {
        let mount = Mount {
            source: source.map(str::to_owned),
            target: target.to_owned(),
            ..Mount::default()
        };
        let text = misplaced_mount(&mount)?;
        Some(text.rsplit("; ").next().unwrap_or_default().to_owned())
    }

    #[test]
    fn what_is_below_the_root_has_a_place() {
        for target in ["/data", "/a/../b", "//x//"] {
            assert_eq!(help(None, target), None);
            assert_eq!(misplaced_tmpfs(&format!("{target}:size=1m")), None);
        }
    }

    #[test]
    fn each_wrong_place_has_its_help() {
        let cases = [
            (
                None,
                "data",
                "write what is mounted, a colon and the place: `data:/data`",
            ),
            (
                None,
                "./src",
                "write what is mounted, a colon and the place: `./src:/data`",
            ),
            (
                None,
                "type=bind,source=.,target=/x",
                "the options of `docker run --mount` are a mapping here: \
                 `- {type: bind, source: ., target: /x}`",
            ),
            (Some("data"), "var//lib/", "write the target as `/var/lib`"),
            (Some("data"), "/", "name a folder, such as `/data`"),
            (None, "/..", "name a folder, such as `/data`"),
            (
                Some("/p/v:/vro"),
                "ro",
                "give the volume a longer name, or write the mount with `type`, `source` and `target`",
            ),
        ];
        for (source, target, expected) in cases {
            assert_eq!(help(source, target).as_deref(), Some(expected), "{target}");
        }
        let tmpfs = misplaced_tmpfs("tmp/:size=1m").unwrap_or_default();
        assert!(tmpfs.ends_with("; write `/tmp`"), "{tmpfs}");
        let tmpfs = misplaced_tmpfs("/").unwrap_or_default();
        assert!(
            tmpfs.ends_with("; name a folder, such as `/tmp`"),
            "{tmpfs}"
        );
    }
}
