//! Names of images that may have been meant by one that is not here.

use crate::image::Reference;
use crate::similar::similar_within;

/// Most names that are told.
const MOST: usize = 3;

/// Letters that may be wrong. Names of images are long, and much of one is the same in
/// the next: the registry, the folder, `:latest`.
const SLIPS: usize = 2;

/// The image's other tags, else the one name that is most like it; each quoted.
pub(super) fn names<'a>(text: &str, known: impl Iterator<Item = &'a Reference>) -> Vec<String> {
    let Ok(wanted) = Reference::parse(text) else {
        return Vec::new();
    };
    let mut known: Vec<&Reference> = known.collect();
    known.sort();
    let tags = known.iter().filter(|name| name.name() == wanted.name());
    let mut meant: Vec<String> = tags.map(|name| name.familiar()).take(MOST).collect();
    if meant.is_empty() {
        let familiar: Vec<String> = known.iter().map(|name| name.familiar()).collect();
        let all = familiar.iter().map(String::as_str);
        let found = similar_within(&wanted.familiar(), all, SLIPS);
        meant.extend(found.map(str::to_owned));
    }
    meant.iter().map(|name| format!("`{name}`")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_tags_go_before_other_names() {
        let known = [
            "shop/web:1",
            "shop/web:2",
            "nginx:latest",
            "localhost:5000/a:b",
        ];
        let known: Vec<Reference> = known
            .iter()
            .map(|name| Reference::parse(name).expect("a name"))
            .collect();
        for (text, wanted) in [
            ("shop/web", &["`shop/web:1`", "`shop/web:2`"][..]),
            ("ngnix", &["`nginx:latest`"]),
            ("shop/wep:1", &["`shop/web:1`"]),
            ("redis", &[]),
            ("shop/api", &[]),
            ("A B", &[]),
        ] {
            assert_eq!(names(text, known.iter()), wanted, "{text}");
        }
    }
}
