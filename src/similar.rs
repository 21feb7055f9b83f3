//! Names that look alike: the one rule by which a message asks whether another name
//! was meant, wherever that name comes from. It knows nothing of what is named.

/// Longer names, in characters, are not compared: that takes their product.
const LONGEST: usize = 100;

/// Letters that are held against each other for one name: of many known ones, or of
/// long ones, only the first are looked at.
const MOST_STEPS: usize = 1 << 20;

/// The name most like `name`, if one is like it at all: itself, where it is one of them.
/// Capitals, `_` and `-` make no difference. One letter in three may be wrong, and none of
/// a name of two: another letter is half of it, and as like to every name of two. What
/// begins a single known name, with two letters at least, may stand for that.
pub(crate) fn similar<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let most = |length| match length {
        0..=2 => 0,
        length => usize::div_ceil(length, 3),
    };
    let mut begun = Vec::new();
    let nearest = search(name, known, most, |candidate| begun.push(candidate));
    match begun.as_slice() {
        [only] => nearest.or(Some(only)),
        _ => nearest,
    }
}

/// The same where up to `most` letters may be wrong, for names of which another rule
/// holds; the beginning of one stands for nothing.
pub(crate) fn similar_within<'a>(
    name: &str,
    known: impl Iterator<Item = &'a str>,
    most: usize,
) -> Option<&'a str> {
    search(name, known, |_| most, |_| {})
}

/// The first of the known names with the fewest slips (letters that are others, missing,
/// too many, or changed places), of at most what `most` makes of the name's length; `begun`
/// hears of those that the name begins.
fn search<'a>(
    name: &str,
    known: impl Iterator<Item = &'a str>,
    most: impl Fn(usize) -> usize,
    mut begun: impl FnMut(&'a str),
) -> Option<&'a str> {
    if name.len() > 4 * LONGEST {
        return None;
    }
    let plain = folded(name);
    let length = plain.chars().count();
    if length > LONGEST {
        return None;
    }
    let most = most(length);
    let mut nearest: Option<(usize, &str)> = None;
    let mut steps = 0;
    for candidate in known {
        if candidate.len() > 4 * LONGEST {
            continue;
        }
        let folded = folded(candidate);
        if length > 1 && folded.starts_with(&plain) {
            begun(candidate);
        }
        let other = folded.chars().count();
        if other.abs_diff(length) > most {
            continue; // so many letters at least are wrong
        }
        steps += length * other;
        if steps > MOST_STEPS {
            break;
        }
        let distance = strsim::damerau_levenshtein(&plain, &folded);
        if distance <= most && nearest.is_none_or(|(least, _)| distance < least) {
            nearest = Some((distance, candidate));
        }
    }
    nearest.map(|(_, candidate)| candidate)
}

/// The question whether the name most like it was meant.
pub(crate) fn did_you_mean<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    similar(name, known).map(|similar| format!("did you mean `{similar}`?"))
}

/// The name that `name` is one slip of the fingers away from: a letter too many, too
/// few, another or swapped. Digits tell names apart, as in `HOST1` and `HOST2`.
pub(crate) fn slipped<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let plain = folded(name);
    let length = plain.chars().count();
    if length > LONGEST {
        return None;
    }
    let digits = |text: &str| {
        text.chars()
            .filter(char::is_ascii_digit)
            .collect::<String>()
    };
    let own = digits(name);
    let near = known.filter_map(|candidate| {
        let is_alike =
            candidate.len() <= 4 * LONGEST && candidate != name && digits(candidate) == own;
        let distance = || strsim::damerau_levenshtein(&plain, &folded(candidate));
        let distance = is_alike.then(distance)?;
        (distance <= usize::from(length > 2)).then_some((distance, candidate))
    });
    near.min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn folded(name: &str) -> String {
    let kept = name.chars().filter(|c| !matches!(c, '_' | '-' | ' '));
    kept.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_one_letter() {
        let known = ["TAG", "DB_PORT", "HOST1", "db", "IMAGE_VERSION"];
        for (name, found) in [
            ("TGA", Some("TAG")),
            ("TAGS", Some("TAG")),
            ("tag", Some("TAG")),
            ("DB", Some("db")),
            ("DA", None),
            ("DB_HOST", None),
            ("HOST2", None),
            ("HOTS1", Some("HOST1")),
            ("IMAGE-VERSIN", Some("IMAGE_VERSION")),
        ] {
            assert_eq!(slipped(name, known.into_iter()), found, "{name}");
        }
    }

    #[test]
    fn of_many_long_names_the_first_are_compared() {
        let long = "x".repeat(LONGEST);
        let known = vec!["y".repeat(LONGEST); 10_000];
        let asked = std::cell::Cell::new(0);
        let counted = known.iter().map(|name| {
            asked.set(asked.get() + 1);
            name.as_str()
        });
        assert_eq!(similar(&long, counted), None);
        assert_eq!(asked.get(), MOST_STEPS / (LONGEST * LONGEST) + 1);
    }

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
            ("xy", None),
            ("im", Some("image")),
            ("i", None),
            ("dbx", Some("db")),
            ("zebra", None),
            ("ports", Some("ports")),
        ] {
            assert_eq!(similar(name, known.into_iter()), found, "{name}");
        }
    }

    #[test]
    fn another_rule_may_allow_fewer_letters() {
        let known = ["shop/web", "NET_ADMIN"];
        for (name, most, found) in [
            ("shop/api", 2, None),
            ("shop/wbe", 2, Some("shop/web")),
            ("shop", 2, None),
            ("netadmin", 0, Some("NET_ADMIN")),
        ] {
            let within = similar_within(name, known.into_iter(), most);
            assert_eq!(within, found, "{name}");
        }
    }
}
