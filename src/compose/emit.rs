//! The canonical model as YAML text.

use serde_json::Value as Json;

/// Prints JSON as YAML, in the reference's layout as far as a reader cares:
/// two spaces, lists indented below their key, empty collections inline.
pub(crate) fn yaml(value: &Json) -> String {
    serde_yaml::to_string(value).unwrap_or_default()
}
