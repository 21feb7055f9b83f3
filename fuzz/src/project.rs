//! Several files as one project: `=== NAME` begins a file, what comes before the
//! first such line is `compose.yaml`.

use crate::compose::{LoadOptions, Memory};

/// The files of a text, in `/p`.
pub fn files(text: &str) -> Memory {
    let mut files = Memory::new();
    for (index, part) in text.split("\n=== ").enumerate() {
        let (name, text) = match index {
            0 => ("compose.yaml", part),
            _ => part.split_once('\n').unwrap_or((part, "")),
        };
        if !name.is_empty() {
            files.insert(format!("/p/{name}"), text);
        }
    }
    files
}

/// What a load gets beside them.
pub fn options() -> LoadOptions {
    LoadOptions {
        cwd: "/p".into(),
        environment: [("HOME", "/root"), ("SET", "value"), ("EMPTY", "")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        ..LoadOptions::default()
    }
}
