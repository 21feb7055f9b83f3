//! Tests of the tar reader that need no folder.

use proptest::prelude::*;

use super::*;
use crate::image::unpack::testing::Tar;

fn list(bytes: &[u8]) -> io::Result<Vec<Entry>> {
    let mut archive = Archive::new(bytes, ());
    let mut entries = Vec::new();
    while let Some(entry) = archive.next_entry()? {
        entries.push(entry);
    }
    Ok(entries)
}

#[test]
fn numbers_are_octal_or_base_256() {
    for (field, expected) in [
        (&b"0000644\0"[..], 0o644),
        (b"   644 \0", 0o644),
        (b"644", 0o644),
        (b"\0\0\0\0", 0),
        (b"\x80\0\0\0\0\0\x01\0", 256),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff", -1),
    ] {
        assert_eq!(number(field).unwrap(), expected, "{field:?}");
    }
    assert!(number(b"12x").is_err());
    assert!(number(b"\xbf\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff").is_err());
}

#[test]
fn a_global_header_is_skipped() {
    let mut tar = Tar::new()
        .pax(&[("path", b"global")])
        .file("f", 0o644, b"")
        .finish();
    // Turn the extended header into a global one.
    tar[156] = b'g';
    let sum: u32 = (0..512)
        .map(|i| {
            if (148..156).contains(&i) {
                32
            } else {
                u32::from(tar[i])
            }
        })
        .sum();
    tar[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let entries = list(&tar).unwrap();
    assert_eq!(entries[0].path, b"f");
}

#[test]
fn pax_records_that_lie_about_their_length_are_refused() {
    let mut extensions = Extensions::default();
    for bad in [
        &b"5 a\n"[..],
        b"99 path=x\n",
        b"x path=x\n",
        b"9 path=xy",
        b"0 ",
        b"3 \n",
        b"18446744073709551616 a=b\n",
    ] {
        assert!(
            pax::parse(bad, &mut extensions).is_err(),
            "{:?}",
            bad.escape_ascii().to_string()
        );
    }
}

#[test]
fn sparse_maps_that_lie_are_refused() {
    let segment = |offset, length| Segment { offset, length };
    assert!(check_segments(&[segment(0, 4), segment(8, 4)], 12, 8).is_ok());
    for (segments, size, content) in [
        (vec![segment(8, 4), segment(0, 4)], 12, 8),
        (vec![segment(0, 5), segment(4, 4)], 12, 9),
        (vec![segment(0, 4)], 3, 4),
        (vec![segment(0, 4)], 4, 5),
        (vec![segment(u64::MAX, 4)], 4, 4),
    ] {
        assert!(
            check_segments(&segments, size, content).is_err(),
            "{segments:?}"
        );
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
        list(&bytes).ok();
    }

    #[test]
    fn a_damaged_archive_is_read_without_panic(at in 0_usize..2048, value in any::<u8>()) {
        let mut tar = Tar::new()
            .pax(&[("path", b"a"), ("SCHILY.xattr.user.x", b"y")])
            .file("f", 0o644, b"content")
            .finish();
        if let Some(byte) = tar.get_mut(at) {
            *byte = value;
        }
        list(&tar).ok();
    }
}
