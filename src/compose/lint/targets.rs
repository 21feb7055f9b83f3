//! Mounts without a place in the container: `config` takes any text, as the
//! reference does, and `up` refuses it.

use super::Linter;
use crate::compose::diag::Diagnostic;
use crate::compose::model::{misplaced_mount, misplaced_tmpfs};
use crate::compose::tree::Node;

pub(super) fn misplaced(linter: &Linter<'_>) -> Vec<Diagnostic> {
    let services = linter.project.services.iter();
    let wrong = services.flat_map(|(name, service)| {
        let mounts = service.volumes.iter().enumerate();
        let mounts = mounts.filter_map(|(at, mount)| {
            let message = misplaced_mount(mount)?;
            Some((format!("volumes[{at}]"), message))
        });
        let tmpfs = service.tmpfs.iter().enumerate();
        let tmpfs = tmpfs.filter_map(|(at, text)| {
            let message = misplaced_tmpfs(text)?;
            Some((format!("tmpfs[{at}]"), message))
        });
        mounts
            .chain(tmpfs)
            .map(move |(attribute, message)| (name, attribute, message))
    });
    let hints = wrong.take(super::MOST).map(|(name, attribute, message)| {
        let target = linter.attribute(name, &format!("{attribute}.target"));
        let whole = || linter.attribute(name, attribute.split('[').next()?);
        let node = target.or_else(|| linter.attribute(name, &attribute));
        let mark = node.or_else(whole).map(Node::place);
        let path = format!("services.{name}.{attribute}");
        let hint = linter.hint(mark.unwrap_or_default(), &path, message);
        hint.in_parts()
    });
    hints.collect()
}
