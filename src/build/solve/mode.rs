//! `--chmod`: octal, or in words as chmod(1) has them.

/// A change of permission bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ModeChange {
    /// These bits.
    Octal(u32),
    /// `u=rwX,go=rX`, one clause after the other.
    Symbolic(Vec<Clause>),
}

/// `go+rX`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Clause {
    /// Bits of those who are meant: 0700, 0070, 0007.
    who: u32,
    actions: Vec<Action>,
}

/// `+rX`
#[derive(Debug, Clone, PartialEq, Eq)]
struct Action {
    operator: Operator,
    /// Of all three classes; only those of `who` count.
    bits: u32,
    /// `X`: to be executed where it is a folder, or somebody may already.
    conditional: bool,
    /// As another class has it, shifted from there.
    like: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Add,
    Remove,
    Set,
}

/// All permission bits.
const ALL: u32 = 0o777;
/// Who may execute.
const EXECUTE: u32 = 0o111;

impl ModeChange {
    /// Reads it; `None` where it is neither.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            let bits = u32::from_str_radix(text, 8).ok()?;
            return (bits <= 0o7777).then_some(Self::Octal(bits));
        }
        let clauses: Option<Vec<Clause>> = text.split(',').map(clause).collect();
        clauses.map(Self::Symbolic)
    }

    /// The bits of a file or folder that had `mode`.
    pub(crate) fn apply(&self, mode: u32, is_folder: bool) -> u32 {
        match self {
            Self::Octal(bits) => *bits,
            Self::Symbolic(clauses) => clauses
                .iter()
                .fold(mode, |mode, clause| clause.apply(mode, is_folder)),
        }
    }
}

impl Clause {
    fn apply(&self, mode: u32, is_folder: bool) -> u32 {
        self.actions.iter().fold(mode, |mode, action| {
            let mut bits = action.bits;
            if action.conditional && (is_folder || mode & EXECUTE != 0) {
                bits |= EXECUTE;
            }
            if let Some(shift) = action.like {
                bits |= (mode >> shift & 7) * EXECUTE;
            }
            // Set-id and sticky bits belong to the class that they are named for.
            let special = (self.who & 0o700) << 3 & 0o4000
                | (self.who & 0o070) << 5 & 0o2000
                | (self.who & 0o007) << 9 & 0o1000;
            let mask = self.who | special;
            let bits = bits & mask;
            match action.operator {
                Operator::Add => mode | bits,
                Operator::Remove => mode & !bits,
                // A folder keeps its set-group-id bit, as chmod(1) has it.
                Operator::Set if is_folder => mode & !(self.who) | bits,
                Operator::Set => mode & !mask | bits,
            }
        })
    }
}

fn clause(text: &str) -> Option<Clause> {
    let start = text.find(['+', '-', '='])?;
    let (names, mut rest) = text.split_at(start);
    let mut who = 0;
    for name in names.chars() {
        who |= match name {
            'u' => 0o700,
            'g' => 0o070,
            'o' => 0o007,
            'a' => ALL,
            _ => return None,
        };
    }
    if names.is_empty() {
        who = ALL;
    }
    let mut actions = Vec::new();
    while let Some(sign) = rest.chars().next() {
        let operator = match sign {
            '+' => Operator::Add,
            '-' => Operator::Remove,
            '=' => Operator::Set,
            _ => return None,
        };
        rest = rest.get(1..)?;
        let end = rest.find(['+', '-', '=']).unwrap_or(rest.len());
        let (letters, after) = rest.split_at(end);
        actions.push(action(operator, letters)?);
        rest = after;
    }
    Some(Clause { who, actions })
}

fn action(operator: Operator, letters: &str) -> Option<Action> {
    let mut action = Action {
        operator,
        bits: 0,
        conditional: false,
        like: None,
    };
    for letter in letters.chars() {
        match letter {
            'r' => action.bits |= 0o444,
            'w' => action.bits |= 0o222,
            'x' => action.bits |= EXECUTE,
            'X' => action.conditional = true,
            's' => action.bits |= 0o6000,
            't' => action.bits |= 0o1000,
            'u' => action.like = Some(6),
            'g' => action.like = Some(3),
            'o' => action.like = Some(0),
            _ => return None,
        }
    }
    Some(action)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_those_of_chmod() {
        // Text, mode before, whether a folder; words as chmod(1) has them.
        for (text, before, is_folder, after) in [
            ("644", 0o755, false, 0o644),
            ("0711", 0o4755, true, 0o711),
            ("1777", 0o700, true, 0o1777),
            ("u=rwX,go=rX", 0o640, false, 0o644),
            ("u=rwX,go=rX", 0o740, false, 0o755),
            ("u=rwX,go=rX", 0o600, true, 0o755),
            ("+x", 0o644, false, 0o755),
            ("a-w", 0o666, false, 0o444),
            ("u+s", 0o755, false, 0o4755),
            ("g+s", 0o755, true, 0o2755),
            ("+t", 0o755, true, 0o1755),
            ("go=u", 0o750, false, 0o777),
            ("g=o,o=", 0o764, false, 0o740),
            ("u-x+w,g=", 0o570, false, 0o600),
            ("u=rw", 0o4755, false, 0o655),
            ("o-s", 0o4755, false, 0o4755),
        ] {
            let change = ModeChange::parse(text).unwrap();
            let got = change.apply(before, is_folder);
            assert_eq!(got, after, "{text} of {before:o}: {got:o}");
        }
    }

    #[test]
    fn what_is_no_mode_is_none() {
        for text in ["", "x", "u", "8", "79", "77777", "u=z", "q+x", "u+x,", "-1"] {
            assert_eq!(ModeChange::parse(text), None, "{text}");
        }
    }
}
