//! `cache_from` and `cache_to`: a list of `name=value`, separated by commas, as
//! `docker buildx build --cache-from` takes it; a text without `=` is an image at a
//! registry.

use std::collections::BTreeMap;
use std::path::Path;

use crate::image::{Digest, FolderName, Packing, Place, Reference};

/// Where steps may be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheFrom {
    /// Where.
    pub place: Place,
    /// As written.
    pub text: String,
}

/// Where steps are to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheTo {
    /// Where.
    pub target: Target,
    /// Which.
    pub extent: Extent,
    /// How layers are packed.
    pub packing: Packing,
    /// Layers that are there in another packing are packed anew.
    pub repacks: bool,
    /// Where it cannot be written, that is a warning.
    pub ignores_error: bool,
    /// As written.
    pub text: String,
}

/// The kinds of places to keep steps at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// In the image's own config.
    Inline,
    /// Beside it.
    Place(Place),
}

/// Which steps are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Extent {
    /// Those on the way to the image.
    #[default]
    Min,
    /// Those of other stages, too.
    Max,
}

/// Why a text says no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// A kind that there is, but not here.
    #[error(
        "`type={0}` is a cache that skiff does not have; `registry`, `local` and `inline` it has"
    )]
    Kind(String),
    /// Such a place cannot be read from.
    #[error("`type=inline` is part of an image: name the image, `type=registry,ref=IMAGE`")]
    InlineFrom,
    /// An attribute is missing.
    #[error("`type={kind}` needs `{name}=`")]
    Missing {
        /// `local`
        kind: &'static str,
        /// `dest`
        name: &'static str,
    },
    /// An attribute that this kind does not have.
    #[error("`type={kind}` has no `{name}`")]
    Unknown {
        /// `local`
        kind: &'static str,
        /// As written.
        name: String,
    },
    /// A value that is none.
    #[error("`{name}` takes {wanted}, not `{value}`")]
    Value {
        /// `mode`
        name: &'static str,
        /// `min or max`
        wanted: &'static str,
        /// As written.
        value: String,
    },
}

/// What `name=value` says, each taken as it is used.
struct Fields {
    kind: String,
    all: BTreeMap<String, String>,
}

const REGISTRY: &str = "registry";
const LOCAL: &str = "local";
const INLINE: &str = "inline";

impl CacheFrom {
    /// Reads an item of `cache_from`; relative paths are below `base`.
    ///
    /// # Errors
    /// It says no place.
    pub fn parse(text: &str, base: &Path) -> Result<Self, SpecError> {
        let mut fields = Fields::parse(text);
        let place = match fields.kind.as_str() {
            REGISTRY => {
                let place = Place::Registry(fields.reference()?);
                // What `BuildKit` takes here, and what the address says anyway.
                fields.take("registry.insecure");
                fields.none_left(REGISTRY)?;
                place
            }
            LOCAL => {
                let folder = fields.folder("src", base)?;
                let tag = fields.take("tag");
                let name = match fields.take("digest") {
                    None => FolderName::Tag(tag.unwrap_or_else(|| LATEST.to_owned())),
                    Some(text) => FolderName::Digest(Digest::parse(&text).map_err(|_| {
                        value("digest", "sha256: and 64 hexadecimal digits", &text)
                    })?),
                };
                fields.none_left(LOCAL)?;
                Place::Folder { folder, name }
            }
            INLINE => return Err(SpecError::InlineFrom),
            other => return Err(SpecError::Kind(other.to_owned())),
        };
        Ok(Self {
            place,
            text: text.to_owned(),
        })
    }
}

/// The name of what is given none.
const LATEST: &str = "latest";

impl CacheTo {
    /// Reads an item of `cache_to`; relative paths are below `base`.
    ///
    /// # Errors
    /// It says no place, or asks for what there is not.
    pub fn parse(text: &str, base: &Path) -> Result<Self, SpecError> {
        let mut fields = Fields::parse(text);
        let (kind, target) = match fields.kind.as_str() {
            REGISTRY => (
                REGISTRY,
                Target::Place(Place::Registry(fields.reference()?)),
            ),
            LOCAL => {
                let folder = fields.folder("dest", base)?;
                let tag = fields.take("tag").unwrap_or_else(|| LATEST.to_owned());
                let name = FolderName::Tag(tag);
                (LOCAL, Target::Place(Place::Folder { folder, name }))
            }
            INLINE => (INLINE, Target::Inline),
            other => return Err(SpecError::Kind(other.to_owned())),
        };
        let extent = match fields.take("mode").as_deref() {
            None | Some("min") => Extent::Min,
            Some("max") if kind != INLINE => Extent::Max,
            Some(other) => return Err(value("mode", "min or max (inline: min)", other)),
        };
        let packing = fields.packing()?;
        let repacks = fields.flag("force-compression")?;
        let ignores_error = fields.flag("ignore-error")?;
        // It is an OCI image manifest in any case.
        for name in ["image-manifest", "oci-mediatypes", "registry.insecure"] {
            fields.flag(name)?;
        }
        fields.none_left(kind)?;
        Ok(Self {
            target,
            extent,
            packing,
            repacks,
            ignores_error,
            text: text.to_owned(),
        })
    }
}

fn value(name: &'static str, wanted: &'static str, value: &str) -> SpecError {
    SpecError::Value {
        name,
        wanted,
        value: value.to_owned(),
    }
}

impl Fields {
    fn parse(text: &str) -> Self {
        let text = text.trim();
        let bare = !text.contains('=');
        let mut all: BTreeMap<String, String> = if bare {
            BTreeMap::from([("ref".to_owned(), text.to_owned())])
        } else {
            let fields = text.split(',').map(|field| {
                let field = field.trim().trim_matches('"');
                let (name, value) = field.split_once('=').unwrap_or((field, ""));
                (name.trim().to_lowercase(), value.trim().to_owned())
            });
            fields.collect()
        };
        let kind = all.remove("type");
        Self {
            kind: kind.unwrap_or_else(|| REGISTRY.to_owned()),
            all,
        }
    }

    fn take(&mut self, name: &str) -> Option<String> {
        self.all.remove(name).filter(|value| !value.is_empty())
    }

    fn reference(&mut self) -> Result<Reference, SpecError> {
        let text = self.take("ref").ok_or(SpecError::Missing {
            kind: REGISTRY,
            name: "ref",
        })?;
        Reference::parse(&text).map_err(|_| value("ref", "the name of an image", &text))
    }

    fn folder(&mut self, name: &'static str, base: &Path) -> Result<std::path::PathBuf, SpecError> {
        let folder = self.take(name);
        let folder = folder.ok_or(SpecError::Missing { kind: LOCAL, name })?;
        Ok(base.join(folder).components().collect())
    }

    fn flag(&mut self, name: &'static str) -> Result<bool, SpecError> {
        match self.take(name).as_deref() {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(other) => Err(value(name, "true or false", other)),
        }
    }

    fn packing(&mut self) -> Result<Packing, SpecError> {
        const LEVEL: &str = "compression-level";
        let text = self.take(LEVEL);
        let level: Option<u32> = match &text {
            None => None,
            Some(text) => Some(text.parse().map_err(|_| value(LEVEL, "a number", text))?),
        };
        let within = |most: u32, wanted| match level {
            Some(level) if level > most => Err(value(LEVEL, wanted, &level.to_string())),
            level => Ok(level),
        };
        let default = Packing::default();
        match self.take("compression").as_deref() {
            None | Some("gzip") => {
                Ok(within(9, "0 to 9 with gzip")?.map_or(default, Packing::Gzip))
            }
            Some("zstd") => {
                let level = within(22, "0 to 22 with zstd")?.unwrap_or_default();
                Ok(Packing::Zstd(i32::try_from(level).unwrap_or_default()))
            }
            Some("uncompressed") => Ok(Packing::Plain),
            Some(other) => Err(value("compression", "gzip, zstd or uncompressed", other)),
        }
    }

    fn none_left(&self, kind: &'static str) -> Result<(), SpecError> {
        match self.all.keys().next() {
            None => Ok(()),
            Some(name) => Err(SpecError::Unknown {
                kind,
                name: name.clone(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(text: &str) -> Result<Place, String> {
        let parsed = CacheFrom::parse(text, Path::new("/base"));
        parsed
            .map(|from| from.place)
            .map_err(|error| error.to_string())
    }

    fn to(text: &str) -> Result<CacheTo, String> {
        CacheTo::parse(text, Path::new("/base")).map_err(|error| error.to_string())
    }

    fn registry(name: &str) -> Place {
        Place::Registry(Reference::parse(name).unwrap())
    }

    fn folder(path: &str, tag: &str) -> Place {
        Place::Folder {
            folder: path.into(),
            name: FolderName::Tag(tag.to_owned()),
        }
    }

    #[test]
    fn places_are_read() {
        assert_eq!(from("me/app").unwrap(), registry("me/app:latest"));
        let long = "type=registry,ref=host:5000/app:cache";
        assert_eq!(from(long).unwrap(), registry("host:5000/app:cache"));
        assert_eq!(from("ref=app").unwrap(), registry("app"));
        assert_eq!(
            from("type=local,src=c").unwrap(),
            folder("/base/c", "latest")
        );
        let tagged = from("type=local,src=../c,tag=x").unwrap();
        assert_eq!(tagged, folder("/base/../c", "x"));
        let digest = Digest::of(b"");
        assert_eq!(
            from(&format!("type=local, src=/c, digest={digest}")).unwrap(),
            Place::Folder {
                folder: "/c".into(),
                name: FolderName::Digest(digest)
            }
        );
        let text = "type=registry,ref=a/b,mode=max,compression=zstd,compression-level=9,\
             force-compression=true,ignore-error=true,image-manifest=true,oci-mediatypes=true";
        assert_eq!(
            to(text).unwrap(),
            CacheTo {
                target: Target::Place(registry("a/b")),
                extent: Extent::Max,
                packing: Packing::Zstd(9),
                repacks: true,
                ignores_error: true,
                text: text.to_owned(),
            }
        );
        assert_eq!(to("type=inline").unwrap().target, Target::Inline);
        let local = to("type=local,dest=c").unwrap();
        assert_eq!(local.target, Target::Place(folder("/base/c", "latest")));
        assert_eq!(local.extent, Extent::Min);
    }

    #[test]
    fn what_says_no_place_is_refused_by_name() {
        for (text, part) in [
            (
                "type=gha,scope=x",
                "`type=gha` is a cache that skiff does not have",
            ),
            ("type=s3,bucket=x", "`type=s3`"),
            ("type=azblob", "`type=azblob`"),
            ("type=inline", "name the image"),
            ("type=registry", "needs `ref=`"),
            ("type=registry,ref=A B", "the name of an image, not `A B`"),
            ("type=local", "needs `src=`"),
            ("type=local,src=x,digest=y", "hexadecimal digits, not `y`"),
            ("type=local,src=x,scope=y", "has no `scope`"),
        ] {
            let error = from(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        for (text, part) in [
            ("type=gha", "`type=gha`"),
            ("type=local,src=x", "needs `dest=`"),
            ("a/b,mode=all", "needs `ref=`"),
            ("ref=a,mode=all", "min or max (inline: min), not `all`"),
            ("type=inline,mode=max", "min or max"),
            ("ref=a,compression=estargz", "gzip, zstd or uncompressed"),
            ("ref=a,compression-level=10", "0 to 9 with gzip, not `10`"),
            ("ref=a,ignore-error=maybe", "true or false, not `maybe`"),
            ("ref=a,color=red", "has no `color`"),
        ] {
            let error = to(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
