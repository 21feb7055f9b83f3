//! The order of names in printed YAML: `a9` before `a10`, as the reference has
//! it. A total order, which a sort may rely on.

use std::cmp::Ordering;

/// Compares two names by their parts: numbers by value, letters after other
/// characters, except right behind a number, where they come first.
pub(crate) fn natural(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left, right);
    let mut behind_number = false;
    loop {
        match (part(left), part(right)) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some((one, after_one)), Some((other, after_other))) => {
                let order = one.compare(&other, behind_number);
                if order.is_ne() {
                    return order;
                }
                behind_number = matches!(one, Part::Number(_));
                (left, right) = (after_one, after_other);
            }
        }
    }
}

enum Part<'a> {
    /// As many digits as stand together.
    Number(&'a str),
    Letter(char),
    Other(char),
}

/// The first part of a text, and what follows it.
fn part(text: &str) -> Option<(Part<'_>, &str)> {
    let first = text.chars().next()?;
    if first.is_ascii_digit() {
        let end = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (digits, rest) = text.split_at(end);
        return Some((Part::Number(digits), rest));
    }
    let rest = text.get(first.len_utf8()..).unwrap_or_default();
    let part = if first.is_alphabetic() {
        Part::Letter(first)
    } else {
        Part::Other(first)
    };
    Some((part, rest))
}

impl Part<'_> {
    fn compare(&self, other: &Self, behind_number: bool) -> Ordering {
        match (self, other) {
            (Part::Number(one), Part::Number(other)) => {
                let (one_value, other_value) = (value(one), value(other));
                (one_value.len(), one_value, one.len()).cmp(&(
                    other_value.len(),
                    other_value,
                    other.len(),
                ))
            }
            (Part::Letter(one), Part::Letter(other)) | (Part::Other(one), Part::Other(other)) => {
                one.cmp(other)
            }
            _ => self.rank(behind_number).cmp(&other.rank(behind_number)),
        }
    }

    fn rank(&self, behind_number: bool) -> u8 {
        match self {
            Part::Letter(_) if behind_number => 0,
            Part::Other(_) => 1,
            Part::Number(_) => 2,
            Part::Letter(_) => 3,
        }
    }
}

/// Digits without leading zeros: the longer one is the larger number.
fn value(digits: &str) -> &str {
    digits.trim_start_matches('0')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In the order in which the reference prints them.
    #[test]
    fn names_are_ordered_as_the_reference_does() {
        let names = [
            "", "-", "-a", "_", "0", "00", "1", "1a", "1-1", "1-2", "1-02", "1.", "01", "2", "10",
            "010", "99", "100", "A", "A1", "A01", "A2", "A10", "AB", "B", "Z", "a", "a é", "a-b",
            "a.b", "a_b", "a1", "a1b", "a1é", "a1-b", "a1.b", "a1_b", "a01", "a001", "a2a", "a2.1",
            "a2.9", "a2.10", "a9", "a10", "ab", "z", "é",
        ];
        for (at, one) in names.iter().enumerate() {
            for (other_at, other) in names.iter().enumerate() {
                assert_eq!(natural(one, other), at.cmp(&other_at), "{one} {other}");
            }
        }
    }
}
