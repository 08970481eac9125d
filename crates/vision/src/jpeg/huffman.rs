//! Huffman tables: reading, and the best one for given counts.

use super::JpegError;

/// A table as files hold it: how many codes there are of each length from 1 to 16, and their symbols in order.
#[derive(Clone, Debug)]
pub(super) struct Codes {
    pub(super) counts: [u8; 16],
    pub(super) symbols: Vec<u8>,
}

impl Codes {
    /// Each symbol with its code and the code's length (T.81, C.2).
    pub(super) fn codes(&self) -> Result<Vec<(u8, u32, u32)>, JpegError> {
        let wrong = JpegError::Broken("a Huffman table is impossible");
        let (mut code, mut symbols, mut codes) = (0u32, self.symbols.iter(), Vec::new());
        for (length, &count) in (1u32..).zip(&self.counts) {
            for _ in 0..count {
                if code >= 1 << length {
                    return Err(wrong);
                }
                codes.push((*symbols.next().ok_or(wrong.clone())?, code, length));
                code += 1;
            }
            code <<= 1;
        }
        Ok(codes)
    }

    /// The table that codes these symbol counts in the fewest bits, no code longer than 16 and none of ones only (T.81,
    /// K.2).
    pub(super) fn best_for(counts: &[u64; 256]) -> Self {
        let lengths = limited(code_lengths(counts));
        let mut sorted: Vec<(usize, u8)> = (0..=255).map(|s: u8| (usize::from(s), s)).collect();
        sorted.retain(|(s, _)| counts[*s] > 0);
        sorted.sort_by_key(|(s, _)| (std::cmp::Reverse(counts[*s]), *s));
        Self { counts: lengths, symbols: sorted.into_iter().map(|(_, s)| s).collect() }
    }
}

/// How many codes of each length an unlimited Huffman code has, with one more for the code of ones only, the longest.
fn code_lengths(counts: &[u64; 256]) -> Vec<usize> {
    let mut trees: Vec<(u64, Vec<(usize, u32)>)> =
        counts.iter().enumerate().filter(|(_, n)| **n > 0).map(|(s, n)| (*n, vec![(s, 0)])).collect();
    trees.push((0, vec![(256, 0)]));
    while trees.len() > 1 {
        trees.sort_by_key(|(weight, leaves)| std::cmp::Reverse((*weight, leaves[0].0 != 256)));
        let (Some((a, left)), Some((b, right))) = (trees.pop(), trees.pop()) else { break };
        trees.push((a + b, left.into_iter().chain(right).map(|(s, depth)| (s, depth + 1)).collect()));
    }
    let leaves = trees.pop().map(|(_, leaves)| leaves).unwrap_or_default();
    let mut lengths = vec![0; 258];
    leaves.iter().for_each(|(_, depth)| lengths[*depth as usize] += 1);
    lengths
}

/// Shortens codes beyond 16 bits by lengthening others, then takes away the code of ones only (T.81, figure K.3).
fn limited(mut lengths: Vec<usize>) -> [u8; 16] {
    for long in (17..lengths.len()).rev() {
        while lengths[long] > 0 {
            let Some(short) = (1..long - 1).rev().find(|l| lengths[*l] > 0) else { break };
            lengths[long] -= 2;
            lengths[long - 1] += 1;
            lengths[short + 1] += 2;
            lengths[short] -= 1;
        }
    }
    if let Some(longest) = (1..=16).rev().find(|l| lengths[*l] > 0) {
        lengths[longest] -= 1;
    }
    std::array::from_fn(|i| lengths[i + 1] as u8)
}

/// For every 16 bits that may follow: the symbol they begin with and its code's length (0 for no code).
pub(super) struct Decoder(Vec<(u8, u8)>);

impl Decoder {
    pub(super) fn new(codes: &Codes) -> Result<Self, JpegError> {
        let mut table = vec![(0, 0); 1 << 16];
        for (symbol, code, length) in codes.codes()? {
            let first = (code << (16 - length)) as usize;
            table[first..first + (1 << (16 - length))].fill((symbol, length as u8));
        }
        Ok(Self(table))
    }

    pub(super) fn symbol(&self, bits: &mut super::bits::BitReader) -> Result<u8, JpegError> {
        match self.0[bits.peek16()] {
            (_, 0) => Err(JpegError::Broken("a code that its table does not have")),
            (symbol, length) => {
                bits.skip(u32::from(length));
                Ok(symbol)
            }
        }
    }
}
