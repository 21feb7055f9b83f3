//! Attributes that there are not where the reference takes no notice of them: of an
//! entry of `include`, of `extends`. They are warned of: they were meant to do something.

use super::diag::{listed, quoted, similar};
use super::loader::Loader;
use super::tree::Node;

impl Loader<'_> {
    /// Warns of keys of a mapping that are none of the attributes `known`; `owner` is whose
    /// they are. The result are those that were most likely meant.
    pub(super) fn unknown_keys(
        &mut self,
        mapping: &Node,
        trail: &str,
        (owner, known): (&str, &[&'static str]),
    ) -> Vec<&'static str> {
        let mut meant = Vec::new();
        for (key, child) in mapping.as_map().into_iter().flatten() {
            if known.contains(&key.as_str()) || key.starts_with("x-") {
                continue;
            }
            let near = similar(key, known.iter().copied());
            meant.extend(near);
            let message = format!(
                "{} is no attribute of `{owner}`, and has no effect",
                quoted(key)
            );
            let mut warning = self
                .report
                .at(child.key, &format!("{trail}.{key}"), message)
                .expected(listed(known));
            warning.suggestion = near.map(|near| format!("did you mean `{near}`?"));
            self.report.push_warning(warning);
        }
        meant
    }
}
