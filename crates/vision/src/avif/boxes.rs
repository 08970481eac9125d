//! Boxes of ISO base media files (ISO/IEC 14496-12, 4.2), read without trust in what they say about their length.

/// A box's kind and content.
pub(super) struct IsoBox<'a> {
    pub kind: [u8; 4],
    pub content: &'a [u8],
}

/// The boxes that follow one another in `bytes`, up to one that does not fit.
pub(super) fn boxes(mut bytes: &[u8]) -> impl Iterator<Item = IsoBox<'_>> {
    std::iter::from_fn(move || {
        let (found, rest) = first(bytes)?;
        bytes = rest;
        Some(found)
    })
}

fn first(bytes: &[u8]) -> Option<(IsoBox<'_>, &[u8])> {
    let kind: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
    let (head, length) = match u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?) {
        0 => (8, bytes.len()),
        1 => (16, usize::try_from(u64::from_be_bytes(bytes.get(8..16)?.try_into().ok()?)).ok()?),
        length => (8, length as usize),
    };
    let content = bytes.get(head..length)?;
    Some((IsoBox { kind, content }, &bytes[length..]))
}

/// The content of the first box of a kind.
pub(super) fn find<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    boxes(bytes).find(|found| found.kind == *kind).map(|found| found.content)
}

/// Numbers read one after another, most significant byte first.
pub(super) struct Numbers<'a>(pub &'a [u8]);

impl<'a> Numbers<'a> {
    /// The next number of so many bytes, at most 8 (0 for 0 bytes); `None` at the end.
    pub fn next(&mut self, length: usize) -> Option<u64> {
        let bytes = self.take(length)?;
        Some(bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    pub fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    /// The version and the flags that a full box begins with.
    pub fn version(&mut self) -> Option<(u64, u64)> {
        Some((self.next(1)?, self.next(3)?))
    }
}

/// A box as it is written.
pub(super) fn boxed(kind: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let length = 8 + parts.iter().map(|part| part.len()).sum::<usize>();
    let mut bytes = (length as u32).to_be_bytes().to_vec();
    bytes.extend(kind);
    parts.iter().for_each(|part| bytes.extend(*part));
    bytes
}

/// A full box: with version and flags.
pub(super) fn full(kind: &[u8; 4], version: u8, flags: u32, parts: &[&[u8]]) -> Vec<u8> {
    let head = (u32::from(version) << 24 | flags).to_be_bytes();
    boxed(kind, &[&[head.as_slice()], parts].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let bytes = [boxed(b"free", &[b"ab", b"c"]), full(b"pitm", 1, 2, &[&[0, 7]])].concat();
        assert_eq!(find(&bytes, b"free"), Some(&b"abc"[..]));
        let mut numbers = Numbers(find(&bytes, b"pitm").unwrap());
        assert_eq!((numbers.version(), numbers.next(2), numbers.next(1)), (Some((1, 2)), Some(7), None));
    }

    #[test]
    fn lengths_that_lie_end_the_reading() {
        for length in [1u32, 2, 7, 9, 100, u32::MAX] {
            let bytes = [&length.to_be_bytes()[..], b"free"].concat();
            assert_eq!(boxes(&bytes).count(), 0, "{length}");
        }
        let long = [&1u32.to_be_bytes()[..], b"free", &u64::MAX.to_be_bytes()].concat();
        assert_eq!(boxes(&long).count(), 0);
        assert_eq!(boxes(b"\0\0\0\0mdatxyz").count(), 1, "a length of 0 means up to the end");
    }
}
