//! Platforms (`linux/amd64`, `linux/arm/v7`) and which of an image's several
//! fits best.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::similar::similar;

/// Operating systems in Go's words, and WASI as images have it.
const SYSTEMS: [&str; 19] = [
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "hurd",
    "illumos",
    "ios",
    "js",
    "linux",
    "nacl",
    "netbsd",
    "openbsd",
    "plan9",
    "solaris",
    "wasi",
    "wasip1",
    "windows",
    "zos",
];

/// Architectures in Go's words.
const ARCHITECTURES: [&str; 24] = [
    "386",
    "amd64",
    "amd64p32",
    "arm",
    "arm64",
    "arm64be",
    "armbe",
    "loong64",
    "mips",
    "mips64",
    "mips64le",
    "mips64p32",
    "mips64p32le",
    "mipsle",
    "ppc",
    "ppc64",
    "ppc64le",
    "riscv",
    "riscv64",
    "s390",
    "s390x",
    "sparc",
    "sparc64",
    "wasm",
];

/// Operating system, CPU architecture and its variant, in Go's words.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// `amd64`, `arm64`, `arm`, …
    pub architecture: String,
    /// `v7`; absent where the architecture has none or the default is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// The platform this program was built for.
    pub fn host() -> Self {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", None),
            "aarch64" => ("arm64", None),
            "x86" => ("386", None),
            "arm" => ("arm", Some("v7")),
            "powerpc64" => ("ppc64le", None),
            "loongarch64" => ("loong64", None),
            other => (other, None),
        };
        Self {
            os: "linux".to_owned(),
            architecture: architecture.to_owned(),
            variant: variant.map(str::to_owned),
        }
    }

    /// Parses `os/architecture[/variant]`, or an architecture alone; the
    /// kernel's names (`x86_64`, `aarch64`) are understood.
    ///
    /// # Errors
    /// Empty parts or more than three of them; a system or an architecture that
    /// nobody knows.
    pub fn parse(text: &str) -> Result<Self, PlatformError> {
        let fail = || PlatformError::Form(text.to_owned());
        let mut parts = text.split('/');
        let first = parts.next().unwrap_or_default();
        let (os, architecture) = match parts.next() {
            Some(second) => (first, second),
            None if first == "linux" => return Ok(Self::host()),
            None => ("linux", first),
        };
        let variant = parts.next();
        let valid = |word: &str| {
            !word.is_empty()
                && word
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        };
        let all_valid = [Some(os), Some(architecture), variant]
            .into_iter()
            .flatten()
            .all(valid);
        if !all_valid || parts.next().is_some() {
            return Err(fail());
        }
        let platform = Self::normalised(os, architecture, variant);
        let unknown = |part: &str, known: &[&'static str]| PlatformError::Unknown {
            text: text.to_owned(),
            part: part.to_owned(),
            nearest: similar(part, known.iter().copied()),
        };
        if !SYSTEMS.contains(&platform.os.as_str()) {
            return Err(unknown(os, &SYSTEMS));
        }
        if !ARCHITECTURES.contains(&platform.architecture.as_str()) {
            return Err(unknown(architecture, &ARCHITECTURES));
        }
        Ok(platform)
    }

    /// Brings the several spellings of one platform to one.
    ///
    /// Images say it of themselves, so nothing of it can steer a terminal.
    pub(crate) fn normalised(os: &str, architecture: &str, variant: Option<&str>) -> Self {
        let word = |text: &str| -> String {
            let shown = text.chars().filter(|c| !c.is_control());
            shown.collect::<String>().to_ascii_lowercase()
        };
        let os = word(os);
        let architecture = word(architecture);
        let variant = variant.map(word).filter(|v| !v.is_empty());
        let (architecture, variant) = match (architecture.as_str(), variant.as_deref()) {
            ("x86_64" | "x86-64" | "amd64", None | Some("v1")) => ("amd64", None),
            ("x86_64" | "x86-64" | "amd64", other) => ("amd64", other),
            ("aarch64" | "arm64", None | Some("8" | "v8")) => ("arm64", None),
            ("aarch64" | "arm64", other) => ("arm64", other),
            ("i386" | "i686" | "386", _) => ("386", None),
            ("armhf", _) | ("arm", None | Some("7")) => ("arm", Some("v7")),
            ("armel", _) | ("arm", Some("6")) => ("arm", Some("v6")),
            ("arm", Some("5")) => ("arm", Some("v5")),
            (other, variant) => (other, variant),
        };
        Self {
            os,
            architecture: architecture.to_owned(),
            variant: variant.map(str::to_owned),
        }
    }

    /// How well an offered platform serves this one: lower is better, `None`
    /// is not at all. An arm CPU runs what older variants were built for; 386
    /// on amd64 is not offered by itself, as Docker does not either.
    pub fn fitness(&self, offered: &Self) -> Option<u32> {
        if self.os != offered.os || self.architecture != offered.architecture {
            return None;
        }
        let number = |platform: &Self| match platform.variant.as_deref() {
            None if platform.architecture == "arm64" => Some(8),
            None if platform.architecture == "amd64" => Some(1),
            None => Some(0),
            Some(variant) => variant
                .strip_prefix('v')
                .and_then(|n| n.parse::<u32>().ok()),
        };
        if self.variant == offered.variant {
            return Some(0);
        }
        match (number(self), number(offered)) {
            (Some(mine), Some(theirs)) if theirs <= mine => Some(mine - theirs),
            _ => None,
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

/// A text that is no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlatformError {
    /// It is written in another way.
    #[error("`{0}` is not a platform, which is written `linux/amd64` or `linux/arm/v7`")]
    Form(String),
    /// Nobody knows a word of it.
    #[error("`{text}` is not a platform: there is no `{part}`{}", meant(*nearest))]
    Unknown {
        /// The whole text.
        text: String,
        /// The word.
        part: String,
        /// What was meant, perhaps.
        nearest: Option<&'static str>,
    },
}

fn meant(nearest: Option<&str>) -> String {
    match nearest {
        Some(word) => format!("; did you mean `{word}`?"),
        None => "; it is written `linux/amd64` or `linux/arm/v7`".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_platform_are_one() {
        for (text, expected) in [
            ("linux/amd64", "linux/amd64"),
            ("amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("armhf", "linux/arm/v7"),
            ("linux/arm/v6", "linux/arm/v6"),
            ("windows/amd64", "windows/amd64"),
        ] {
            assert_eq!(
                Platform::parse(text).unwrap().to_string(),
                expected,
                "{text}"
            );
        }
        for bad in ["", "/", "linux/", "linux//v7", "a/b/c/d", "lin ux/amd64"] {
            assert!(Platform::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn unknown_words_are_told_with_the_nearest_known_one() {
        for (text, told) in [
            ("linux/amd46", "no `amd46`; did you mean `amd64`?"),
            ("linus/amd64", "no `linus`; did you mean `linux`?"),
            ("foo", "no `foo`; it is written `linux/amd64`"),
        ] {
            let error = Platform::parse(text).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
        let host = Platform::host();
        assert_eq!(Platform::parse(&host.to_string()), Ok(host));
    }

    #[test]
    fn the_nearest_older_variant_serves() {
        let p = |text| Platform::parse(text).unwrap();
        assert_eq!(p("linux/amd64").fitness(&p("linux/amd64")), Some(0));
        assert_eq!(p("linux/amd64").fitness(&p("linux/arm64")), None);
        assert_eq!(p("linux/amd64").fitness(&p("windows/amd64")), None);
        assert_eq!(p("linux/amd64").fitness(&p("linux/amd64/v3")), None);
        assert_eq!(p("linux/arm/v7").fitness(&p("linux/arm/v6")), Some(1));
        assert_eq!(p("linux/arm/v7").fitness(&p("linux/arm/v5")), Some(2));
        assert_eq!(p("linux/arm/v6").fitness(&p("linux/arm/v7")), None);
    }
}
