//! Names of images that none can have.

use super::Linter;
use crate::compose::diag::{Diagnostic, quoted};
use crate::compose::tree::Node;

/// Images with white space or control characters in their names: a text of several
/// lines (`image: >`), an escape, two words. `config` of the reference takes them,
/// nothing else does.
pub(super) fn images(linter: &Linter<'_>) -> Vec<Diagnostic> {
    let mut hints = Vec::new();
    for (service, node) in &linter.project.services {
        let Some(image) = &node.image else {
            continue;
        };
        let Some(wrong) = image.chars().find(|c| c.is_whitespace() || c.is_control()) else {
            continue;
        };
        if hints.len() >= super::MOST {
            break;
        }
        let mark = linter.attribute(service, "image").map(Node::place);
        let path = format!("services.{service}.image");
        let what = match wrong {
            '\n' | '\r' => "a line's end",
            c if c.is_whitespace() => "a space",
            _ => "a control character",
        };
        let message = format!("no image has {what} in its name: {}", quoted(image));
        let bare: String = image
            .chars()
            .filter(|c| !c.is_whitespace() && !c.is_control())
            .collect();
        let hint = linter.hint(mark.unwrap_or_default(), &path, message);
        hints.push(hint.suggest(format!("write it in one line without that: `{bare}`")));
    }
    hints
}
