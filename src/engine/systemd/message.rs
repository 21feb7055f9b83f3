//! Messages: "Message Format" and "Header Fields" of the D-Bus specification.

use super::error::SystemdError;
use super::value::{Reader, Writer};

/// The fixed part of a header up to the length of its fields.
pub(super) const FIXED: usize = 16;

/// "The maximum length of a message […] is 2 to the 27th power".
const LONGEST: usize = 1 << 27;

const LITTLE: u8 = b'l';
const BIG: u8 = b'B';
const VERSION: u8 = 1;

/// Header fields by number.
const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const ERROR_NAME: u8 = 4;
const REPLY_SERIAL: u8 = 5;
const DESTINATION: u8 = 6;
const SIGNATURE: u8 = 8;

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Call,
    Return,
    Error,
    Signal,
    /// "Message types that they don't understand must be ignored."
    Other,
}

/// A method to be called.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) destination: &'a str,
    pub(super) path: &'a str,
    pub(super) interface: &'a str,
    pub(super) member: &'a str,
    pub(super) signature: &'a str,
    pub(super) body: Vec<u8>,
}

impl Call<'_> {
    /// The bytes of the call, with this number for the answer to name.
    pub(super) fn encode(&self, serial: u32) -> Vec<u8> {
        let mut header = Writer::default();
        for byte in [LITTLE, 1, 0, VERSION] {
            header.byte(byte);
        }
        header.u32(u32::try_from(self.body.len()).unwrap_or(u32::MAX));
        header.u32(serial);
        header.array(8, |fields| {
            for (number, kind, text) in [
                (PATH, "o", self.path),
                (DESTINATION, "s", self.destination),
                (INTERFACE, "s", self.interface),
                (MEMBER, "s", self.member),
            ] {
                fields.align(8);
                fields.byte(number);
                fields.signature(kind);
                fields.text(text);
            }
            fields.align(8);
            fields.byte(SIGNATURE);
            fields.signature("g");
            fields.signature(self.signature);
        });
        header.align(8);
        let mut bytes = header.finish();
        bytes.extend(&self.body);
        bytes
    }
}

/// A message that came.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Incoming {
    pub(super) kind: Kind,
    pub(super) interface: String,
    pub(super) member: String,
    pub(super) error: String,
    pub(super) reply_to: Option<u32>,
    pub(super) signature: String,
    body: Vec<u8>,
    big: bool,
}

impl Incoming {
    /// A reader of its arguments.
    pub(super) fn arguments(&self) -> Reader<'_> {
        Reader::new(&self.body, self.big)
    }
}

fn order(first: u8) -> Result<bool, SystemdError> {
    match first {
        LITTLE => Ok(false),
        BIG => Ok(true),
        _ => Err(SystemdError::Protocol("a message of no byte order")),
    }
}

/// How long the message is that begins so: all of it, and its body.
pub(super) fn lengths(fixed: &[u8; FIXED]) -> Result<(usize, usize), SystemdError> {
    let [first, _, _, version, ..] = *fixed;
    let mut reader = Reader::new(fixed, order(first)?);
    if version != VERSION {
        return Err(SystemdError::Protocol("another version of the protocol"));
    }
    let (body, _serial) = (reader.skip_to_lengths()?, reader.u32()?);
    let fields = reader.u32()?;
    let too_long = SystemdError::Protocol("a message that is too long");
    let whole = (|| {
        let fields = usize::try_from(fields).ok()?.checked_next_multiple_of(8)?;
        let body = usize::try_from(body).ok()?;
        let whole = FIXED.checked_add(fields)?.checked_add(body)?;
        (whole <= LONGEST).then_some((whole, body))
    })();
    whole.ok_or(too_long)
}

/// Reads a message of the length that [`lengths`] said.
pub(super) fn decode(bytes: &[u8]) -> Result<Incoming, SystemdError> {
    let fixed: &[u8; FIXED] = bytes
        .first_chunk()
        .ok_or(SystemdError::Protocol("a message that is cut short"))?;
    let (whole, body) = lengths(fixed)?;
    let [first, kind, ..] = *fixed;
    let big = order(first)?;
    let body = bytes
        .get(whole - body..whole)
        .ok_or(SystemdError::Protocol("a message that is cut short"))?;
    let mut incoming = Incoming {
        kind: match kind {
            1 => Kind::Call,
            2 => Kind::Return,
            3 => Kind::Error,
            4 => Kind::Signal,
            _ => Kind::Other,
        },
        interface: String::new(),
        member: String::new(),
        error: String::new(),
        reply_to: None,
        signature: String::new(),
        body: body.to_vec(),
        big,
    };
    let mut reader = Reader::new(bytes, big);
    reader.skip_to_lengths()?;
    reader.u32()?;
    let mut fields = reader.array(8)?;
    while !fields.is_at_end() {
        fields.align(8);
        let number = fields.byte()?;
        // Every field of the specification is one of these.
        match (number, fields.signature()?) {
            (INTERFACE, "s") => fields.text()?.clone_into(&mut incoming.interface),
            (MEMBER, "s") => fields.text()?.clone_into(&mut incoming.member),
            (ERROR_NAME, "s") => fields.text()?.clone_into(&mut incoming.error),
            (REPLY_SERIAL, "u") => incoming.reply_to = Some(fields.u32()?),
            (SIGNATURE, "g") => fields.signature()?.clone_into(&mut incoming.signature),
            (_, "s" | "o") => drop(fields.text()?),
            (_, "u") => drop(fields.u32()?),
            (_, "g") => drop(fields.signature()?),
            _ => return Err(SystemdError::Protocol("a header field of no known type")),
        }
    }
    Ok(incoming)
}

impl Reader<'_> {
    /// From the first byte over the four that are no numbers; answers the
    /// body's length.
    fn skip_to_lengths(&mut self) -> Result<u32, SystemdError> {
        for _ in 0..4 {
            self.byte()?;
        }
        self.u32()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_byte_by_byte() {
        let mut body = Writer::default();
        body.text("x");
        let call = Call {
            destination: "a.b",
            path: "/c",
            interface: "d.e",
            member: "F",
            signature: "s",
            body: body.finish(),
        };
        let expected: &[u8] = b"l\x01\0\x01\
            \x06\0\0\0\
            \x07\0\0\0\
            \x47\0\0\0\
            \x01\x01o\0\x02\0\0\0/c\0\0\0\0\0\0\
            \x06\x01s\0\x03\0\0\0a.b\0\0\0\0\0\
            \x02\x01s\0\x03\0\0\0d.e\0\0\0\0\0\
            \x03\x01s\0\x01\0\0\0F\0\0\0\0\0\0\0\
            \x08\x01g\0\x01s\0\0\
            \x01\0\0\0x\0";
        let encoded = call.encode(7);
        assert_eq!(encoded, expected);
        let fixed = encoded.first_chunk().unwrap();
        assert_eq!(lengths(fixed).unwrap(), (encoded.len(), 6));
    }

    #[test]
    fn an_error_in_big_endian_is_read() {
        let bytes: &[u8] = b"B\x03\x01\x01\
            \0\0\0\x07\
            \0\0\0\x02\
            \0\0\0\x1f\
            \x04\x01s\0\0\0\0\x03x.y\0\0\0\0\0\
            \x05\x01u\0\0\0\0\x07\
            \x08\x01g\0\x01s\0\0\
            \0\0\0\x02no\0";
        let incoming = decode(bytes).unwrap();
        assert_eq!(incoming.kind, Kind::Error);
        assert_eq!(incoming.error, "x.y");
        assert_eq!(incoming.reply_to, Some(7));
        assert_eq!(incoming.signature, "s");
        assert_eq!(incoming.arguments().text().unwrap(), "no");
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        let good = b"l\x02\x01\x01\0\0\0\0\x01\0\0\0\x08\0\0\0\x05\x01u\0\x07\0\0\0";
        assert_eq!(decode(good).unwrap().reply_to, Some(7));
        let change = |at: usize, byte: u8| {
            let mut bytes = good.to_vec();
            bytes[at] = byte;
            decode(&bytes)
        };
        for (at, byte, why) in [
            (0, b'x', "no byte order"),
            (3, 2, "another version"),
            (7, 0x7f, "a body that is too long"),
            (15, 0x7f, "fields that are too long"),
            (12, 0x10, "fields beyond the end"),
            (17, 200, "a signature beyond the end"),
            (18, b'v', "a field of another type"),
        ] {
            assert!(change(at, byte).is_err(), "{why}");
        }
        for end in 0..good.len() {
            assert!(decode(&good[..end]).is_err(), "{end}");
        }
    }
}
