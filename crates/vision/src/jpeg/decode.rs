//! From a file's bytes to its coefficients: baseline, extended and progressive Huffman coding (T.81, annexes F and G).

use super::bits::BitReader;
use super::blocks::each_block;
use super::huffman::{Codes, Decoder};
use super::markers::{self, Scan, Tables};
use super::{Block, Jpeg, JpegError, Segment, ZIGZAG};

const NO_TABLE: JpegError = JpegError::Broken("a table is missing");

/// Encoders write about ten. Each can cost as much time as the whole picture in a few bytes, so the decoder of `image` takes no
/// more than this either.
const MOST_SCANS: usize = 100;

/// Reads a JPEG's coefficients and segments. What follows the end of the image is left out.
pub(crate) fn decode(bytes: &[u8]) -> Result<Jpeg, JpegError> {
    let (mut tables, mut segments, mut at) = (Tables::default(), Vec::new(), 0);
    let (mut jpeg, numbers) = loop {
        let (marker, data, next) = markers::next(bytes, at)?;
        at = next;
        match marker {
            0xC0..=0xC2 => break markers::frame(marker, data, segments)?,
            0xC9 | 0xCA => return Err(JpegError::Unsupported("arithmetic-coded")),
            0xC3 | 0xC5..=0xC7 | 0xCB | 0xCD..=0xCF => return Err(JpegError::Unsupported("lossless and hierarchical")),
            0xD9 => return Err(JpegError::Broken("it has no picture")),
            _ => before_scan(marker, data, &mut tables, &mut segments)?,
        }
    };
    let (mut seen, mut late, mut scans) = (vec![false; numbers.len()], Vec::new(), 0);
    loop {
        let (marker, data, next) = markers::next(bytes, at)?;
        at = next;
        match marker {
            0xD9 => break,
            0xDA => {
                scans += 1;
                if scans > MOST_SCANS {
                    return Err(JpegError::Unsupported("more than 100 times scanned"));
                }
                let scan = markers::scan(data, &jpeg)?;
                for &(index, ..) in &scan.parts {
                    if !std::mem::replace(&mut seen[index], true) {
                        jpeg.components[index].table = tables.quantisation[numbers[index]].ok_or(NO_TABLE)?;
                    }
                }
                at = read_scan(&mut jpeg, &tables, &scan, bytes, at)?;
            }
            0xDC => return Err(JpegError::Unsupported("late-sized")),
            _ => before_scan(marker, data, &mut tables, &mut late)?,
        }
    }
    jpeg.segments.append(&mut late);
    // 8 bits, level-shifted and transformed, stay within ±1024; more is damage, and would not fit into codes either.
    if jpeg
        .components
        .iter()
        .flat_map(|component| &component.blocks)
        .flatten()
        .any(|value| !(-2047..2048).contains(value))
    {
        return Err(JpegError::Broken("a coefficient is too large"));
    }
    if seen.contains(&false) { Err(JpegError::Broken("a channel is missing")) } else { Ok(jpeg) }
}

/// The application and comment segments before the first scan, as far as they can be read.
pub(crate) fn segments(bytes: &[u8]) -> Vec<Segment> {
    let (mut segments, mut at) = (Vec::new(), 0);
    while let Ok((marker, data, next)) = markers::next(bytes, at) {
        match marker {
            0xD9 | 0xDA => break,
            0xE0..=0xEF | 0xFE => segments.push(Segment { marker, data: data.to_vec() }),
            _ => {}
        }
        at = next;
    }
    segments
}

fn before_scan(marker: u8, data: &[u8], tables: &mut Tables, segments: &mut Vec<Segment>) -> Result<(), JpegError> {
    match marker {
        0xDB => tables.set_quantisation(data),
        0xC4 => tables.set_huffman(data),
        0xDD => tables.set_restart(data),
        0xE0..=0xEF | 0xFE => {
            segments.push(Segment { marker, data: data.to_vec() });
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Decodes one scan into the picture; where the marker behind it begins.
fn read_scan(jpeg: &mut Jpeg, tables: &Tables, scan: &Scan, bytes: &[u8], at: usize) -> Result<usize, JpegError> {
    let components: Vec<usize> = scan.parts.iter().map(|part| part.0).collect();
    let decoders = scan.parts.iter().map(|&(_, dc, ac)| Ok((decoder(&tables.dc[dc])?, decoder(&tables.ac[ac])?)));
    let decoders: Vec<_> = decoders.collect::<Result<_, JpegError>>()?;
    let mut all: Vec<Vec<Block>> =
        components.iter().map(|&index| std::mem::take(&mut jpeg.components[index].blocks)).collect();
    let mut state = State { bits: BitReader::new(bytes, at), before: [0; 4], run: 0 };
    let mut mcus = 0;
    each_block(jpeg, &components, |part, index, first| {
        if first {
            state.bits.check()?;
            if tables.restart > 0 && mcus > 0 && mcus % tables.restart == 0 {
                state.bits.restart()?;
                (state.before, state.run) = ([0; 4], 0);
            }
            mcus += 1;
        }
        let block = &mut all[part][index];
        let (dc, ac) = (decoders[part].0.as_ref(), decoders[part].1.as_ref());
        match (jpeg.progressive, scan.band.0, scan.high) {
            (false, ..) => state.whole(block, part, dc.ok_or(NO_TABLE)?, ac.ok_or(NO_TABLE)?),
            (true, 0, 0) => state.dc_first(block, part, dc.ok_or(NO_TABLE)?, scan.low),
            (true, 0, _) => {
                block[0] |= i16::from(state.bits.bit()) << scan.low;
                Ok(())
            }
            (true, _, 0) => state.ac_first(block, ac.ok_or(NO_TABLE)?, scan),
            (true, ..) => state.ac_refined(block, ac.ok_or(NO_TABLE)?, scan),
        }
    })?;
    components.iter().zip(all).for_each(|(&index, blocks)| jpeg.components[index].blocks = blocks);
    state.bits.end()
}

/// Made for each scan anew: a file may set tables that it never uses, and one takes as much room as a small picture.
fn decoder(codes: &Option<Codes>) -> Result<Option<Decoder>, JpegError> {
    codes.as_ref().map(Decoder::new).transpose()
}

struct State<'a> {
    bits: BitReader<'a>,
    /// The DC value before, by part of the scan.
    before: [i32; 4],
    /// Blocks left without further coefficients in the band.
    run: u32,
}

const BEYOND: JpegError = JpegError::Broken("a block has more than 64 coefficients");

impl State<'_> {
    fn dc(&mut self, part: usize, table: &Decoder) -> Result<i32, JpegError> {
        let size = u32::from(table.symbol(&mut self.bits)?);
        if size > 15 {
            return Err(JpegError::Broken("a step between blocks is impossible"));
        }
        self.before[part] = self.before[part].wrapping_add(self.bits.signed(size));
        Ok(self.before[part])
    }

    /// A block of a sequential scan (T.81, F.2.2).
    fn whole(&mut self, block: &mut Block, part: usize, dc: &Decoder, ac: &Decoder) -> Result<(), JpegError> {
        block[0] = self.dc(part, dc)? as i16;
        let mut k = 1;
        while k < 64 {
            let symbol = ac.symbol(&mut self.bits)?;
            let (zeros, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
            match (zeros, size) {
                (15, 0) => k += 16,
                (_, 0) => break,
                _ => {
                    k += zeros;
                    *block.get_mut(*ZIGZAG.get(k).ok_or(BEYOND)?).ok_or(BEYOND)? = self.bits.signed(size) as i16;
                    k += 1;
                }
            }
        }
        Ok(())
    }

    fn dc_first(&mut self, block: &mut Block, part: usize, dc: &Decoder, low: u32) -> Result<(), JpegError> {
        block[0] = (self.dc(part, dc)? << low) as i16;
        Ok(())
    }

    /// A block of a band's first scan (T.81, G.1.2.2).
    fn ac_first(&mut self, block: &mut Block, ac: &Decoder, scan: &Scan) -> Result<(), JpegError> {
        if self.run > 0 {
            self.run -= 1;
            return Ok(());
        }
        let mut k = scan.band.0;
        while k <= scan.band.1 {
            let symbol = ac.symbol(&mut self.bits)?;
            let (zeros, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
            match (zeros, size) {
                (15, 0) => k += 16,
                (_, 0) => {
                    self.run = (1 << zeros) - 1 + self.bits.take(zeros);
                    break;
                }
                _ => {
                    k += zeros as usize;
                    block[*ZIGZAG.get(k).ok_or(BEYOND)?] = (self.bits.signed(size) << scan.low) as i16;
                    k += 1;
                }
            }
        }
        Ok(())
    }

    /// A block of a band's later scan: one more bit for what is not 0 yet, and new values of that size (T.81, G.1.2.3).
    fn ac_refined(&mut self, block: &mut Block, ac: &Decoder, scan: &Scan) -> Result<(), JpegError> {
        let (mut k, step) = (scan.band.0, 1i16 << scan.low);
        while self.run == 0 && k <= scan.band.1 {
            let symbol = ac.symbol(&mut self.bits)?;
            let (mut zeros, size) = (u32::from(symbol >> 4), symbol & 15);
            let mut value = 0;
            if size > 0 {
                value = if self.bits.bit() { step } else { -step };
            } else if zeros < 15 {
                self.run = (1 << zeros) + self.bits.take(zeros);
                break;
            }
            while k <= scan.band.1 {
                let place = &mut block[ZIGZAG[k]];
                if *place != 0 {
                    refine(place, step, &mut self.bits);
                } else if zeros == 0 {
                    *place = value;
                    k += 1;
                    break;
                } else {
                    zeros -= 1;
                }
                k += 1;
            }
        }
        if self.run > 0 {
            (k..=scan.band.1)
                .map(|k| ZIGZAG[k])
                .filter(|place| block[*place] != 0)
                .collect::<Vec<_>>()
                .into_iter()
                .for_each(|place| refine(&mut block[place], step, &mut self.bits));
            self.run -= 1;
        }
        Ok(())
    }
}

/// One more bit of a value that is not 0.
fn refine(value: &mut i16, step: i16, bits: &mut BitReader) {
    if bits.bit() && *value & step == 0 {
        *value = value.wrapping_add(if *value > 0 { step } else { -step });
    }
}
