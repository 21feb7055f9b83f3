//! Netlink attributes (struct nlattr): length, type, value, padding to four.

/// The value consists of attributes.
const NESTED: u16 = 0x8000;
const TYPE_MASK: u16 = 0x3fff;

/// Writes attributes one after the other.
#[derive(Debug, Default, Clone)]
pub(in crate::net) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Starts behind a family header.
    pub(in crate::net) fn after(header: &[u8]) -> Self {
        Self {
            bytes: header.to_vec(),
        }
    }

    /// Raw bytes.
    pub(in crate::net) fn bytes(self, kind: u16, value: &[u8]) -> Self {
        self.put(kind, value)
    }

    /// A string with its terminating zero.
    pub(in crate::net) fn text(self, kind: u16, value: &str) -> Self {
        let mut zeroed = value.as_bytes().to_vec();
        zeroed.push(0);
        self.put(kind, &zeroed)
    }

    /// A number in network byte order, as all of netfilter has them.
    pub(in crate::net) fn number(self, kind: u16, value: u32) -> Self {
        self.put(kind, &value.to_be_bytes())
    }

    /// A signed number in network byte order.
    pub(in crate::net) fn signed(self, kind: u16, value: i32) -> Self {
        self.put(kind, &value.to_be_bytes())
    }

    /// Attributes inside an attribute.
    pub(in crate::net) fn nest(self, kind: u16, inner: impl FnOnce(Self) -> Self) -> Self {
        let inner = inner(Self::default()).bytes;
        self.put(kind | NESTED, &inner)
    }

    /// What was written.
    pub(in crate::net) fn finish(self) -> Vec<u8> {
        self.bytes
    }

    fn put(mut self, kind: u16, value: &[u8]) -> Self {
        let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }
}

/// Walks attributes: type without flags, value. Ends at the first malformed one.
pub(in crate::net) fn read(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(native_u16(bytes, 0)?);
        let kind = native_u16(bytes, 2)? & TYPE_MASK;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The first attribute of this type.
pub(in crate::net) fn find(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    read(bytes).find_map(|(found, value)| (found == kind).then_some(value))
}

/// A value as text, without its terminating zero.
pub(in crate::net) fn as_text(value: &[u8]) -> String {
    String::from_utf8_lossy(value)
        .trim_end_matches('\0')
        .to_owned()
}

/// A value as a number in network byte order.
pub(in crate::net) fn as_number(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_be_bytes)
}

pub(in crate::net) fn native_u16(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at.checked_add(2)?)?;
    bytes.try_into().ok().map(u16::from_ne_bytes)
}

pub(in crate::net) fn native_u32(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    bytes.try_into().ok().map(u32::from_ne_bytes)
}

pub(in crate::net) fn native_i32(bytes: &[u8], at: usize) -> Option<i32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    bytes.try_into().ok().map(i32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_attributes_are_read_back() {
        let bytes = Writer::default()
            .text(1, "skiff")
            .nest(2, |inner| inner.number(3, 7).signed(4, -100))
            .bytes(5, &[1])
            .finish();
        assert_eq!(bytes.len() % 4, 0);
        let seen: Vec<u16> = read(&bytes).map(|(kind, _)| kind).collect();
        assert_eq!(seen, [1, 2, 5]);
        assert_eq!(find(&bytes, 1).map(as_text), Some("skiff".to_owned()));
        let inner = find(&bytes, 2).unwrap();
        assert_eq!(find(inner, 3).and_then(as_number), Some(7));
        assert_eq!(find(inner, 4), Some(&(-100_i32).to_be_bytes()[..]));
    }

    #[test]
    fn read_of_garbage_ends() {
        assert_eq!(read(&[3, 0, 1, 0]).count(), 0);
        assert_eq!(read(&[0; 64]).count(), 0);
        assert_eq!(read(&[0xff; 7]).count(), 0);
    }
}
