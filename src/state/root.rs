//! The root id: eight random hexadecimal digits that are part of every kernel
//! object's name, so that a data root's own can be told from all others'.

use std::io::{self, Write};

use fs_err as fs;

use super::Layout;
use super::id::random_hex;

/// Reads the root id; makes one where there is none, once even if several
/// processes do so at the same time.
pub fn root_id(layout: &Layout) -> io::Result<String> {
    let path = layout.root_id();
    match fs::read_to_string(&path) {
        Ok(text) => return Ok(text.trim().to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    fs::create_dir_all(layout.data())?;
    let mut file = tempfile::Builder::new()
        .prefix(".new-")
        .tempfile_in(layout.data())?;
    file.write_all(format!("{}\n", random_hex(4)).as_bytes())?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(&path) {
        Ok(_) => fs::File::open(layout.data())?.sync_all()?,
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error.error),
    }
    fs::read_to_string(&path).map(|text| text.trim().to_owned())
}
