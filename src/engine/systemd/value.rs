//! Values on the wire: "Type System" and "Marshaling (Wire Format)" of the
//! D-Bus specification, as far as the calls here need them.

use super::error::SystemdError;

/// A property's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Bool(bool),
    I32(i32),
    U64(u64),
    Text(&'a str),
    Texts(&'a [&'a str]),
    U32s(&'a [u32]),
}

impl Value<'_> {
    fn signature(&self) -> &'static str {
        match self {
            Self::Bool(_) => "b",
            Self::I32(_) => "i",
            Self::U64(_) => "t",
            Self::Text(_) => "s",
            Self::Texts(_) => "as",
            Self::U32s(_) => "au",
        }
    }
}

/// Writes values, little-endian. Alignment counts from the first byte, so a
/// header and a body each have a writer of their own.
#[derive(Debug, Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn finish(self) -> Vec<u8> {
        self.bytes
    }

    /// Fills with zeros up to a multiple of this.
    pub(super) fn align(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }

    pub(super) fn byte(&mut self, value: u8) {
        self.bytes.push(value);
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.align(4);
        self.bytes.extend(value.to_le_bytes());
    }

    /// A string or an object path: its length in 4 bytes, its text, a zero.
    pub(super) fn text(&mut self, value: &str) {
        self.u32(length(value.len()));
        self.bytes.extend(value.as_bytes());
        self.byte(0);
    }

    /// A signature: its length in 1 byte, its text, a zero.
    pub(super) fn signature(&mut self, value: &str) {
        self.byte(u8::try_from(value.len()).unwrap_or(u8::MAX));
        self.bytes.extend(value.as_bytes());
        self.byte(0);
    }

    /// An array whose elements begin at multiples of `align`. The length does
    /// not count the padding before the first.
    pub(super) fn array(&mut self, align: usize, fill: impl FnOnce(&mut Self)) {
        self.u32(0);
        let place = self.bytes.len() - 4;
        self.align(align);
        let start = self.bytes.len();
        fill(self);
        let size = length(self.bytes.len() - start).to_le_bytes();
        if let Some(field) = self.bytes.get_mut(place..place + 4) {
            field.copy_from_slice(&size);
        }
    }

    pub(super) fn variant(&mut self, value: &Value<'_>) {
        self.signature(value.signature());
        match value {
            Value::Bool(value) => self.u32(u32::from(*value)),
            Value::I32(value) => {
                self.align(4);
                self.bytes.extend(value.to_le_bytes());
            }
            Value::U64(value) => {
                self.align(8);
                self.bytes.extend(value.to_le_bytes());
            }
            Value::Text(value) => self.text(value),
            Value::Texts(values) => self.array(4, |array| {
                for value in *values {
                    array.text(value);
                }
            }),
            Value::U32s(values) => self.array(4, |array| {
                for value in *values {
                    array.u32(*value);
                }
            }),
        }
    }

    /// `a(sv)`: names with their values.
    pub(super) fn properties(&mut self, properties: &[(&str, Value<'_>)]) {
        self.array(8, |array| {
            for (name, value) in properties {
                array.align(8);
                array.text(name);
                array.variant(value);
            }
        });
    }
}

/// Nothing here comes near 4 GiB.
fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// Reads values in the byte order of whoever wrote them.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    big: bool,
}

/// The text ends before the value does, or is none.
const SHORT: SystemdError = SystemdError::Protocol("a value that is cut short");

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], big: bool) -> Self {
        Self { bytes, at: 0, big }
    }

    pub(super) fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], SystemdError> {
        let end = self.at.checked_add(count).ok_or(SHORT)?;
        let taken = self.bytes.get(self.at..end).ok_or(SHORT)?;
        self.at = end;
        Ok(taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, SystemdError> {
        self.take(1)?.first().copied().ok_or(SHORT)
    }

    pub(super) fn u32(&mut self) -> Result<u32, SystemdError> {
        self.align(4);
        let bytes: [u8; 4] = self.take(4)?.try_into().map_err(|_| SHORT)?;
        Ok(if self.big {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        })
    }

    fn size(&mut self) -> Result<usize, SystemdError> {
        usize::try_from(self.u32()?).map_err(|_| SHORT)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, SystemdError> {
        let size = self.size()?;
        self.text_of(size)
    }

    pub(super) fn signature(&mut self) -> Result<&'a str, SystemdError> {
        let size = self.byte()?;
        self.text_of(size.into())
    }

    fn text_of(&mut self, size: usize) -> Result<&'a str, SystemdError> {
        let text = self.take(size)?;
        self.byte()?;
        std::str::from_utf8(text).map_err(|_| SystemdError::Protocol("a text that is not UTF-8"))
    }

    /// A reader of an array's elements, which begin at multiples of `align`.
    pub(super) fn array(&mut self, align: usize) -> Result<Self, SystemdError> {
        let size = self.size()?;
        self.align(align);
        let start = self.at;
        self.take(size)?;
        Ok(Self {
            // From the first byte on, as alignment counts from there.
            bytes: self.bytes.get(..self.at).ok_or(SHORT)?,
            at: start,
            big: self.big,
        })
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
        let mut writer = Writer::default();
        write(&mut writer);
        writer.finish()
    }

    /// The examples of the chapter "Marshaling (Wire Format)".
    #[test]
    fn the_specifications_examples() {
        let two = written(|w| {
            w.text("foo");
            w.text("+");
            w.text("bar");
        });
        let expected = b"\x03\0\0\0foo\0\x01\0\0\0+\0\0\0\x03\0\0\0bar\0";
        assert_eq!(two, expected);
        // An array of one 64-bit 5: the padding does not count.
        let array = written(|w| {
            w.array(8, |array| {
                array.align(8);
                array.bytes.extend(5_u64.to_le_bytes());
            });
        });
        assert_eq!(array, b"\x08\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0");
    }

    #[test]
    fn variants_carry_their_signature() {
        let cases: [(Value<'_>, &[u8]); 7] = [
            (Value::Bool(true), b"\x01b\0\0\x01\0\0\0"),
            (Value::I32(-2), b"\x01i\0\0\xfe\xff\xff\xff"),
            (Value::U64(7), b"\x01t\0\0\0\0\0\0\x07\0\0\0\0\0\0\0"),
            (Value::Text("ab"), b"\x01s\0\0\x02\0\0\0ab\0"),
            (
                Value::Texts(&["a", "b"]),
                b"\x02as\0\x0e\0\0\0\x01\0\0\0a\0\0\0\x01\0\0\0b\0",
            ),
            (
                Value::U32s(&[1, 258]),
                b"\x02au\0\x08\0\0\0\x01\0\0\0\x02\x01\0\0",
            ),
            (Value::U32s(&[]), b"\x02au\0\0\0\0\0"),
        ];
        for (value, bytes) in cases {
            assert_eq!(written(|w| w.variant(&value)), bytes, "{value:?}");
        }
    }

    #[test]
    fn properties_begin_at_multiples_of_eight() {
        let bytes = written(|w| w.properties(&[("A", Value::Text("x")), ("B", Value::Bool(true))]));
        let expected = b"\x28\0\0\0\0\0\0\0\
            \x01\0\0\0A\0\x01s\0\0\0\0\x01\0\0\0x\0\
            \0\0\0\0\0\0\
            \x01\0\0\0B\0\x01b\0\0\0\0\x01\0\0\0";
        assert_eq!(bytes, expected);
    }

    #[test]
    fn both_byte_orders_are_read() {
        let mut little = Reader::new(b"\x02\0\0\0\x03\0\0\0foo\0", false);
        assert_eq!(little.u32().unwrap(), 2);
        assert_eq!(little.text().unwrap(), "foo");
        assert!(little.is_at_end());
        let mut big = Reader::new(b"\0\0\0\x02\0\0\0\x03foo\0", true);
        assert_eq!(big.u32().unwrap(), 2);
        assert_eq!(big.text().unwrap(), "foo");
    }

    #[test]
    fn what_is_cut_short_is_an_error() {
        let whole = b"\x03\0\0\0foo\0";
        for end in 0..whole.len() {
            assert!(Reader::new(&whole[..end], false).text().is_err(), "{end}");
        }
        assert!(Reader::new(b"\xff\xff\xff\xffx\0", false).text().is_err());
        assert!(Reader::new(b"\xff\xff\xff\xff", false).array(8).is_err());
        assert!(Reader::new(b"\x02\0\0\0\xff\xfe\0", false).text().is_err());
    }
}
