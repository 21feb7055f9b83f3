//! `--filter`, as `docker image ls` and `docker image prune` take it.

use globset::{GlobBuilder, GlobMatcher};
use jiff::Timestamp;

use super::find;
use crate::cli::error::CliError;
use crate::cli::when;
use crate::image::{Image, Reference, Store};

/// Conditions that all have to hold.
#[derive(Debug, Default)]
pub(super) struct Filters {
    /// Patterns of names, of which one has to fit.
    references: Vec<GlobMatcher>,
    /// Labels, by name or with their value.
    labels: Vec<(String, Option<String>)>,
    /// Labels that must not be there.
    without: Vec<(String, Option<String>)>,
    /// Images that were made before this time.
    before: Option<Timestamp>,
    /// Images that were made after this time.
    since: Option<Timestamp>,
    /// Images that have no name, or have one.
    dangling: Option<bool>,
}

impl Filters {
    /// Reads `key=value` texts; `known` are the keys that the command has.
    ///
    /// # Errors
    /// Another key, or a value that is none of its kind.
    pub(super) fn parse(
        texts: &[String],
        known: &[&str],
        store: &Store,
        now: Timestamp,
    ) -> Result<Self, CliError> {
        let mut filters = Self::default();
        for text in texts {
            let (key, value) = text.split_once('=').unwrap_or((text, ""));
            let key = key.trim().to_ascii_lowercase();
            if !known.contains(&key.as_str()) {
                return Err(CliError::new(format!("no such filter: `{text}`"))
                    .hint(format!("filters: {}", known.join(", "))));
            }
            filters.add(&key, value, store, now)?;
        }
        Ok(filters)
    }

    fn add(
        &mut self,
        key: &str,
        value: &str,
        store: &Store,
        now: Timestamp,
    ) -> Result<(), CliError> {
        match key {
            "reference" => self.add_reference(value)?,
            "label" => self.labels.push(label(value)),
            "label!" => self.without.push(label(value)),
            "before" => self.must_be_before(created(&find(store, value)?)),
            "until" => self.must_be_before(when::parse(value, now)?),
            "since" => self.since = self.since.max(Some(created(&find(store, value)?))),
            _ => {
                let wanted = match value {
                    "true" | "1" => true,
                    "false" | "0" => false,
                    _ => {
                        return Err(CliError::new(format!(
                            "the filter `dangling` takes `true` or `false`, not `{value}`"
                        )));
                    }
                };
                self.dangling = Some(wanted);
            }
        }
        Ok(())
    }

    /// Adds a pattern of names: `nginx`, `nginx:1.*`, `registry.test/*/app`.
    ///
    /// # Errors
    /// No pattern.
    pub(super) fn add_reference(&mut self, pattern: &str) -> Result<(), CliError> {
        let glob = GlobBuilder::new(pattern)
            .literal_separator(true)
            .build()
            .map_err(|error| CliError::new(format!("`{pattern}` is no pattern: {error}")))?;
        self.references.push(glob.compile_matcher());
        Ok(())
    }

    fn must_be_before(&mut self, time: Timestamp) {
        self.before = Some(self.before.map_or(time, |before| before.min(time)));
    }

    /// What `dangling` was given as.
    pub(super) const fn dangling(&self) -> Option<bool> {
        self.dangling
    }

    /// Whether an image is one of those that are wanted.
    pub(super) fn fits(&self, image: &Image) -> bool {
        let dangling = image.names.is_empty();
        self.fits_but_dangling(image) && self.dangling.is_none_or(|wanted| wanted == dangling)
    }

    /// The same, whether it has names or not.
    pub(super) fn fits_but_dangling(&self, image: &Image) -> bool {
        let has = |(name, value): &(String, Option<String>)| {
            let found = image.config.labels.get(name);
            found.is_some_and(|found| value.as_ref().is_none_or(|value| found == value))
        };
        let time = created(image);
        self.labels.iter().all(has)
            && !self.without.iter().any(has)
            && self.before.is_none_or(|before| time < before)
            && self.since.is_none_or(|since| time > since)
            && self.keeps_any(image)
    }

    /// Whether a name of an image is one of those that are wanted.
    pub(super) fn keeps(&self, name: &Reference) -> bool {
        let texts = [name.familiar(), name.familiar_name()];
        self.references.is_empty()
            || (self.references.iter()).any(|one| texts.iter().any(|text| one.is_match(text)))
    }

    fn keeps_any(&self, image: &Image) -> bool {
        let mut names = image.names.iter().chain(&image.repo_digests);
        self.references.is_empty() || names.any(|name| self.keeps(name))
    }
}

/// When an image was made, as its config says; 1970 where it does not.
pub(super) fn created(image: &Image) -> Timestamp {
    let time = image.created.as_deref();
    time.and_then(|text| text.parse().ok())
        .unwrap_or(Timestamp::UNIX_EPOCH)
}

fn label(text: &str) -> (String, Option<String>) {
    match text.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (text.to_owned(), None),
    }
}
