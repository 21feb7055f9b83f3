//! What web servers said about files, so that they are asked whether these changed.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::image::Validators;
use crate::state::atomic::{self, Durability};

/// Longest file that is fetched.
pub(in crate::build) const LIMIT: u64 = 32 * 1024 * 1024 * 1024;

/// What is known of an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::build) struct Known {
    /// What the server is asked by.
    pub(in crate::build) validators: Validators,
    /// What the file became, by the key of its step in hexadecimal digits.
    pub(in crate::build) key: String,
}

impl Known {
    /// What an earlier build kept in a file; what is damaged is not known.
    pub(in crate::build) fn read(file: &Path) -> Option<Self> {
        let text = fs_err::read(file).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Keeps it.
    ///
    /// # Errors
    /// It cannot be written.
    pub(in crate::build) fn keep(&self, file: &Path) -> io::Result<()> {
        let text = serde_json::to_vec(self)?;
        atomic::write(file, &text, Durability::ThisBoot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_damaged_is_not_known() {
        let folder = tempfile::tempdir().unwrap();
        let known = Known {
            validators: Validators {
                etag: Some("\"a\"".to_owned()),
                last_modified: None,
            },
            key: "00".to_owned(),
        };
        let file = folder.path().join("of/it");
        assert_eq!(Known::read(&file), None);
        known.keep(&file).unwrap();
        assert_eq!(Known::read(&file), Some(known));
        fs_err::write(&file, "{").unwrap();
        assert_eq!(Known::read(&file), None);
    }
}
