//! Bits of entropy-coded data: high bit first, a zero byte stuffed after each 0xFF (T.81, B.1.1.5 and F.1.2.3).

use super::JpegError;

/// Reads bits up to the next marker; beyond, it gives zeros and remembers.
pub(super) struct BitReader<'a> {
    data: &'a [u8],
    at: usize,
    buffer: u64,
    count: u32,
    invented: u32,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(data: &'a [u8], at: usize) -> Self {
        Self { data, at, buffer: 0, count: 0, invented: 0 }
    }

    fn refill(&mut self) {
        while self.count <= 48 {
            let byte = match (self.data.get(self.at), self.data.get(self.at + 1)) {
                (Some(0xFF), Some(0)) => {
                    self.at += 2;
                    0xFF
                }
                (Some(0xFF), _) | (None, _) => {
                    self.invented += 8;
                    0
                }
                (Some(&byte), _) => {
                    self.at += 1;
                    byte
                }
            };
            self.buffer = self.buffer << 8 | u64::from(byte);
            self.count += 8;
        }
    }

    /// The next 16 bits, without going on.
    pub(super) fn peek16(&mut self) -> usize {
        self.refill();
        (self.buffer >> (self.count - 16)) as usize & 0xFFFF
    }

    /// Goes on by at most 16 bits that were peeked at.
    pub(super) fn skip(&mut self, bits: u32) {
        self.count -= bits;
    }

    /// The next `bits` bits, at most 16.
    pub(super) fn take(&mut self, bits: u32) -> u32 {
        if bits == 0 {
            return 0;
        }
        self.refill();
        self.count -= bits;
        (self.buffer >> self.count) as u32 & ((1 << bits) - 1)
    }

    pub(super) fn bit(&mut self) -> bool {
        self.take(1) == 1
    }

    /// A value of `size` bits with its sign (T.81, F.2.2.1, EXTEND).
    pub(super) fn signed(&mut self, size: u32) -> i32 {
        let value = self.take(size) as i32;
        if size > 0 && value < 1 << (size - 1) { value - (1 << size) + 1 } else { value }
    }

    /// Leaves the rest of the byte and steps over the restart marker that has to follow.
    pub(super) fn restart(&mut self) -> Result<(), JpegError> {
        let at = self.end()?;
        match self.data.get(at..at + 2) {
            Some([0xFF, 0xD0..=0xD7]) => *self = Self::new(self.data, at + 2),
            _ => return Err(JpegError::Broken("a restart marker is missing")),
        }
        Ok(())
    }

    /// That no more bits were taken than there are.
    pub(super) fn check(&self) -> Result<(), JpegError> {
        if self.invented > self.count { Err(JpegError::Broken("a scan is cut short")) } else { Ok(()) }
    }

    /// Where the marker begins that ends the data.
    pub(super) fn end(&mut self) -> Result<usize, JpegError> {
        self.check()?;
        let mut at = self.at;
        while !matches!(self.data.get(at..at + 2), Some([0xFF, 1..=0xFE]) | None) {
            at += 1;
        }
        Ok(at)
    }
}

/// Writes bits, stuffing as it goes.
#[derive(Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    buffer: u64,
    count: u32,
}

impl BitWriter {
    /// Appends the low `bits` bits of `value`, at most 32.
    pub(super) fn put(&mut self, value: u32, bits: u32) {
        self.buffer = self.buffer << bits | (u64::from(value) & ((1 << bits) - 1));
        self.count += bits;
        while self.count >= 8 {
            self.count -= 8;
            let byte = (self.buffer >> self.count) as u8;
            self.bytes.push(byte);
            if byte == 0xFF {
                self.bytes.push(0);
            }
        }
    }

    /// The bytes, the last one filled up with ones.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.put(0x7F, 7);
        self.bytes
    }
}
