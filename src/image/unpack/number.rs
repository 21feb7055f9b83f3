//! Numbers and texts in the fields of tar headers, and the errors of a tar
//! stream.

use std::io;

/// Decimal digits, as pax records have them.
pub(super) fn decimal(digits: &[u8]) -> io::Result<u64> {
    std::str::from_utf8(digits)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| bad("a number that is none"))
}

/// A numeric field that cannot be negative.
pub(super) fn unsigned(field: &[u8]) -> io::Result<u64> {
    u64::try_from(number(field)?).map_err(|_| bad("a negative size"))
}

/// A numeric header field: octal text, or GNU's base 256 where the first bit
/// is set.
pub(super) fn number(field: &[u8]) -> io::Result<i64> {
    let first = field.first().copied().unwrap_or_default();
    if first & 0x80 != 0 {
        let negative = first & 0x40 != 0;
        let mut value: i128 = i128::from(first & 0x3f) - if negative { 0x40 } else { 0 };
        for byte in field.iter().skip(1) {
            value = value
                .checked_mul(256)
                .and_then(|v| v.checked_add(i128::from(*byte)))
                .ok_or_else(|| bad("a number out of range"))?;
        }
        return i64::try_from(value).map_err(|_| bad("a number out of range"));
    }
    let text = field
        .split(|byte| *byte == 0)
        .next()
        .unwrap_or_default()
        .trim_ascii();
    let mut value = 0_i64;
    for byte in text {
        let digit = char::from(*byte)
            .to_digit(8)
            .ok_or_else(|| bad("a number that is not octal"))?;
        value = value
            .checked_mul(8)
            .and_then(|v| v.checked_add(i64::from(digit)))
            .ok_or_else(|| bad("a number out of range"))?;
    }
    Ok(value)
}

/// A part of some bytes; nothing where it does not lie within them.
pub(super) fn slice(bytes: &[u8], start: usize, length: usize) -> &[u8] {
    bytes.get(start..start + length).unwrap_or_default()
}

/// A text field, which ends with a NUL or at its end.
pub(super) fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

pub(super) fn bad(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the archive has {what}"),
    )
}

pub(super) fn ended() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the archive ends too early")
}
