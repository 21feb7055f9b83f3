//! Room on a file system (statvfs(3)).

use std::io;
use std::path::Path;

use rustix::io::Errno;

/// Bytes of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// All of it.
    pub size: u64,
    /// What is taken, whoever has it.
    pub used: u64,
    /// What may still be written.
    pub free: u64,
}

impl Space {
    /// Of the file system that a path is on; `None` where there is no such path.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn of(path: &Path) -> io::Result<Option<Self>> {
        let found = match rustix::fs::statvfs(path) {
            Err(Errno::NOENT) => return Ok(None),
            found => found?,
        };
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Ok(Some(Self {
            size: bytes(found.f_blocks),
            used: bytes(found.f_blocks.saturating_sub(found.f_bfree)),
            free: bytes(found.f_bavail),
        }))
    }

    /// Whether it is as good as full: less than a thousandth is left, or less than
    /// a megabyte.
    pub fn is_full(&self) -> bool {
        self.free < (self.size / 1000).max(1 << 20)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_is_full_where_next_to_nothing_is_left() {
        let space = |size, free| Space {
            size,
            used: size - free,
            free,
        };
        assert!(space(100 << 20, 0).is_full());
        assert!(space(100 << 20, 1_000_000).is_full());
        assert!(!space(100 << 20, 2 << 20).is_full());
        assert!(space(100 << 30, 100 << 20).is_full());
        assert!(!space(100 << 30, 200 << 20).is_full());
        assert_eq!(Space::of(Path::new("/no/such/path")).unwrap(), None);
        let here = Space::of(Path::new("/")).unwrap().unwrap();
        assert!(here.size >= here.used + here.free);
    }
}
