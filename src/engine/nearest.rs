//! Names that are nearly another one.

/// The known name with the fewest slips between it and `name` (letters that are others,
/// missing, too many, or changed places); `None` where there are more than `most`.
pub(super) fn nearest(
    name: &str,
    known: impl IntoIterator<Item = &'static str>,
    most: usize,
) -> Option<&'static str> {
    known
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .min()
        .filter(|(distance, _)| *distance <= most)
        .map(|(_, known)| known)
}
