//! What a remote repository calls its commits: the output of `git ls-remote`
//! (git-ls-remote(1)). Pure.

/// Whether a text is a whole object id, SHA-1 or SHA-256.
pub(super) fn is_commit(text: &str) -> bool {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    matches!(text.len(), 40 | 64) && text.bytes().all(is_hex)
}

/// A name of a commit in the remote repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// `refs/heads/main`, or `HEAD`.
    pub(super) name: String,
    /// The commit; of a tag that is an object of its own, what it is about.
    pub(super) commit: String,
}

/// What to ask `git ls-remote` for.
pub(super) fn patterns(reference: &str) -> Vec<String> {
    if reference.is_empty() {
        return vec!["HEAD".to_owned()];
    }
    // With what an annotated tag is about, for which git has this suffix.
    vec![reference.to_owned(), format!("{reference}^{{}}")]
}

/// The lines of `git ls-remote`, one name a line.
pub(super) fn parse(output: &str) -> Vec<Found> {
    let mut all: Vec<Found> = Vec::new();
    for line in output.lines() {
        let Some((commit, name)) = line.split_once('\t') else {
            continue;
        };
        if !is_commit(commit) {
            continue;
        }
        let commit = commit.to_owned();
        match name.strip_suffix("^{}") {
            Some(tag) => {
                if let Some(found) = all.iter_mut().find(|found| found.name == tag) {
                    found.commit = commit;
                }
            }
            None => all.push(Found {
                name: name.to_owned(),
                commit,
            }),
        }
    }
    all
}

/// The one that a reference means: its full name, else a branch, else a tag.
pub(super) fn choose<'f>(all: &'f [Found], reference: &str) -> Option<&'f Found> {
    let wanted = if reference.is_empty() {
        "HEAD"
    } else {
        reference
    };
    ["", "refs/heads/", "refs/tags/", "refs/"]
        .iter()
        .find_map(|prefix| {
            let name = format!("{prefix}{wanted}");
            all.iter().find(|found| found.name == name)
        })
}

/// Branches and tags that are called alike, the most alike first; where there are
/// none, some that there are.
pub(super) fn nearest(all: &[Found], reference: &str) -> Vec<String> {
    const MOST: usize = 3;
    let wanted = short(reference).to_lowercase();
    let mut scored: Vec<(f64, &str)> = all
        .iter()
        .filter(|found| {
            found.name.starts_with("refs/heads/") || found.name.starts_with("refs/tags/")
        })
        .map(|found| {
            let name = short(&found.name);
            (strsim::jaro_winkler(&wanted, &name.to_lowercase()), name)
        })
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    let like = scored.iter().filter(|(score, _)| *score > 0.7).count();
    let count = if like == 0 { MOST } else { like.min(MOST) };
    let names = scored.into_iter().take(count);
    names.map(|(_, name)| name.to_owned()).collect()
}

fn short(name: &str) -> &str {
    let rest = name.strip_prefix("refs/").unwrap_or(name);
    let kinds = ["heads/", "tags/"];
    kinds
        .iter()
        .find_map(|kind| rest.strip_prefix(kind))
        .unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
    const C: &str = "cccccccccccccccccccccccccccccccccccccccc";

    fn remote() -> Vec<Found> {
        parse(&format!(
            "{A}\tHEAD\n{A}\trefs/heads/main\n{B}\trefs/heads/v1\n{C}\trefs/tags/v1\n\
             {C}\trefs/tags/v2\n{B}\trefs/tags/v2^{{}}\nwarning: no line of it\n"
        ))
    }

    #[test]
    fn a_reference_is_a_full_name_else_a_branch_else_a_tag() {
        for (reference, expected) in [
            ("", Some(("HEAD", A))),
            ("main", Some(("refs/heads/main", A))),
            ("v1", Some(("refs/heads/v1", B))),
            ("refs/tags/v1", Some(("refs/tags/v1", C))),
            ("tags/v1", Some(("refs/tags/v1", C))),
            // What the tag is about, not the tag itself.
            ("v2", Some(("refs/tags/v2", B))),
            ("v", None),
        ] {
            let all = remote();
            let found = choose(&all, reference);
            let found = found.map(|found| (found.name.as_str(), found.commit.as_str()));
            assert_eq!(found, expected, "{reference}");
        }
    }

    #[test]
    fn names_that_are_alike_are_told() {
        assert_eq!(nearest(&remote(), "mian"), ["main"]);
        assert_eq!(nearest(&remote(), "refs/heads/zzz").len(), 3);
        assert!(nearest(&[], "x").is_empty());
    }

    #[test]
    fn whole_object_ids_are_commits() {
        assert!(is_commit(A));
        assert!(is_commit(&"0".repeat(64)));
        for text in ["", "abc", &A[1..], &A.to_uppercase(), &"g".repeat(40)] {
            assert!(!is_commit(text), "{text}");
        }
    }
}
