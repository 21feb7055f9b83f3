//! Names of units: "String Escaping for Inclusion in Unit Names" of
//! systemd.unit(5).

/// The slice of all projects; an administrator may declare it, with limits.
pub const SLICE: &str = "skiff.slice";

const SUFFIX: &str = ".scope";

/// systemd's `UNIT_NAME_MAX`, without the zero at the end.
const LONGEST: usize = 255;

/// `skiff-<root id>-<project>.scope`, escaped; `None` where that is longer than
/// a unit's name may be.
pub fn scope_name(root_id: &str, project: &str) -> Option<String> {
    let name = format!("{}{}{SUFFIX}", prefix(root_id), escape(project));
    (name.len() <= LONGEST).then_some(name)
}

/// The project of a scope of this root; `None` for other names.
pub fn scope_project(root_id: &str, name: &str) -> Option<String> {
    let escaped = name.strip_prefix(&prefix(root_id))?.strip_suffix(SUFFIX)?;
    unescape(escaped)
}

fn prefix(root_id: &str) -> String {
    format!("skiff-{}-", escape(root_id))
}

/// What is no letter, digit, `:`, `_`, `.` or `-` becomes `\xNN`. The `-`
/// stays, as these names stand for no path; the rule for a first `.` does not
/// apply within a name.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b":_.-".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("\\x{byte:02x}"));
        }
    }
    escaped
}

fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\\x") {
        bytes.extend(before.as_bytes());
        bytes.push(u8::from_str_radix(after.get(..2)?, 16).ok()?);
        rest = after.get(2..)?;
    }
    bytes.extend(rest.as_bytes());
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_and_found_again() {
        for (project, name) in [
            ("shop", "skiff-0badcafe-shop.scope"),
            ("my-shop_2", "skiff-0badcafe-my-shop_2.scope"),
            ("a b/c", "skiff-0badcafe-a\\x20b\\x2fc.scope"),
            ("ü\\x", "skiff-0badcafe-\\xc3\\xbc\\x5cx.scope"),
        ] {
            assert_eq!(scope_name("0badcafe", project).as_deref(), Some(name));
            let found = scope_project("0badcafe", name);
            assert_eq!(found.as_deref(), Some(project), "{name}");
        }
        for name in [
            "skiff-00000000-shop.scope",
            "session-3.scope",
            "skiff-0badcafe-shop.service",
        ] {
            assert_eq!(scope_project("0badcafe", name), None, "{name}");
        }
    }

    #[test]
    fn a_name_has_an_end() {
        let fits = "x".repeat(LONGEST - "skiff-0badcafe-.scope".len());
        assert_eq!(
            scope_name("0badcafe", &fits).map(|name| name.len()),
            Some(LONGEST)
        );
        assert_eq!(scope_name("0badcafe", &format!("{fits}x")), None);
    }
}
