use std::collections::BTreeSet;

use super::*;

/// Every attribute of the Compose specification's schema, in our own notation.
const ATTRIBUTES: &str = include_str!("attributes.txt");

fn row_of(attribute: &str) -> Option<&'static Row> {
    let mut path = attribute;
    loop {
        if let Some(row) = ROWS.iter().find(|row| row.path == path) {
            return Some(row);
        }
        path = match path.strip_suffix("[]") {
            Some(list) => list,
            None => path.get(..path.rfind('.')?)?,
        };
    }
}

#[test]
fn every_attribute_of_the_schema_has_a_standing() {
    let missing: Vec<&str> =
        ATTRIBUTES.lines().filter(|attribute| row_of(attribute).is_none()).collect();
    assert!(missing.is_empty(), "without a row: {missing:?}");
}

/// A service's attribute must be looked at for itself: `services` alone does
/// not stand for those that were added since.
#[test]
fn every_attribute_of_a_service_has_a_row_of_its_own() {
    let missing: Vec<&str> = ATTRIBUTES
        .lines()
        .filter(|attribute| {
            attribute.starts_with("services.*.") && attribute.matches('.').count() == 2
        })
        .filter(|attribute| !attribute.contains("[]"))
        .filter(|attribute| !ROWS.iter().any(|row| row.path == *attribute))
        .collect();
    assert!(missing.is_empty(), "without a row: {missing:?}");
}

#[test]
fn every_row_is_an_attribute_and_stands_once() {
    let known: BTreeSet<&str> = ATTRIBUTES.lines().collect();
    let mut seen = BTreeSet::new();
    for row in ROWS {
        assert!(known.contains(row.path), "`{}` is not in the schema", row.path);
        assert!(seen.insert(row.path), "`{}` stands twice", row.path);
        let reason = matches!(row.standing, Standing::Works) || !row.note.is_empty();
        assert!(reason, "`{}` needs a reason", row.path);
    }
}

#[test]
fn committed_documentation_is_this_table() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/compose-support.md");
    let committed = fs_err::read_to_string(&path).unwrap_or_default();
    let current = support_table();
    if committed != current {
        // Writing it makes the next run pass, and the change show in the diff.
        fs_err::write(&path, &current).unwrap();
        panic!("docs/compose-support.md was out of date and has been written anew");
    }
}

#[test]
fn patterns_find_what_says_something() {
    let model = serde_json::json!({
        "services": {
            "web": {"gpus": [{"count": -1}], "init": false, "volumes": [{"type": "bind"}, {"type": "image"}]},
            "db": {"gpus": [], "deploy": {"placement": {}}},
        }
    });
    let found = |pattern: &str| {
        let mut places = Vec::new();
        find(&model, &segments(pattern), String::new(), &mut places);
        places.into_iter().map(|(path, _)| path).collect::<Vec<_>>()
    };
    assert_eq!(found("services.*.gpus"), ["services.web.gpus"]);
    assert_eq!(
        found("services.*.volumes[].type"),
        ["services.web.volumes[0].type", "services.web.volumes[1].type"]
    );
    assert!(found("services.*.init").is_empty());
    assert!(found("services.*.deploy.placement").is_empty());
}
