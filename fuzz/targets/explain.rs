//! A traced load gives the same model as any other, all of it can be explained,
//! and hints about it can be told.

#![no_main]

use libfuzzer_sys::fuzz_target;
use skiff_fuzz::compose::{LoadOptions, Style, explain, lint, load};
use skiff_fuzz::project::{files, options};

fuzz_target!(|text: &str| {
    let files = files(text);
    let traced = LoadOptions {
        trace: true,
        ..options()
    };
    let Ok(loaded) = load(&traced, &files) else {
        return;
    };
    let plain = load(&options(), &files).expect("what loads with a trace");
    let project = loaded.project;
    assert_eq!(project.canonical_json(), plain.project.canonical_json());
    let parts = ["services", "networks", "volumes", "configs", "secrets", "models"];
    let names = project.environment.keys().map(String::as_str);
    for subject in parts.into_iter().chain(names).chain(["SET", "A", "B"]) {
        match explain(&project, subject) {
            Ok(all) => {
                for one in all {
                    assert!(!one.render(&Style::COLOUR).is_empty());
                    assert!(one.to_json().is_object());
                }
            }
            Err(error) => assert!(!error.render(&Style::COLOUR).is_empty()),
        }
    }
    for service in project.services.keys() {
        // A name may have a dot in it, or be a variable's.
        explain(&project, &format!("services.{service}")).ok();
    }
    for hint in lint(&project, loaded.warnings, &files) {
        assert!(!hint.render(&Style::COLOUR).is_empty());
    }
});
