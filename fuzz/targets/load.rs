//! Whatever loads must print, and what was printed must load to the same model.

#![no_main]

use libfuzzer_sys::fuzz_target;
use skiff_fuzz::compose::{
    Diagnostics, FileArg, Form, LoadOptions, Memory, Project, Style, load,
};
use skiff_fuzz::project::{files, options};
use skiff_fuzz::unreadable::has_unreadable;

/// What the printed YAML loads to, where the files are that it came from.
fn again(project: &Project, files: &Memory) -> Result<Project, Diagnostics> {
    let options = LoadOptions {
        files: vec![FileArg::Stdin(project.text(Form::Yaml))],
        project_name: Some(project.name.clone()),
        environment: project.environment.clone(),
        profiles: vec!["*".to_owned()],
        ..options()
    };
    load(&options, files).map(|loaded| loaded.project)
}

fuzz_target!(|text: &str| {
    let files = files(text);
    match load(&options(), &files) {
        Ok(loaded) => {
            let project = loaded.project;
            let json = project.canonical_json();
            // A printed model lacks services that are disabled, and may miss them.
            if project.disabled_services.is_empty() && !has_unreadable(&project, &json) {
                let second = again(&project, &files)
                    .unwrap_or_else(|errors| panic!("{errors}\n{}", project.text(Form::Yaml)));
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
