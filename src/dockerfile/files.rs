//! `RUN`, `COPY` and `ADD`, which have flags and here-documents.

use std::collections::BTreeMap;

use super::heredoc::{self, Heredoc};
use super::instruction::{Add, Copy, Files, Network, Run, Security};
use super::mount::{MountFlag, comma_separated, truth};
use super::reader::{Found, Reader};
use super::span::{Problem, Word};

impl Reader<'_> {
    pub(super) fn run(&self, problems: &mut Vec<Problem>) -> Found<Run> {
        let mounts = self.flag_words("mount", problems);
        let mounts = mounts
            .iter()
            .filter_map(|word| match MountFlag::read(&word.text, word.at) {
                Ok(mount) => Some(mount),
                Err(problem) => {
                    problems.push(problem);
                    None
                }
            })
            .collect();
        let network = match self.flag_word("network", problems) {
            None => Network::Default,
            Some(word) => match word.text.as_str() {
                "default" => Network::Default,
                "none" => Network::None,
                "host" => Network::Host,
                _ => {
                    problems.push(refused(&word, "network", &["default", "none", "host"]));
                    Network::Default
                }
            },
        };
        let security =
            self.flag_word("security", problems)
                .and_then(|word| match word.text.as_str() {
                    "sandbox" => Some(Security::Sandbox),
                    "insecure" => Some(Security::Insecure),
                    _ => {
                        problems.push(refused(&word, "security", &["sandbox", "insecure"]));
                        None
                    }
                });
        let devices = self.flag_words("device", problems);
        let devices = devices
            .iter()
            .filter_map(|word| match device(word) {
                Ok(device) => Some(device),
                Err(problem) => {
                    problems.push(problem);
                    None
                }
            })
            .collect();
        Ok(Run {
            command: self.command(self.rest.clone())?,
            heredocs: self.heredocs.clone(),
            mounts,
            network,
            security,
            devices,
        })
    }

    pub(super) fn files(&self, problems: &mut Vec<Problem>) -> Found<Files> {
        let name = self.name();
        let mut words = self.list()?;
        let is_json = self.rest_text().starts_with('[') && self.heredocs.is_empty();
        let destination = words.pop();
        let Some(destination) = destination.filter(|_| !words.is_empty()) else {
            return Err(vec![
                Problem::new(
                    self.at(),
                    format!("{name} needs a source and a destination"),
                )
                .expected(format!("`{name} source… destination`")),
            ]);
        };
        if !is_json && heredoc::marker(&destination.text).is_some() {
            let message = format!("the destination of {name} cannot be a here-document");
            problems.push(Problem::new(destination.at, message));
        }
        let mut files = Files {
            destination,
            owner: self.flag_word("chown", problems),
            mode: self.flag_word("chmod", problems),
            excludes: self.flag_words("exclude", problems),
            is_link: self.flag_bool("link", problems).unwrap_or_default(),
            ..Files::default()
        };
        // Of several with one name the last, as with `BuildKit`.
        let contents = self.heredocs.iter().map(|one| (one.name.as_str(), one));
        let contents: BTreeMap<&str, &Heredoc> = contents.collect();
        for word in words {
            let marker = heredoc::marker(&word.text).filter(|_| !is_json);
            let Some(marker) = marker else {
                files.paths.push(word);
                continue;
            };
            let content = contents.get(marker.name.as_str()).copied().cloned();
            files.heredocs.push(content.unwrap_or(marker));
        }
        Ok(files)
    }

    pub(super) fn copy(&self, problems: &mut Vec<Problem>) -> Found<Copy> {
        Ok(Copy {
            from: self.flag_word("from", problems),
            keeps_parents: self.flag_bool("parents", problems).unwrap_or_default(),
            files: self.files(problems)?,
        })
    }

    pub(super) fn add(&self, problems: &mut Vec<Problem>) -> Found<Add> {
        Ok(Add {
            checksum: self.flag_word("checksum", problems),
            keeps_git_dir: self.flag_bool("keep-git-dir", problems),
            unpacks: self.flag_bool("unpack", problems),
            files: self.files(problems)?,
        })
    }
}

fn refused(word: &Word, flag: &str, known: &[&str]) -> Problem {
    let message = format!("`{}` cannot be the value of `--{flag}`", word.text);
    Problem::new(word.at, message)
        .expected(known.join(", "))
        .did_you_mean(&word.text, known)
}

/// `name[,required[=true]]`.
fn device(word: &Word) -> Result<(String, bool), Problem> {
    let fields = comma_separated(&word.text)
        .ok_or_else(|| Problem::new(word.at, "a double quote in `--device` is not closed"))?;
    let mut name: Option<String> = None;
    let mut is_required = false;
    for field in fields {
        match field.split_once('=') {
            None if field.eq_ignore_ascii_case("required") => is_required = true,
            Some((key, value)) if key.eq_ignore_ascii_case("required") => {
                is_required = truth(value).ok_or_else(|| {
                    Problem::new(
                        word.at,
                        format!("`required` of a device cannot be `{value}`"),
                    )
                    .expected("true or false")
                })?;
            }
            Some((key, value)) if key.eq_ignore_ascii_case("name") && name.is_none() => {
                name = Some(value.to_owned());
            }
            _ if name.is_none() => name = Some(field),
            _ => {
                return Err(Problem::new(
                    word.at,
                    format!("`{field}` is no option of a device"),
                ));
            }
        }
    }
    Ok((name.unwrap_or_default(), is_required))
}
