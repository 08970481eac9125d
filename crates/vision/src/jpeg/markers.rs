//! Marker segments: tables, frame and scan headers (T.81, annex B).

use super::huffman::Codes;
use super::{Component, Jpeg, JpegError, Segment, ZIGZAG};
use crate::photo::MAX_MEGAPIXELS;

/// What marker segments have set so far.
#[derive(Default)]
pub(super) struct Tables {
    pub(super) quantisation: [Option<[u16; 64]>; 4],
    pub(super) dc: [Option<Codes>; 4],
    pub(super) ac: [Option<Codes>; 4],
    /// MCUs between restart markers; 0 for none.
    pub(super) restart: usize,
}

/// A scan's header.
pub(super) struct Scan {
    /// (index of the component, DC table, AC table)
    pub(super) parts: Vec<(usize, usize, usize)>,
    /// First and last coefficient in zigzag order.
    pub(super) band: (usize, usize),
    /// Bits left out before this scan (0 in the first), and after it.
    pub(super) high: u32,
    pub(super) low: u32,
}

const SHORT: JpegError = JpegError::Broken("a segment is cut short");

/// A big-endian number of two bytes.
fn pair(data: &[u8], at: usize) -> Result<u16, JpegError> {
    data.get(at..at + 2).map(|b| u16::from_be_bytes([b[0], b[1]])).ok_or(SHORT)
}

/// The marker at or after `at` and its segment's content; where the next one begins.
pub(super) fn next(bytes: &[u8], mut at: usize) -> Result<(u8, &[u8], usize), JpegError> {
    if bytes.get(at) != Some(&0xFF) {
        return Err(JpegError::Broken("a marker is missing"));
    }
    while bytes.get(at + 1) == Some(&0xFF) {
        at += 1;
    }
    let marker = *bytes.get(at + 1).ok_or(SHORT)?;
    if matches!(marker, 0x01 | 0xD0..=0xD9) {
        return Ok((marker, &[], at + 2));
    }
    let end = at + 2 + usize::from(pair(bytes, at + 2)?);
    let data = bytes.get(at + 4..end).ok_or(SHORT)?;
    Ok((marker, data, end))
}

impl Tables {
    /// Takes in DQT's content.
    pub(super) fn set_quantisation(&mut self, mut data: &[u8]) -> Result<(), JpegError> {
        while let Some((&head, rest)) = data.split_first() {
            let wide = usize::from(head >> 4 > 0);
            let values = rest.get(..64 << wide).ok_or(SHORT)?;
            let mut table = [0; 64];
            for (i, place) in ZIGZAG.iter().enumerate() {
                table[*place] = if wide == 1 { pair(values, 2 * i)? } else { u16::from(values[i]) };
            }
            if table.contains(&0) {
                return Err(JpegError::Broken("a quantisation step is 0"));
            }
            *self.quantisation.get_mut(usize::from(head & 15)).ok_or(SHORT)? = Some(table);
            data = &rest[64 << wide..];
        }
        Ok(())
    }

    /// Takes in DHT's content.
    pub(super) fn set_huffman(&mut self, mut data: &[u8]) -> Result<(), JpegError> {
        while let Some((&head, rest)) = data.split_first() {
            let counts: [u8; 16] = rest.get(..16).ok_or(SHORT)?.try_into().map_err(|_| SHORT)?;
            let total: usize = counts.iter().map(|count| usize::from(*count)).sum();
            let symbols = rest.get(16..16 + total).ok_or(SHORT)?.to_vec();
            let class = if head >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            *class.get_mut(usize::from(head & 15)).ok_or(SHORT)? = Some(Codes { counts, symbols });
            data = &rest[16 + total..];
        }
        Ok(())
    }

    /// Takes in DRI's content.
    pub(super) fn set_restart(&mut self, data: &[u8]) -> Result<(), JpegError> {
        self.restart = usize::from(pair(data, 0)?);
        Ok(())
    }
}

/// The picture that a frame header announces, all coefficients 0, and the table numbers of its components.
pub(super) fn frame(marker: u8, data: &[u8], segments: Vec<Segment>) -> Result<(Jpeg, Vec<usize>), JpegError> {
    let &[precision, _, _, _, _, count, ref parts @ ..] = data else { return Err(SHORT) };
    let (height, width) = (u32::from(pair(data, 1)?), u32::from(pair(data, 3)?));
    if precision != 8 {
        return Err(JpegError::Unsupported("12-bit"));
    }
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 || pixels > MAX_MEGAPIXELS * 1_000_000 || !(1..=4).contains(&count) {
        return Err(JpegError::Broken("its size is impossible"));
    }
    let (mut components, mut tables) = (Vec::new(), Vec::new());
    for part in parts.get(..3 * usize::from(count)).ok_or(SHORT)?.chunks_exact(3) {
        let sampling = (u32::from(part[1] >> 4), u32::from(part[1] & 15));
        if !(1..=4).contains(&sampling.0) || !(1..=4).contains(&sampling.1) || part[2] > 3 {
            return Err(JpegError::Broken("a sampling factor is impossible"));
        }
        components.push(Component { id: part[0], sampling, size: (0, 0), table: [1; 64], blocks: Vec::new() });
        tables.push(usize::from(part[2]));
    }
    if let [only] = components.as_mut_slice() {
        only.sampling = (1, 1); // one component has MCUs of one block whatever its factors say
    }
    let mut jpeg = Jpeg { width, height, progressive: marker == 0xC2, components, segments };
    let (most, mcu) = (jpeg.most(), jpeg.mcu());
    for component in &mut jpeg.components {
        if most.0 % component.sampling.0 != 0 || most.1 % component.sampling.1 != 0 {
            return Err(JpegError::Unsupported("unevenly subsampled"));
        }
        let along = |pixels: u32, mcu: u32, factor: u32| (pixels.div_ceil(mcu) * factor) as usize;
        component.size = (along(width, mcu.0, component.sampling.0), along(height, mcu.1, component.sampling.1));
        component.blocks = vec![[0; 64]; component.size.0 * component.size.1];
    }
    Ok((jpeg, tables))
}

/// A scan's header.
pub(super) fn scan(data: &[u8], jpeg: &Jpeg) -> Result<Scan, JpegError> {
    let count = usize::from(*data.first().ok_or(SHORT)?);
    let listed = data.get(1..1 + 2 * count).ok_or(SHORT)?;
    let &[first, last, approximation] = data.get(1 + 2 * count..4 + 2 * count).ok_or(SHORT)? else { return Err(SHORT) };
    let mut parts: Vec<(usize, usize, usize)> = Vec::new();
    for part in listed.chunks_exact(2) {
        let index = jpeg.components.iter().position(|component| component.id == part[0]);
        let index = index.ok_or(JpegError::Broken("a scan of an unknown channel"))?;
        if parts.iter().any(|(other, ..)| *other == index) {
            return Err(JpegError::Broken("a scan has a channel twice"));
        }
        parts.push((index, usize::from(part[1] >> 4) & 3, usize::from(part[1] & 15) & 3));
    }
    let band = if jpeg.progressive { (usize::from(first), usize::from(last)) } else { (0, 63) };
    let (high, low) = (u32::from(approximation >> 4), u32::from(approximation & 15));
    let alone = band.0 == 0 || parts.len() == 1;
    let mixed = jpeg.progressive && band.0 == 0 && band.1 != 0;
    if parts.is_empty() || parts.len() > 4 || band.0 > band.1 || band.1 > 63 || !alone || mixed || low > 13 {
        return Err(JpegError::Broken("a scan's header is impossible"));
    }
    Ok(Scan { parts, band, high, low })
}
