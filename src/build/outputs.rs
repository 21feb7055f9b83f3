//! `--output` of `skiff image build`: a list of `name=value`, separated by commas, as
//! `docker buildx build --output` takes it; a text without `=` is a folder, `-` an
//! archive on standard output.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::image::Reference;

/// What becomes of an image beside its place in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// In which form.
    pub form: Form,
    /// Where to.
    pub dest: Dest,
}

/// What is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// The image's files.
    Files,
    /// The image, as `docker load` and OCI tools take it, under these names.
    Image(Vec<Reference>),
}

/// Where something is written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dest {
    /// Into a folder.
    Folder(PathBuf),
    /// An archive, to a file.
    File(PathBuf),
    /// An archive, to standard output.
    Stdout,
}

/// What a text asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// The image in the store, under these names beside those of `--tag`, and at its
    /// registry.
    Kept {
        /// Further names.
        names: Vec<Reference>,
        /// Whether it is pushed.
        is_pushed: bool,
    },
    /// Something beside the store.
    Written(Output),
    /// Nothing but what the cache keeps.
    Nothing,
}

/// Why a text asks for nothing that there is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutputError {
    /// Not `name=value`, or no `type`.
    #[error("`{0}` has no `type=`: it takes a folder, `-`, or type=…,dest=…")]
    NoType(String),
    /// A kind that there is not.
    #[error(
        "there is no `type={0}`; there are local, tar, docker, oci, image, registry, cacheonly"
    )]
    Kind(String),
    /// An attribute that this kind does not have.
    #[error("`type={kind}` has no `{name}`")]
    Unknown {
        /// `local`
        kind: String,
        /// As written.
        name: String,
    },
    /// A folder is missing.
    #[error("`{0}` needs `dest=`, a folder")]
    NoFolder(&'static str),
    /// A name that no image can have.
    #[error("`name={0}` is no name of an image")]
    Name(String),
    /// A value that is none.
    #[error("`{name}` takes true or false, not `{value}`")]
    Value {
        /// `push`
        name: &'static str,
        /// As written.
        value: String,
    },
}

impl Output {
    /// As `BuildKit` calls it.
    pub(super) fn title(&self) -> &'static str {
        match (&self.form, &self.dest) {
            (Form::Files, Dest::Folder(_)) => "exporting to client directory",
            (Form::Files, Dest::File(_) | Dest::Stdout) => "exporting to client tarball",
            (Form::Image(_), Dest::Folder(_)) => "exporting to OCI image layout",
            (Form::Image(_), _) => "exporting to docker image format",
        }
    }
}

impl Asked {
    /// Reads an item of `--output`; relative paths are below `base`.
    ///
    /// # Errors
    /// It asks for nothing that there is.
    pub fn parse(text: &str, base: &Path) -> Result<Self, OutputError> {
        let written = |form, dest| Self::Written(Output { form, dest });
        if !text.contains('=') {
            return Ok(written(
                Form::Files,
                match text {
                    "-" => Dest::Stdout,
                    folder => Dest::Folder(base.join(folder)),
                },
            ));
        }
        let mut fields: BTreeMap<&str, &str> = BTreeMap::new();
        for field in text.split(',') {
            let (name, value) = field
                .split_once('=')
                .ok_or_else(|| OutputError::NoType(text.to_owned()))?;
            fields.insert(name.trim(), value);
        }
        let kind = fields
            .remove("type")
            .ok_or_else(|| OutputError::NoType(text.to_owned()))?;
        let dest = fields.remove("dest");
        let archive = |dest: Option<&str>| match dest {
            None | Some("-") => Dest::Stdout,
            Some(file) => Dest::File(base.join(file)),
        };
        let asked = match kind {
            "local" => {
                let folder = dest.ok_or(OutputError::NoFolder("type=local"))?;
                written(Form::Files, Dest::Folder(base.join(folder)))
            }
            "tar" => written(Form::Files, archive(dest)),
            "oci" | "docker" if kind == "oci" || dest.is_some() => {
                let place = match (flag(&mut fields, "tar")?, dest) {
                    (Some(false), Some(folder)) => Dest::Folder(base.join(folder)),
                    (Some(false), None) => return Err(OutputError::NoFolder("tar=false")),
                    (None | Some(true), dest) => archive(dest),
                };
                written(Form::Image(names(&mut fields)?), place)
            }
            "docker" | "image" | "registry" => {
                if dest.is_some() {
                    return Err(unknown(kind, "dest"));
                }
                Self::Kept {
                    is_pushed: flag(&mut fields, "push")?.unwrap_or(kind == "registry"),
                    names: names(&mut fields)?,
                }
            }
            "cacheonly" => Self::Nothing,
            other => return Err(OutputError::Kind(other.to_owned())),
        };
        match fields.into_keys().next() {
            None => Ok(asked),
            Some(name) => Err(unknown(kind, name)),
        }
    }
}

fn names(fields: &mut BTreeMap<&str, &str>) -> Result<Vec<Reference>, OutputError> {
    let name = fields.remove("name").into_iter();
    name.map(|text| Reference::parse(text).map_err(|_| OutputError::Name(text.to_owned())))
        .collect()
}

/// A field that is true or false, where it is there.
fn flag(
    fields: &mut BTreeMap<&str, &str>,
    name: &'static str,
) -> Result<Option<bool>, OutputError> {
    let value = fields.remove(name);
    let parsed = value.map(|value| {
        value.parse().map_err(|_| OutputError::Value {
            name,
            value: value.to_owned(),
        })
    });
    parsed.transpose()
}

fn unknown(kind: &str, name: &str) -> OutputError {
    OutputError::Unknown {
        kind: kind.to_owned(),
        name: name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_folders_archives_and_the_store() {
        let parse = |text: &str| Asked::parse(text, Path::new("/w"));
        let written = |form, dest| Ok(Asked::Written(Output { form, dest }));
        let folder = || Dest::Folder("/w/out".into());
        let file = || Dest::File("/w/a.tar".into());
        let image = || Form::Image(Vec::new());
        for (text, wanted) in [
            ("out", written(Form::Files, folder())),
            ("type=local,dest=out", written(Form::Files, folder())),
            ("-", written(Form::Files, Dest::Stdout)),
            ("type=tar,dest=a.tar", written(Form::Files, file())),
            ("type=tar", written(Form::Files, Dest::Stdout)),
            ("type=oci,dest=a.tar", written(image(), file())),
            ("type=docker,dest=-", written(image(), Dest::Stdout)),
            ("type=oci,tar=true,dest=a.tar", written(image(), file())),
            ("type=oci,tar=false,dest=out", written(image(), folder())),
            ("type=docker,tar=false,dest=out", written(image(), folder())),
            ("type=cacheonly", Ok(Asked::Nothing)),
        ] {
            assert_eq!(parse(text), wanted, "{text}");
        }
        for (text, pushed) in [
            ("type=docker", false),
            ("type=image,push=true", true),
            ("type=registry", true),
        ] {
            let kept = Asked::Kept {
                names: Vec::new(),
                is_pushed: pushed,
            };
            assert_eq!(parse(text), Ok(kept), "{text}");
        }
        let name = Reference::parse("a/b:1").unwrap();
        let named = parse("type=oci,name=a/b:1,dest=a.tar");
        assert_eq!(named, written(Form::Image(vec![name]), file()));
    }

    #[test]
    fn what_there_is_not_is_told() {
        for (text, part) in [
            ("dest=out", "has no `type=`"),
            ("type=local,out", "has no `type=`"),
            ("type=local", "`type=local` needs `dest=`"),
            ("type=oci,tar=false", "`tar=false` needs `dest=`"),
            (
                "type=oci,tar=no,dest=a",
                "`tar` takes true or false, not `no`",
            ),
            ("type=docker,tar=false", "`type=docker` has no `tar`"),
            ("type=zip,dest=a", "no `type=zip`"),
            ("type=tar,mode=1", "no `mode`"),
            ("type=registry,dest=a", "no `dest`"),
            ("type=image,push=maybe", "true or false"),
            ("type=image,name=A B", "no name of an image"),
        ] {
            let error = Asked::parse(text, Path::new("/w")).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
