//! Names that look alike to `BuildKit`, for the messages of its checks, which are its letter
//! by letter. All other messages go by the rule of `crate::similar`.

/// Longer names, in bytes, are not compared: that takes their product.
const LONGEST: usize = 100;

/// The known name most like a wrong one, small and capital letters alike; none
/// where it is one of them to the letter. Up to two letters may be wrong, however short
/// the name; of names that are equally far away the one counts that swapped letters lead
/// to.
pub(crate) fn as_buildkit<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > LONGEST {
        return None;
    }
    let lower = name.to_lowercase();
    let mut best: Option<((usize, usize), &str)> = None;
    for candidate in known.filter(|candidate| candidate.len() <= LONGEST) {
        let other = candidate.to_lowercase();
        let distance = strsim::levenshtein(&lower, &other);
        if candidate == name {
            return None;
        }
        let distances = (distance, strsim::osa_distance(&lower, &other));
        if distances < best.map_or((3, 0), |(least, _)| least) {
            best = Some((distances, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn up_to_two_letters_may_be_wrong() {
        let known = ["ENV", "RUN", "COPY", "WORKDIR", "EXPOSE"];
        for (name, found) in [
            ("RNU", Some("RUN")),
            ("copi", Some("COPY")),
            ("WORKIDR", Some("WORKDIR")),
            ("EXPO", Some("EXPOSE")),
            ("copy", Some("COPY")),
            ("COPY", None),
            ("HELLO", None),
        ] {
            assert_eq!(as_buildkit(name, known.into_iter()), found, "{name}");
        }
        assert_eq!(as_buildkit(&"x".repeat(1000), known.into_iter()), None);
    }
}
