//! The protocol's building blocks: little-endian and length-encoded integers, NUL-terminated and length-encoded
//! strings. Reading is bounded and total; writing appends to a `Vec<u8>`.

/// What a packet that does not follow the protocol lacks; the text says which field.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Malformed(pub(crate) String);

/// Reads fields off the front of a packet's payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(payload: &'a [u8]) -> Self {
        Self { rest: payload }
    }

    /// The bytes not yet read.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `count` bytes; `field` names them in the error.
    pub(crate) fn bytes(&mut self, count: usize, field: &str) -> Result<&'a [u8], Malformed> {
        let Some((head, tail)) = self.rest.split_at_checked(count) else {
            let left = self.rest.len();
            return Err(Malformed(format!("{field} needs {count} bytes, the packet has {left} left")));
        };
        self.rest = tail;
        Ok(head)
    }

    /// The next `N` bytes as an array.
    pub(crate) fn array<const N: usize>(&mut self, field: &str) -> Result<[u8; N], Malformed> {
        let mut array = [0; N];
        array.copy_from_slice(self.bytes(N, field)?);
        Ok(array)
    }

    pub(crate) fn u8(&mut self, field: &str) -> Result<u8, Malformed> {
        self.array::<1>(field).map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self, field: &str) -> Result<u16, Malformed> {
        self.array(field).map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self, field: &str) -> Result<u32, Malformed> {
        self.array(field).map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self, field: &str) -> Result<u64, Malformed> {
        self.array(field).map(u64::from_le_bytes)
    }

    /// A length-encoded integer. 0xFB (NULL) and 0xFF are no integers.
    pub(crate) fn lenenc_int(&mut self, field: &str) -> Result<u64, Malformed> {
        match self.u8(field)? {
            0xFC => self.u16(field).map(u64::from),
            0xFD => {
                let [a, b, c] = self.array(field)?;
                Ok(u64::from(u32::from_le_bytes([a, b, c, 0])))
            }
            0xFE => self.u64(field),
            marker @ (0xFB | 0xFF) => {
                Err(Malformed(format!("{field} starts with 0x{marker:02X}, which is no length")))
            }
            small => Ok(u64::from(small)),
        }
    }

    /// A string with a length-encoded length.
    pub(crate) fn lenenc_bytes(&mut self, field: &str) -> Result<&'a [u8], Malformed> {
        let length = self.lenenc_int(field)?;
        let length = usize::try_from(length)
            .map_err(|_| Malformed(format!("{field} claims {length} bytes, more than a packet can hold")))?;
        self.bytes(length, field)
    }

    /// A string up to a NUL byte, which is consumed.
    pub(crate) fn nul_bytes(&mut self, field: &str) -> Result<&'a [u8], Malformed> {
        let Some(end) = self.rest.iter().position(|byte| *byte == 0) else {
            return Err(Malformed(format!("{field} is not ended by a zero byte")));
        };
        let text = self.bytes(end, field)?;
        self.bytes(1, field)?;
        Ok(text)
    }

    /// A string up to a NUL byte or, as some clients leave the last NUL out, to the end of the packet.
    pub(crate) fn nul_or_end_bytes(&mut self) -> &'a [u8] {
        let end = self.rest.iter().position(|byte| *byte == 0);
        let (text, rest) = match end.and_then(|at| self.rest.split_at_checked(at)) {
            Some((text, rest)) => (text, rest.get(1..).unwrap_or_default()),
            None => (self.rest, Default::default()),
        };
        self.rest = rest;
        text
    }
}

/// `bytes` as text; the protocol is spoken in UTF-8 only.
pub(crate) fn utf8<'a>(bytes: &'a [u8], field: &str) -> Result<&'a str, Malformed> {
    std::str::from_utf8(bytes).map_err(|error| Malformed(format!("{field} is not UTF-8: {error}")))
}

/// Appends a length-encoded integer.
pub(crate) fn put_lenenc_int(out: &mut Vec<u8>, value: u64) {
    let bytes = value.to_le_bytes();
    let (marker, count) = match value {
        0..=0xFA => (None, 1),
        0xFB..=0xFFFF => (Some(0xFC), 2),
        0x1_0000..=0xFF_FFFF => (Some(0xFD), 3),
        _ => (Some(0xFE), 8),
    };
    out.extend(marker);
    out.extend_from_slice(bytes.get(..count).unwrap_or_default());
}

/// Appends a string with a length-encoded length.
pub(crate) fn put_lenenc_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_lenenc_int(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lenenc_integers_have_four_widths() {
        let check = |value: u64, expected: &[u8]| {
            let mut out = Vec::new();
            put_lenenc_int(&mut out, value);
            assert_eq!(out, expected, "writing {value}");
            assert_eq!(Reader::new(&out).lenenc_int("n").unwrap(), value, "reading back");
        };
        check(0, &[0]);
        check(250, &[250]);
        check(251, &[0xFC, 251, 0]);
        check(65_535, &[0xFC, 0xFF, 0xFF]);
        check(65_536, &[0xFD, 0, 0, 1]);
        check(16_777_215, &[0xFD, 0xFF, 0xFF, 0xFF]);
        check(16_777_216, &[0xFE, 0, 0, 0, 1, 0, 0, 0, 0]);
        check(u64::MAX, &[0xFE, 255, 255, 255, 255, 255, 255, 255, 255]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let check = |error: Malformed, expected: &str| assert_eq!(error.to_string(), expected);
        check(Reader::new(&[1]).u32("id").unwrap_err(), "id needs 4 bytes, the packet has 1 left");
        check(Reader::new(&[0xFB]).lenenc_int("n").unwrap_err(), "n starts with 0xFB, which is no length");
        check(Reader::new(b"abc").nul_bytes("user").unwrap_err(), "user is not ended by a zero byte");
        let huge = [0xFE, 255, 255, 255, 255, 255, 255, 255, 255, 1];
        let error = Reader::new(&huge).lenenc_bytes("name").unwrap_err();
        assert!(error.to_string().starts_with("name needs 18446744073709551615 bytes"), "{error}");
    }

    #[test]
    fn a_last_string_may_lack_its_nul() {
        let mut reader = Reader::new(b"one\0two");
        assert_eq!(reader.nul_or_end_bytes(), b"one");
        assert_eq!(reader.nul_or_end_bytes(), b"two");
        assert_eq!(reader.nul_or_end_bytes(), b"");
    }

    proptest! {
        #[test]
        fn lenenc_strings_survive(text in proptest::collection::vec(any::<u8>(), 0..70_000)) {
            let mut out = Vec::new();
            put_lenenc_bytes(&mut out, &text);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.lenenc_bytes("text").unwrap(), &text[..]);
            prop_assert!(reader.is_empty());
        }
    }
}
