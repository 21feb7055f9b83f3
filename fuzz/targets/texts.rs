//! The small languages: files of variables with the templates in their values,
//! command lines, ports and mounts.

#![no_main]

use indexmap::IndexMap;
use libfuzzer_sys::fuzz_target;
use skiff_fuzz::compose::{mount_flag, parse_env_file, port_flag, split_words};

fuzz_target!(|text: &str| {
    let outside: IndexMap<String, String> = [("SET", "value"), ("EMPTY", "")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    if let Ok(variables) = parse_env_file(text, &outside) {
        // A value in single quotes is taken as it stands.
        for (name, value) in &variables {
            if name.is_empty() || value.contains(['\'', '\\']) {
                continue;
            }
            let again = parse_env_file(&format!("X='{value}'"), &outside).expect("a quoted value");
            assert_eq!(again.get("X"), Some(value));
        }
    }
    if let Ok(words) = split_words(text) {
        // Words without anything special are split to themselves.
        let plain = |word: &String| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric())
        };
        if words.iter().all(plain) {
            assert_eq!(split_words(&words.join(" ")).as_ref(), Ok(&words));
        }
    }
    for port in port_flag(text).into_iter().flatten() {
        assert!(port.target > 0);
    }
    mount_flag(text, "/p".as_ref(), Some("/root")).ok();
});
