//! What is allowed but better written otherwise: the checks of
//! `docker build --check`, with its names and its words.
//!
//! "Build checks" of Docker's manual. This file has the rules, how they are
//! switched off, and those that a look at the file is enough for; those that need
//! values of variables are found where the stages are walked.

use std::collections::BTreeSet;

use super::instruction::{Dockerfile, Instruction, Kind, Stage};
use super::mount::truth;
use super::span::{Span, Word};

/// A check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each has its description as data")]
pub enum Rule {
    ConsistentInstructionCasing,
    CopyIgnoredFile,
    DuplicateStageName,
    ExposeInvalidFormat,
    ExposeProtoCasing,
    FromAsCasing,
    FromPlatformFlagConstDisallowed,
    InvalidBaseImagePlatform,
    InvalidDefaultArgInFrom,
    InvalidDefinitionDescription,
    JSONArgsRecommended,
    LegacyKeyValueFormat,
    MaintainerDeprecated,
    MultipleInstructionsDisallowed,
    NoEmptyContinuation,
    RedundantTargetPlatform,
    ReservedStageName,
    SecretsUsedInArgOrEnv,
    StageNameCasing,
    UndefinedArgInFrom,
    UndefinedVar,
    WorkdirRelativePath,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 22] = [
        Self::ConsistentInstructionCasing,
        Self::CopyIgnoredFile,
        Self::DuplicateStageName,
        Self::ExposeInvalidFormat,
        Self::ExposeProtoCasing,
        Self::FromAsCasing,
        Self::FromPlatformFlagConstDisallowed,
        Self::InvalidBaseImagePlatform,
        Self::InvalidDefaultArgInFrom,
        Self::InvalidDefinitionDescription,
        Self::JSONArgsRecommended,
        Self::LegacyKeyValueFormat,
        Self::MaintainerDeprecated,
        Self::MultipleInstructionsDisallowed,
        Self::NoEmptyContinuation,
        Self::RedundantTargetPlatform,
        Self::ReservedStageName,
        Self::SecretsUsedInArgOrEnv,
        Self::StageNameCasing,
        Self::UndefinedArgInFrom,
        Self::UndefinedVar,
        Self::WorkdirRelativePath,
    ];

    /// Its name in `# check=skip=…`.
    pub fn name(self) -> &'static str {
        self.facts().0
    }

    /// What it asks for.
    pub fn description(self) -> &'static str {
        self.facts().1
    }

    /// Where Docker explains it; empty where it does not.
    pub fn url(self) -> String {
        let name = self.name();
        if self == Self::InvalidBaseImagePlatform {
            return String::new();
        }
        let mut page = String::new();
        let letters: Vec<char> = name.chars().collect();
        for (index, c) in letters.iter().enumerate() {
            let is_next_small = letters.get(index + 1).is_some_and(char::is_ascii_lowercase);
            if index > 0 && c.is_ascii_uppercase() && is_next_small {
                page.push('-');
            }
            page.push(c.to_ascii_lowercase());
        }
        format!("https://docs.docker.com/go/dockerfile/rule/{page}/")
    }

    /// Whether it has to be asked for (`# check=experimental=…`).
    pub fn is_experimental(self) -> bool {
        self == Self::InvalidDefinitionDescription
    }

    fn facts(self) -> (&'static str, &'static str) {
        match self {
            Self::ConsistentInstructionCasing => (
                "ConsistentInstructionCasing",
                "Instructions are written all in capitals, or all in small letters",
            ),
            Self::CopyIgnoredFile => (
                "CopyIgnoredFile",
                "What .dockerignore leaves out cannot be copied",
            ),
            Self::DuplicateStageName => ("DuplicateStageName", "A stage's name is its own"),
            Self::ExposeInvalidFormat => (
                "ExposeInvalidFormat",
                "EXPOSE has neither addresses nor ports of the host",
            ),
            Self::ExposeProtoCasing => (
                "ExposeProtoCasing",
                "The protocol of an exposed port is in small letters",
            ),
            Self::FromAsCasing => ("FromAsCasing", "FROM and AS are written alike"),
            Self::FromPlatformFlagConstDisallowed => (
                "FromPlatformFlagConstDisallowed",
                "The platform of a stage is a variable",
            ),
            Self::InvalidBaseImagePlatform => (
                "InvalidBaseImagePlatform",
                "A base image is for the platform that is built for",
            ),
            Self::InvalidDefaultArgInFrom => (
                "InvalidDefaultArgInFrom",
                "The defaults of arguments give the name of an image",
            ),
            Self::InvalidDefinitionDescription => (
                "InvalidDefinitionDescription",
                "A comment before ARG or FROM describes what is defined there",
            ),
            Self::JSONArgsRecommended => (
                "JSONArgsRecommended",
                "Without a shell between them, signals reach the program",
            ),
            Self::LegacyKeyValueFormat => (
                "LegacyKeyValueFormat",
                "Names and values have an equals sign between them",
            ),
            Self::MaintainerDeprecated => ("MaintainerDeprecated", "An image's author is a label"),
            Self::MultipleInstructionsDisallowed => (
                "MultipleInstructionsDisallowed",
                "Of several CMD, ENTRYPOINT or HEALTHCHECK only the last counts",
            ),
            Self::NoEmptyContinuation => (
                "NoEmptyContinuation",
                "An instruction goes on without empty lines",
            ),
            Self::RedundantTargetPlatform => (
                "RedundantTargetPlatform",
                "The target's platform is the default",
            ),
            Self::ReservedStageName => ("ReservedStageName", "No stage is called like a source"),
            Self::SecretsUsedInArgOrEnv => (
                "SecretsUsedInArgOrEnv",
                "What ARG and ENV hold is in the image's history",
            ),
            Self::StageNameCasing => ("StageNameCasing", "Stages have names in small letters"),
            Self::UndefinedArgInFrom => (
                "UndefinedArgInFrom",
                "FROM knows the arguments declared before it",
            ),
            Self::UndefinedVar => ("UndefinedVar", "A variable is set before it is used"),
            Self::WorkdirRelativePath => (
                "WorkdirRelativePath",
                "The first WORKDIR does not depend on the base image",
            ),
        }
    }
}

/// Which checks are made, and what follows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LintOptions {
    skips_all: bool,
    skipped: BTreeSet<String>,
    all_experimental: bool,
    experimental: BTreeSet<String>,
    /// Warnings make the build fail.
    pub is_error: bool,
}

impl LintOptions {
    /// Reads `skip=Rule,…;experimental=Rule,…;error=true`.
    ///
    /// # Errors
    /// What is none of these.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut options = Self::default();
        // A directive's value ends at the first space.
        let text = text.split(' ').next().unwrap_or_default();
        for part in text.splitn(3, ';').filter(|_| !text.is_empty()) {
            let (key, value) = part
                .split_once('=')
                .ok_or_else(|| format!("`{part}` is no option of checks"))?;
            let value = value.trim();
            let names = || {
                value
                    .split(',')
                    .map(|name| name.trim().to_owned())
                    .collect()
            };
            match key.trim() {
                "skip" if value == "all" => options.skips_all = true,
                "skip" => options.skipped = names(),
                "experimental" if value == "all" => options.all_experimental = true,
                "experimental" => options.experimental = names(),
                "error" => {
                    options.is_error = truth(value)
                        .ok_or_else(|| format!("`error` of checks cannot be `{value}`"))?;
                }
                key => return Err(format!("`{key}` is no option of checks")),
            }
        }
        Ok(options)
    }

    /// With what a comment right before an instruction says.
    fn with_comments(&self, comments: &[String]) -> Option<Self> {
        let found = comments.iter().find_map(|comment| {
            let (name, value) = comment.split_once('=')?;
            name.trim()
                .eq_ignore_ascii_case("check")
                .then(|| Self::parse(value.trim()).ok())
        })??;
        let mut merged = self.clone();
        merged.skips_all |= found.skips_all;
        merged.all_experimental |= found.all_experimental;
        merged.skipped.extend(found.skipped);
        merged.experimental.extend(found.experimental);
        Some(merged)
    }

    fn allows(&self, rule: Rule) -> bool {
        if rule.is_experimental() {
            self.all_experimental || self.experimental.contains(rule.name())
        } else {
            !self.skips_all && !self.skipped.contains(rule.name())
        }
    }
}

/// Something that a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Which check.
    pub rule: Rule,
    /// Where.
    pub at: Span,
    /// What.
    pub message: String,
}

/// Collects what the checks find.
#[derive(Debug, Clone, Default)]
pub struct Lint {
    /// What is looked for.
    pub options: LintOptions,
    /// What was found.
    pub warnings: Vec<Warning>,
}

impl Lint {
    /// Begins with what the file itself says about checks.
    pub fn new(options: LintOptions) -> Self {
        Self {
            options,
            warnings: Vec::new(),
        }
    }

    /// Adds a warning, unless its check is switched off for the whole file or by
    /// `comments`, those right before the instruction.
    pub fn add(&mut self, rule: Rule, at: Span, comments: &[String], message: String) {
        if self.is_full() {
            return;
        }
        let own = self.options.with_comments(comments);
        if !own.as_ref().unwrap_or(&self.options).allows(rule) {
            return;
        }
        let warning = Warning { rule, at, message };
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// Whether no more is collected: to look for it would be for nothing.
    pub fn is_full(&self) -> bool {
        self.warnings.len() >= MOST_WARNINGS
    }

    /// The checks that a look at the file is enough for.
    pub fn file(&mut self, file: &Dockerfile) {
        for at in &file.empty_continuations {
            self.add(
                Rule::NoEmptyContinuation,
                *at,
                &[],
                "Empty continuation line".to_owned(),
            );
        }
        for argument in &file.arguments {
            self.description(argument);
        }
        for stage in &file.stages {
            self.stage(stage);
            for instruction in &stage.instructions {
                self.description(instruction);
                if matches!(instruction.kind, Kind::Maintainer(_)) {
                    let message = "Maintainer instruction is deprecated in favor of using label";
                    let comments = &instruction.comments;
                    self.add(
                        Rule::MaintainerDeprecated,
                        instruction.at,
                        comments,
                        message.to_owned(),
                    );
                }
            }
        }
        self.names(file);
        self.casing(file);
    }

    fn stage(&mut self, stage: &Stage) {
        let Some(name) = &stage.name else { return };
        if name.text != name.text.to_lowercase() {
            let message = format!("Stage name '{}' should be lowercase", name.text);
            self.add(Rule::StageNameCasing, name.at, &stage.comments, message);
        }
        if let Some(word) = &stage.as_keyword
            && let Some(is_lower) = casing(&stage.keyword.text)
            && casing(&word.text) != Some(is_lower)
        {
            let message = format!(
                "'{}' and '{}' keywords' casing do not match",
                word.text, stage.keyword.text
            );
            self.add(Rule::FromAsCasing, word.at, &stage.comments, message);
        }
        let key = name.text.to_lowercase();
        self.describes("FROM", &[&key], &stage.comments, stage.at);
    }

    fn description(&mut self, instruction: &Instruction) {
        if let Kind::Arg(arguments) = &instruction.kind {
            let names: Vec<&str> = arguments.iter().map(|one| one.name.text.as_str()).collect();
            self.describes("ARG", &names, &instruction.comments, instruction.at);
        }
    }

    fn describes(&mut self, keyword: &str, names: &[&str], comments: &[String], at: Span) {
        let (Some(comment), Some(first)) = (comments.last(), names.first()) else {
            return;
        };
        if names.contains(&comment.split(' ').next().unwrap_or_default()) {
            return;
        }
        let example = if names.len() > 1 { "<arg_key>" } else { first };
        let message =
            format!("Comment for {keyword} should follow the format: `# {example} <description>`");
        self.add(Rule::InvalidDefinitionDescription, at, comments, message);
    }

    fn names(&mut self, file: &Dockerfile) {
        let mut seen = BTreeSet::new();
        for stage in &file.stages {
            let (Some(key), Some(name)) = (stage.key(), &stage.name) else {
                continue;
            };
            if ["context", "scratch"].contains(&key.as_str()) {
                let message =
                    format!("Stage name should not use the same name as reserved stage \"{key}\"");
                self.add(Rule::ReservedStageName, name.at, &[], message);
            }
            if !seen.insert(key.clone()) {
                let message =
                    format!("Duplicate stage name \"{key}\", stage names should be unique");
                self.add(Rule::DuplicateStageName, name.at, &[], message);
            }
        }
    }

    fn casing(&mut self, file: &Dockerfile) {
        let keywords: Vec<&Word> = file
            .stages
            .iter()
            .flat_map(|stage| {
                let inner = stage.instructions.iter().map(|one| &one.keyword);
                std::iter::once(&stage.keyword).chain(inner)
            })
            .collect();
        let count = |lower| {
            let of_kind = |word: &&&Word| casing(&word.text) == Some(lower);
            keywords.iter().filter(of_kind).count()
        };
        let is_lower = count(true) > count(false);
        let majority = if is_lower { "lowercase" } else { "uppercase" };
        for word in keywords {
            if casing(&word.text) != Some(is_lower) {
                let message = format!(
                    "Command '{}' should match the case of the command majority ({majority})",
                    word.text
                );
                self.add(Rule::ConsistentInstructionCasing, word.at, &[], message);
            }
        }
    }
}

/// More warnings are not collected.
const MOST_WARNINGS: usize = 200;

/// Small letters, capitals, or neither.
fn casing(word: &str) -> Option<bool> {
    if word == word.to_lowercase() {
        Some(true)
    } else {
        (word == word.to_uppercase()).then_some(false)
    }
}

/// Whether a variable's name says that it holds a secret.
pub fn is_secret_name(name: &str) -> bool {
    const SECRET: [&str; 10] = [
        "apikey",
        "auth",
        "credential",
        "credentials",
        "key",
        "password",
        "pword",
        "passwd",
        "secret",
        "token",
    ];
    const PUBLIC: [&str; 3] = ["public", "file", "version"];
    let name = name.to_lowercase();
    let has = |words: &[&str]| name.split('_').any(|part| words.contains(&part));
    has(&SECRET) && !has(&PUBLIC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read() {
        let options = LintOptions::parse("skip=JSONArgsRecommended, StageNameCasing").unwrap();
        assert!(!options.allows(Rule::JSONArgsRecommended));
        let options = LintOptions::parse("skip=all;error=true;experimental=all").unwrap();
        assert!(options.is_error && !options.allows(Rule::UndefinedVar));
        assert!(options.allows(Rule::InvalidDefinitionDescription));
        assert!(!LintOptions::default().allows(Rule::InvalidDefinitionDescription));
        for text in ["x", "x=y", "error=maybe"] {
            assert!(LintOptions::parse(text).is_err(), "{text}");
        }
        let own = LintOptions::default().with_comments(&["check=skip=UndefinedVar".to_owned()]);
        assert!(!own.unwrap().allows(Rule::UndefinedVar));
    }

    #[test]
    fn names_of_secrets() {
        for (name, is_secret) in [
            ("API_KEY", true),
            ("GITHUB_TOKEN", true),
            ("secret_MESSAGE", true),
            ("AUTH", true),
            ("PUBLIC_KEY", false),
            ("TOKEN_FILE", false),
            ("MONKEY", false),
            ("KEYS", false),
        ] {
            assert_eq!(is_secret_name(name), is_secret, "{name}");
        }
    }

    #[test]
    fn each_rule_has_a_page_of_its_own() {
        assert_eq!(
            Rule::JSONArgsRecommended.url(),
            "https://docs.docker.com/go/dockerfile/rule/json-args-recommended/"
        );
        assert_eq!(
            Rule::FromPlatformFlagConstDisallowed.url(),
            "https://docs.docker.com/go/dockerfile/rule/from-platform-flag-const-disallowed/"
        );
        let names: BTreeSet<_> = Rule::ALL.iter().map(|rule| rule.name()).collect();
        assert_eq!(names.len(), Rule::ALL.len());
    }
}
