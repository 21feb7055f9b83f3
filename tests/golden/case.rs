//! The cases below `tests/golden`: a folder each. `case.json`, where there is one,
//! holds `files`, `profiles`, `services`, `env`, `env_files`, `project_name`,
//! `project_directory` and `all_resources`.

use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use skiff::compose::{Diagnostics, FileArg, Host, LoadOptions, Loaded, load};

/// The folder of a kind of cases: `ok`, `err`, `warn`, `refuse`.
pub(crate) fn root(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(kind)
}

/// The cases of a kind.
pub(crate) fn cases(kind: &str) -> Vec<PathBuf> {
    let mut cases: Vec<PathBuf> = fs_err::read_dir(root(kind))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    cases.sort();
    cases
}

/// What a case is loaded with.
pub(crate) fn options(case: &Path) -> LoadOptions {
    let description =
        fs_err::read_to_string(case.join("case.json")).unwrap_or_else(|_| "{}".to_owned());
    let description: Json = serde_json::from_str(&description).unwrap();
    let strings = |key: &str| -> Vec<String> {
        let list = description[key].as_array().cloned().unwrap_or_default();
        list.iter()
            .map(|item| item.as_str().unwrap().to_owned())
            .collect()
    };
    let text = |key: &str| description[key].as_str().map(str::to_owned);
    let mut environment: indexmap::IndexMap<String, String> = description["env"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned()))
        .collect();
    environment.insert("HOME".to_owned(), "/home/user".to_owned());
    LoadOptions {
        files: strings("files")
            .into_iter()
            .map(|f| FileArg::Path(f.into()))
            .collect(),
        project_name: text("project_name"),
        project_directory: text("project_directory").map(PathBuf::from),
        env_files: strings("env_files")
            .into_iter()
            .map(PathBuf::from)
            .collect(),
        profiles: strings("profiles"),
        environment,
        cwd: case.to_owned(),
        services: strings("services"),
        all_resources: description["all_resources"].as_bool().unwrap_or(false),
        ..LoadOptions::default()
    }
}

/// Loads a case.
pub(crate) fn load_case(case: &Path) -> Result<Loaded, Diagnostics> {
    load(&options(case), &Host)
}
