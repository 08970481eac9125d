//! From coefficients to a file: baseline, or progressive by frequency bands, each scan with the Huffman tables that
//! code it in the fewest bits.

use super::bits::BitWriter;
use super::blocks::each_block;
use super::huffman::Codes;
use super::{Block, Jpeg, Segment, ZIGZAG, markers};
use std::convert::Infallible;

/// The AC bands of a progressive file: what shows first, then the rest. The split is libjpeg's.
const BANDS: [(usize, usize); 2] = [(1, 5), (6, 63)];

/// The most blocks in an MCU (T.81, B.2.3).
const MAX_MCU_BLOCKS: u32 = 10;

/// Writes the file.
pub(crate) fn encode(jpeg: &Jpeg) -> Vec<u8> {
    let mut file = vec![0xFF, 0xD8];
    for segment in &jpeg.segments {
        put_segment(&mut file, segment.marker, &segment.data);
    }
    let tables = put_quantisation(jpeg, &mut file);
    put_frame(jpeg, &tables, &mut file);
    let every: Vec<usize> = (0..jpeg.components.len()).collect();
    let blocks: u32 = jpeg.components.iter().map(|component| component.sampling.0 * component.sampling.1).sum();
    let together: Vec<&[usize]> = if blocks <= MAX_MCU_BLOCKS { vec![&every] } else { every.chunks(1).collect() };
    let dc_band = if jpeg.progressive { (0, 0) } else { (0, 63) };
    together.iter().for_each(|components| put_scan(jpeg, components, dc_band, &mut file));
    if jpeg.progressive {
        for (component, band) in every.chunks(1).flat_map(|component| BANDS.map(|band| (component, band))) {
            put_scan(jpeg, component, band, &mut file);
        }
    }
    file.extend([0xFF, 0xD9]);
    file
}

/// A whole file with more segments behind its first one (JFIF's), or at its start.
pub(crate) fn with_segments(file: &[u8], segments: &[Segment]) -> Vec<u8> {
    let at = match markers::next(file, 2) {
        Ok((0xE0, _, next)) => next,
        _ => 2,
    };
    let mut bytes = file[..at].to_vec();
    segments.iter().for_each(|segment| put_segment(&mut bytes, segment.marker, &segment.data));
    bytes.extend(&file[at..]);
    bytes
}

fn put_segment(file: &mut Vec<u8>, marker: u8, data: &[u8]) {
    file.extend([0xFF, marker]);
    file.extend((data.len() as u16 + 2).to_be_bytes());
    file.extend(data);
}

/// Writes each different quantisation table once; the number of each component's.
fn put_quantisation(jpeg: &Jpeg, file: &mut Vec<u8>) -> Vec<u8> {
    let mut written: Vec<&[u16; 64]> = Vec::new();
    let number = |table| {
        written.iter().position(|other| *other == table).unwrap_or_else(|| {
            written.push(table);
            written.len() - 1
        })
    };
    let numbers = jpeg.components.iter().map(|component| &component.table).map(number).map(|n| n as u8).collect();
    for (number, table) in (0u8..).zip(written) {
        let wide = is_wide(table);
        let mut data = vec![u8::from(wide) << 4 | number];
        for value in ZIGZAG.map(|place| table[place]) {
            let bytes = value.to_be_bytes();
            data.extend(if wide { &bytes[..] } else { &bytes[1..] });
        }
        put_segment(file, 0xDB, &data);
    }
    numbers
}

fn is_wide(table: &[u16; 64]) -> bool {
    table.iter().any(|step| *step > 255)
}

fn put_frame(jpeg: &Jpeg, tables: &[u8], file: &mut Vec<u8>) {
    let marker = match jpeg.progressive {
        true => 0xC2,
        false if jpeg.components.iter().any(|component| is_wide(&component.table)) => 0xC1,
        false => 0xC0,
    };
    let mut data = vec![8];
    data.extend((jpeg.height as u16).to_be_bytes());
    data.extend((jpeg.width as u16).to_be_bytes());
    data.push(jpeg.components.len() as u8);
    for (component, table) in jpeg.components.iter().zip(tables) {
        data.extend([component.id, (component.sampling.0 << 4 | component.sampling.1) as u8, *table]);
    }
    put_segment(file, marker, &data);
}

/// Two tables a class, the second for all components but the first.
fn table_of(component: usize) -> usize {
    component.min(1)
}

fn put_scan(jpeg: &Jpeg, components: &[usize], band: (usize, usize), file: &mut Vec<u8>) {
    let mut counts = Counts([[0; 256]; 4]);
    code_scan(jpeg, components, band, &mut counts);
    let codes: Vec<Option<Codes>> =
        counts.0.iter().map(|counts| counts.iter().any(|n| *n > 0).then(|| Codes::best_for(counts))).collect();
    for (slot, codes) in codes.iter().enumerate() {
        if let Some(codes) = codes {
            let head = [(slot as u8 / 2) << 4 | (slot as u8 % 2)];
            put_segment(file, 0xC4, &[&head, &codes.counts[..], &codes.symbols].concat());
        }
    }
    let mut data = vec![components.len() as u8];
    for &component in components {
        let table = table_of(component) as u8;
        data.extend([jpeg.components[component].id, table << 4 | table]);
    }
    data.extend([band.0 as u8, band.1 as u8, 0]);
    put_segment(file, 0xDA, &data);
    let mut writer = Coded { bits: BitWriter::default(), codes: codes.iter().map(by_symbol).collect() };
    code_scan(jpeg, components, band, &mut writer);
    file.extend(writer.bits.finish());
}

fn by_symbol(codes: &Option<Codes>) -> [(u32, u32); 256] {
    let mut table = [(0, 0); 256];
    let codes = codes.as_ref().and_then(|codes| codes.codes().ok()).unwrap_or_default();
    codes.into_iter().for_each(|(symbol, code, length)| table[usize::from(symbol)] = (code, length));
    table
}

/// Where symbols and bits go: counted first, then written. Tables: DC 0 and 1, then AC 0 and 1.
trait Sink {
    fn symbol(&mut self, table: usize, symbol: u8);
    fn bits(&mut self, value: u32, bits: u32);
}

struct Counts([[u64; 256]; 4]);

impl Sink for Counts {
    fn symbol(&mut self, table: usize, symbol: u8) {
        self.0[table][usize::from(symbol)] += 1;
    }

    fn bits(&mut self, _: u32, _: u32) {}
}

struct Coded {
    bits: BitWriter,
    codes: Vec<[(u32, u32); 256]>,
}

impl Sink for Coded {
    fn symbol(&mut self, table: usize, symbol: u8) {
        let (code, length) = self.codes[table][usize::from(symbol)];
        self.bits.put(code, length);
    }

    fn bits(&mut self, value: u32, bits: u32) {
        self.bits.put(value, bits);
    }
}

fn code_scan(jpeg: &Jpeg, components: &[usize], band: (usize, usize), sink: &mut impl Sink) {
    let mut before = [0; 4];
    let mut run = 0;
    let ac_table = 2 + table_of(components[0]);
    let coded = each_block(jpeg, components, |part, index, _| {
        let component = components[part];
        let block = &jpeg.components[component].blocks[index];
        let table = table_of(component);
        if band.0 == 0 {
            let value = i32::from(block[0]);
            put_value(sink, table, 0, value - before[part]);
            before[part] = value;
        }
        if band == (0, 63) {
            if put_band(block, (1, 63), sink, 2 + table, &mut 0) {
                sink.symbol(2 + table, 0);
            }
        } else if band.0 > 0 && put_band(block, band, sink, ac_table, &mut run) {
            run += 1;
            if run == 0x7FFF {
                put_run(sink, ac_table, &mut run);
            }
        }
        Ok::<_, Infallible>(())
    });
    let Ok(()) = coded;
    put_run(sink, ac_table, &mut run);
}

/// The coefficients of a band (T.81, F.1.2.2 and G.1.2.2); whether zeros are left at its end. Blocks that ended before
/// are told first.
fn put_band(block: &Block, (first, last): (usize, usize), sink: &mut impl Sink, table: usize, run: &mut u32) -> bool {
    let mut zeros = 0;
    for place in &ZIGZAG[first..=last] {
        let value = i32::from(block[*place]);
        if value == 0 {
            zeros += 1;
            continue;
        }
        put_run(sink, table, run);
        while zeros > 15 {
            sink.symbol(table, 0xF0);
            zeros -= 16;
        }
        put_value(sink, table, zeros, value);
        zeros = 0;
    }
    zeros > 0
}

/// How many blocks in a row have no further coefficients in the band (T.81, G.1.2.2, EOBRUN).
fn put_run(sink: &mut impl Sink, table: usize, run: &mut u32) {
    if *run > 0 {
        let size = run.ilog2();
        sink.symbol(table, (size as u8) << 4);
        sink.bits(*run - (1 << size), size);
        *run = 0;
    }
}

/// A value by its size and its bits (T.81, F.1.2.1), after `zeros` zeros.
fn put_value(sink: &mut impl Sink, table: usize, zeros: u32, value: i32) {
    let size = 32 - value.unsigned_abs().leading_zeros();
    sink.symbol(table, (zeros << 4 | size) as u8);
    sink.bits(if value < 0 { value - 1 } else { value } as u32, size);
}
