//! Names that look alike.

/// Longer names, in characters, are not compared: that takes their product.
const LONGEST: usize = 100;

/// The name most like `name`, if one is like it at all. Capitals, `_` and `-`
/// make no difference.
pub(crate) fn similar<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > 4 * LONGEST {
        return None;
    }
    let name = folded(name);
    let length = name.chars().count();
    if length > LONGEST {
        return None;
    }
    let most = match length {
        0..=2 => 0,
        length => length.div_ceil(3),
    };
    let mut begun = Vec::new();
    let nearest = known
        .filter_map(|candidate| {
            if candidate.len() > 4 * LONGEST {
                return None;
            }
            let folded = folded(candidate);
            if most > 0 && folded.starts_with(&name) {
                begun.push(candidate);
            }
            let distance = strsim::damerau_levenshtein(&name, &folded);
            (distance <= most).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate);
    match begun.as_slice() {
        [only] => nearest.or(Some(only)),
        _ => nearest,
    }
}

/// The question whether the name most like it was meant.
pub(crate) fn did_you_mean<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    similar(name, known).map(|similar| format!("did you mean `{similar}`?"))
}

fn folded(name: &str) -> String {
    let kept = name.chars().filter(|c| !matches!(c, '_' | '-' | ' '));
    kept.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_names_are_found() {
        let known = [
            "image",
            "environment",
            "volumes",
            "ports",
            "depends_on",
            "db",
        ];
        for (name, found) in [
            ("imgae", Some("image")),
            ("enviroment", Some("environment")),
            ("port", Some("ports")),
            ("prot", Some("ports")),
            ("dependsOn", Some("depends_on")),
            ("Depends-On", Some("depends_on")),
            ("DB", Some("db")),
            ("vol", Some("volumes")),
            ("da", None),
            ("zebra", None),
        ] {
            assert_eq!(similar(name, known.into_iter()), found, "{name}");
        }
    }
}
