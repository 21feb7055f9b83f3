//! Names that look alike.

/// Longest name that others are compared with, in bytes.
const LONGEST: usize = 100;

/// The name most like `name`, if one is like it at all. Capitals, `_` and `-`
/// make no difference.
pub(crate) fn similar<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > LONGEST {
        return None; // to compare two takes as long as both are, multiplied
    }
    let name = folded(name);
    let most = match name.chars().count() {
        0..=2 => 0,
        length => (length / 3).max(1),
    };
    known
        .filter(|candidate| candidate.len() <= LONGEST)
        .map(|candidate| {
            let distance = strsim::damerau_levenshtein(&name, &folded(candidate));
            (distance, candidate)
        })
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
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
            ("dependsOn", Some("depends_on")),
            ("Depends-On", Some("depends_on")),
            ("DB", Some("db")),
            ("da", None),
            ("zebra", None),
        ] {
            assert_eq!(similar(name, known.into_iter()), found, "{name}");
        }
    }
}
