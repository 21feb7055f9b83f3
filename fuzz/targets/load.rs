//! Whatever loads must print, and what was printed must load to the same model.

#![no_main]

use libfuzzer_sys::fuzz_target;
use skiff_fuzz::compose::{FileArg, Form, LoadOptions, Memory, Project, Style, load};
use skiff_fuzz::project::{files, options};

/// What the printed YAML loads to.
fn again(project: &Project) -> Option<Project> {
    let text = project.text(Form::Yaml);
    let options = LoadOptions {
        files: vec![FileArg::Stdin(text)],
        project_name: Some(project.name.clone()),
        environment: project.environment.clone(),
        ..options()
    };
    // What a printed model lacks, such as a service that is disabled, is allowed
    // to be missed.
    load(&options, &Memory::new()).ok().map(|loaded| loaded.project)
}

/// True where a key has a dollar in it. It is printed doubled, as the reference
/// does, and keys are not interpolated when they are read.
fn has_dollar_key(json: &serde_json::Value) -> bool {
    match json {
        serde_json::Value::Object(map) => map
            .iter()
            .any(|(key, value)| key.contains('$') || has_dollar_key(value)),
        serde_json::Value::Array(items) => items.iter().any(has_dollar_key),
        _ => false,
    }
}

/// True where a request for devices asks for none: `count: 0` is not printed, as
/// the reference does, and without it all are meant.
fn has_no_devices(json: &serde_json::Value) -> bool {
    match json {
        serde_json::Value::Object(map) => map.iter().any(|(key, value)| {
            let requests = value.as_array().into_iter().flatten();
            let empty = |one: &serde_json::Value| {
                one.get("count").is_none() && one.get("device_ids").is_none()
            };
            (matches!(key.as_str(), "gpus" | "devices") && requests.filter(|one| one.is_object()).any(empty))
                || has_no_devices(value)
        }),
        _ => false,
    }
}

/// True where an address of `extra_hosts`, which nobody checks, has a comma in
/// it: printed, it reads as two addresses.
fn has_odd_host(project: &Project) -> bool {
    project.services.values().any(|service| {
        let json = service.canonical_json();
        let builds = json.get("build").and_then(|build| build.get("extra_hosts"));
        let all = json.get("extra_hosts").into_iter().chain(builds);
        all.flat_map(|hosts| hosts.as_array().into_iter().flatten())
            .any(|host| host.as_str().is_some_and(|host| host.contains(',')))
    })
}

/// True where a build has no folder, `build: ""`: the reference prints it without
/// one, too, and read again it is the project's.
fn has_no_context(project: &Project) -> bool {
    let mut builds = project.services.values().filter_map(|one| one.build.as_ref());
    builds.any(|build| build.context.is_none())
}

fuzz_target!(|text: &str| {
    match load(&options(), &files(text)) {
        Ok(loaded) => {
            let project = loaded.project;
            let json = project.canonical_json();
            let is_exact = !has_dollar_key(&json)
                && !has_odd_host(&project)
                && !has_no_devices(&json)
                && !has_no_context(&project);
            if let Some(second) = again(&project).filter(|_| is_exact) {
                assert_eq!(json, second.canonical_json(), "{}", project.text(Form::Yaml));
            }
            for (name, service) in &project.services {
                assert_eq!(service.config_hash().len(), 64);
                assert!(project.position(&format!("services.{name}")).is_some());
            }
        }
        Err(diagnostics) => {
            assert!(diagnostics.errors().next().is_some());
            assert!(!diagnostics.render(&Style::COLOUR).is_empty());
        }
    }
});
