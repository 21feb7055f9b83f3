//! How much one load may take, so that no file takes the machine down: not by
//! its size, and not by what it makes grow.
//!
//! Everything is counted over the whole load, whatever number of files it is
//! spread over.

/// Largest file, and most bytes of all files together.
pub(crate) const MOST_BYTES: usize = 32 << 20;

/// Most nodes of a file with its aliases expanded, and of a project with all
/// that is included, extended and written out from short forms.
pub(crate) const MOST_NODES: usize = 1_000_000;

/// Texts that are copied, by an alias or an `extends`, count as a node for each so many bytes.
pub(crate) const BYTES_OF_A_NODE: usize = 64;

/// Most tokens that the YAML parser may hold at once.
pub(crate) const MOST_TOKENS: usize = 1_000_000;

/// Most words that commands written as one text may have, all of a project together: each
/// becomes a text of its own. execve(2) takes 6 MiB of words and their addresses.
pub(crate) const MOST_WORDS: usize = 500_000;

/// Most services of a project, with those of inactive profiles.
pub(crate) const MOST_SERVICES: usize = 20_000;

/// Most bytes that variables, files of variables and resolved paths may add.
pub(crate) const MOST_TEXT: usize = 32 << 20;

/// Most times that one file of variables sets one.
pub(crate) const MOST_SETTINGS: usize = 200_000;

/// Most nodes that are looked at over and over, as each further document of a
/// project is merged over all that came before it.
pub(crate) const MOST_WORK: usize = 4_000_000;

/// Most files that one load reads, each time one is included counted.
pub(crate) const MOST_FILES: usize = 10_000;

/// Deepest chain of files that include each other.
pub(crate) const MOST_INCLUDES: usize = 100;

/// Longest name of a project: it is part of every other name.
pub(crate) const LONGEST_NAME: usize = 255;

/// Longest key of a mapping: messages repeat it.
pub(crate) const LONGEST_KEY: usize = 16 << 10;

/// Documents of more nodes are not kept for a second use.
pub(crate) const OWN_CACHE: usize = 20_000;

/// What is left of an amount.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    left: usize,
}

impl Budget {
    pub(crate) const fn new(most: usize) -> Self {
        Self { left: most }
    }

    /// What is left.
    pub(crate) const fn left(&self) -> usize {
        self.left
    }

    /// Takes an amount; false where it is more than what is left, from then on
    /// always.
    pub(crate) fn take(&mut self, amount: usize) -> bool {
        let left = self.left.checked_sub(amount);
        self.left = left.unwrap_or_default();
        left.is_some()
    }
}

/// What is left of everything that a load may take.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub(crate) files: Budget,
    pub(crate) bytes: Budget,
    pub(crate) nodes: Budget,
    pub(crate) text: Budget,
    pub(crate) work: Budget,
}

impl Limits {
    /// True where one was reached.
    pub(crate) const fn is_over(&self) -> bool {
        self.nodes.left() == 0 || self.text.left() == 0 || self.work.left() == 0
    }

    pub(crate) const fn new() -> Self {
        Self {
            files: Budget::new(MOST_FILES),
            bytes: Budget::new(MOST_BYTES),
            nodes: Budget::new(MOST_NODES),
            text: Budget::new(MOST_TEXT),
            work: Budget::new(MOST_WORK),
        }
    }
}
