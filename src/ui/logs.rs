//! Log lines of several containers on one screen.

use super::color;

/// Gives each container's lines their prefix, `web-1  | `.
///
/// The names are padded to the widest that is known when a line is made.
#[derive(Debug, Clone)]
pub struct Prefixes {
    names: Vec<String>,
    width: usize,
    color: bool,
    shown: bool,
}

impl Prefixes {
    /// For these containers, by short name (`web-1`).
    pub fn new(names: Vec<String>, color: bool, shown: bool) -> Self {
        let width = names
            .iter()
            .map(|name| name.chars().count())
            .max()
            .unwrap_or(0);
        Self {
            names,
            width,
            color,
            shown,
        }
    }

    /// The prefix of a container's lines; an unknown one joins the list.
    pub fn of(&mut self, name: &str) -> String {
        if !self.shown {
            return String::new();
        }
        let index = if let Some(index) = self.names.iter().position(|known| known == name) {
            index
        } else {
            self.names.push(name.to_owned());
            self.width = self.width.max(name.chars().count());
            self.names.len() - 1
        };
        let text = format!("{name:<width$}  | ", width = self.width);
        color::paint(self.color, color::prefix(index), &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_padded_to_the_widest() {
        let mut prefixes = Prefixes::new(vec!["web-1".into(), "worker-1".into()], false, true);
        assert_eq!(prefixes.of("web-1"), "web-1     | ");
        assert_eq!(prefixes.of("worker-1"), "worker-1  | ");
        assert_eq!(prefixes.of("a-long-name-1"), "a-long-name-1  | ");
        assert_eq!(prefixes.of("web-1"), "web-1          | ");
    }

    #[test]
    fn hidden_prefixes_are_empty() {
        assert_eq!(Prefixes::new(vec![], false, false).of("web-1"), "");
    }
}
