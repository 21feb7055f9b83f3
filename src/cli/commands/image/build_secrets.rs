//! `--secret` and `--ssh` of `skiff image build`.

use std::collections::BTreeMap;
use std::path::Path;

use crate::build::request::SshSource;
use crate::cli::error::CliError;
use crate::cli::parse;

/// `--secret`: contents by id.
///
/// # Errors
/// One cannot be read, or is written wrong.
pub(super) fn secrets(
    flags: &[String],
    base: &Path,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, Vec<u8>>, CliError> {
    let mut secrets = BTreeMap::new();
    for text in flags {
        let bad = |why: String| CliError::new(format!("--secret {text}: {why}"));
        let secret = Secret::parse(text).map_err(bad)?;
        let content = if let Some(file) = &secret.file {
            fs_err::read(base.join(file)).map_err(|error| bad(error.to_string()))?
        } else {
            // A variable of its own name counts before a file of it, as with Docker.
            let name = secret.variable.as_ref().unwrap_or(&secret.id);
            match variable(name) {
                Some(value) => value.into_bytes(),
                None if secret.variable.is_some() => {
                    return Err(bad(format!("the variable `{name}` is not set")));
                }
                None => fs_err::read(base.join(name)).map_err(|error| bad(error.to_string()))?,
            }
        };
        secrets.insert(secret.id, content);
    }
    Ok(secrets)
}

/// `--secret`, as `docker build` has it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Secret {
    id: String,
    file: Option<String>,
    variable: Option<String>,
}

impl Secret {
    fn parse(text: &str) -> Result<Self, String> {
        let mut secret = Self::default();
        let mut kind = None;
        for field in text.split(',') {
            let (key, value) = field
                .split_once('=')
                .ok_or_else(|| format!("`{field}` is not KEY=VALUE"))?;
            match key {
                "id" => value.clone_into(&mut secret.id),
                "src" | "source" => secret.file = Some(value.to_owned()),
                "env" => secret.variable = Some(value.to_owned()),
                "type" if ["file", "env"].contains(&value) => kind = Some(value),
                "type" => return Err(format!("`{value}` is no type; there are `file` and `env`")),
                _ => {
                    return Err(format!(
                        "`{key}` is no key; there are `id`, `src`, `env` and `type`"
                    ));
                }
            }
        }
        if secret.id.is_empty() {
            return Err("it has no id".to_owned());
        }
        // `type=env,src=NAME` is a variable, too.
        if kind == Some("env") && secret.variable.is_none() {
            secret.variable = secret.file.take();
        }
        Ok(secret)
    }
}

/// `--ssh`: what signs, by id.
///
/// # Errors
/// There is no agent, or no such socket or key.
pub(super) fn ssh(
    flags: &[String],
    base: &Path,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, SshSource>, CliError> {
    let mut sources = BTreeMap::new();
    let agent = variable("SSH_AUTH_SOCK");
    for text in flags {
        let (id, path) = parse::variable(text);
        let source = SshSource::given(path.as_deref(), agent.as_deref(), base);
        let source = source.map_err(|why| CliError::new(format!("--ssh {text}: {why}")))?;
        sources.insert(id, source);
    }
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_files_or_variables() {
        let secret = |id: &str, file: Option<&str>, variable: Option<&str>| Secret {
            id: id.to_owned(),
            file: file.map(str::to_owned),
            variable: variable.map(str::to_owned),
        };
        for (text, wanted) in [
            ("id=a,src=b", secret("a", Some("b"), None)),
            ("id=a,env=B", secret("a", None, Some("B"))),
            ("type=env,id=a,src=B", secret("a", None, Some("B"))),
            ("id=a", secret("a", None, None)),
        ] {
            assert_eq!(Secret::parse(text), Ok(wanted), "{text}");
        }
        for text in ["src=b", "id", "id=a,type=x", "id=a,target=b"] {
            assert!(Secret::parse(text).is_err(), "{text}");
        }
    }
}
