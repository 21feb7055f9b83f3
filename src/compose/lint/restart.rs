//! Restart policies that there are not: `config` takes any text, as the reference
//! does, and `up` refuses it.

use super::Linter;
use crate::compose::diag::Diagnostic;
use crate::compose::tree::Node;

pub(super) fn policies(linter: &Linter<'_>) -> Vec<Diagnostic> {
    let wrong = linter
        .project
        .services
        .iter()
        .filter_map(|(name, service)| {
            let message = service.restart_policy().err()?;
            let mark = linter.attribute(name, "restart").map(Node::place);
            let path = format!("services.{name}.restart");
            let hint = linter.hint(mark.unwrap_or_default(), &path, message);
            Some(hint.in_parts())
        });
    wrong.take(super::MOST).collect()
}
