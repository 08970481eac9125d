//! Panels of a product out of matrices in any precision, as they lie or turned.

use super::simd::{LANES, Simd, Vector};

/// Numbers as a kernel reads them.
#[derive(Debug, Clone, Copy)]
pub(super) enum Numbers<'a> {
    F32(&'a [f32]),
    /// Bits of `f16`.
    F16(&'a [u16]),
    /// Bits of `bf16`.
    Bf16(&'a [u16]),
}

impl Numbers<'_> {
    fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F16(values) | Self::Bf16(values) => values.len(),
        }
    }
}

/// A matrix inside of a slice: where it starts, and from row to row.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub numbers: Numbers<'a>,
    pub start: usize,
    pub stride: usize,
}

impl View<'_> {
    fn check(&self, rows: usize, columns: usize) {
        let end = self.start + rows.saturating_sub(1) * self.stride + columns;
        assert!(rows == 0 || end <= self.numbers.len(), "a view up to {end} of {} numbers", self.numbers.len());
    }
}

/// What is read: a kind, known when compiled, the first number, and from row to row.
#[derive(Clone, Copy)]
struct Source<const KIND: u8> {
    start: *const u8,
    stride: usize,
}

impl<const KIND: u8> Source<KIND> {
    /// The first `count` numbers, at most sixteen, from this place on; 0 past them.
    ///
    /// # Safety
    /// They are inside of what the source points to.
    #[inline(always)]
    unsafe fn load<S: Simd>(self, simd: S, [row, column]: [usize; 2], count: usize) -> S::Vector {
        let index = row * self.stride + column;
        // SAFETY: the caller's promise.
        unsafe {
            match KIND {
                0 => simd.load_first(self.start.cast::<f32>().add(index), count),
                1 => simd.load_f16(self.start.cast::<u16>().add(index), count),
                _ => simd.load_bf16(self.start.cast::<u16>().add(index), count),
            }
        }
    }

    /// The `count` numbers from this place on, at most 32, times `factor`, as pairs of neighbours; 0 past them.
    ///
    /// # Safety
    /// They are inside of what the source points to.
    #[inline(always)]
    unsafe fn load_pairs<S: Simd>(self, simd: S, [row, column]: [usize; 2], count: usize, factor: f32) -> S::Vector {
        // SAFETY: the caller's promise.
        unsafe {
            if KIND == 2 && factor == 1.0 {
                return simd.load_pairs(self.start.cast::<u16>().add(row * self.stride + column), count);
            }
            let low = self.load(simd, [row, column], count);
            let high = match count.checked_sub(LANES) {
                Some(more @ 1..) => self.load(simd, [row, column + LANES], more),
                _ => simd.zero(),
            };
            simd.paired_neighbours(low * simd.splat(factor), high * simd.splat(factor))
        }
    }
}

/// What is written: the first number, and from row to row.
#[derive(Clone, Copy)]
struct Sink {
    start: *mut f32,
    stride: usize,
}

impl Sink {
    /// # Safety
    /// This place is inside of what the sink points to.
    #[inline(always)]
    unsafe fn at(self, row: usize, column: usize) -> *mut f32 {
        // SAFETY: the caller's promise.
        unsafe { self.start.add(row * self.stride + column) }
    }
}

/// Runs a function of a view's source with its kind made known to the compiler.
macro_rules! with_source {
    ($simd:expr, $view:expr, $call:ident($($argument:expr),*)) => {{
        let View { numbers, start, stride } = $view;
        match numbers {
            Numbers::F32(values) => with_source!(0, $simd, values[start], stride, $call($($argument),*)),
            Numbers::F16(values) => with_source!(1, $simd, values[start], stride, $call($($argument),*)),
            Numbers::Bf16(values) => with_source!(2, $simd, values[start], stride, $call($($argument),*)),
        }
    }};
    ($kind:literal, $simd:expr, $values:ident[$start:ident], $stride:ident, $call:ident($($argument:expr),*)) => {{
        let source = Source::<$kind> { start: $values.as_ptr().wrapping_add($start).cast(), stride: $stride };
        $simd.run(#[inline(always)] || $call::<_, $kind>($simd, source, $($argument),*))
    }};
}

/// Turns `rows` (at most 16) rows of `columns` numbers: `out[column * out_stride + row]`. Nothing else of `out` is written.
pub(super) fn turn<S: Simd>(simd: S, from: View, rows: usize, columns: usize, out: &mut [f32], out_stride: usize) {
    assert!(columns == 0 || (columns - 1) * out_stride + rows <= out.len());
    // SAFETY: checked above.
    unsafe { turn_to(simd, from, rows, columns, out.as_mut_ptr(), out_stride) };
}

/// [`turn`] to a place.
///
/// # Safety
/// What `turn` writes is inside of what `out` points to, and nobody else uses it.
pub(super) unsafe fn turn_to<S: Simd>(
    simd: S,
    from: View,
    rows: usize,
    columns: usize,
    out: *mut f32,
    out_stride: usize,
) {
    from.check(rows, columns);
    assert!(rows <= LANES);
    let out = Sink { start: out, stride: out_stride };
    // SAFETY: what is read was checked above; the rest is the caller's promise.
    unsafe { with_source!(simd, from, turn_from([rows, columns], 1.0, out)) }
}

/// As [`turn`], times `factor`, as entries of a panel: `out[entry * out_stride + row]`.
pub(super) fn pack_turned<S: Simd>(
    simd: S,
    from: View,
    rows: usize,
    columns: usize,
    factor: f32,
    out: &mut [f32],
    out_stride: usize,
) {
    from.check(rows, columns);
    let tall = S::entries(columns);
    assert!(rows <= LANES && (tall == 0 || (tall - 1) * out_stride + rows <= out.len()));
    let out = Sink { start: out.as_mut_ptr(), stride: out_stride };
    // SAFETY: what is read and written was checked above.
    unsafe {
        if S::PAIRS {
            with_source!(simd, from, turn_pairs([rows, columns], factor, out))
        } else {
            with_source!(simd, from, turn_from([rows, columns], factor, out))
        }
    }
}

/// Entries of a block of a left panel for tiles.
pub(super) const BLOCK: usize = LANES;

/// Entries of a left panel of `depth` terms: whole blocks where products are by tiles.
pub(super) fn left_entries<S: Simd>(depth: usize) -> usize {
    if S::TILES { S::entries(depth).next_multiple_of(BLOCK) } else { S::entries(depth) }
}

/// A left panel of up to `ROWS` columns of `depth` numbers, times `factor`: `[entry][ROWS]`; for tiles
/// `[entry / 16][ROWS][entry % 16]`, with zeros after the last term. What is past the columns is left as it is.
pub(super) fn left<S: Simd>(simd: S, from: View, depth: usize, columns: usize, factor: f32, out: &mut [f32]) {
    if !S::TILES {
        return pack(simd, from, depth, columns, factor, out, S::ROWS);
    }
    from.check(depth, columns);
    assert!(columns <= S::ROWS && left_entries::<S>(depth) * S::ROWS <= out.len());
    let out = Sink { start: out.as_mut_ptr(), stride: BLOCK };
    // SAFETY: what is read and written was checked above.
    unsafe { with_source!(simd, from, blocks_from([depth, columns], factor, out)) }
}

/// [`left`] of up to `ROWS` rows of `depth` numbers, times `factor`.
pub(super) fn left_turned<S: Simd>(simd: S, from: View, rows: usize, depth: usize, factor: f32, out: &mut [f32]) {
    if !S::TILES {
        return pack_turned(simd, from, rows, depth, factor, out, S::ROWS);
    }
    from.check(rows, depth);
    assert!(rows <= S::ROWS && left_entries::<S>(depth) * S::ROWS <= out.len());
    let out = Sink { start: out.as_mut_ptr(), stride: BLOCK };
    // SAFETY: what is read and written was checked above.
    unsafe { with_source!(simd, from, blocks_of([rows, depth], factor, out)) }
}

/// Copies `rows` rows of `columns` numbers, times `factor`, as entries of a panel: `out[entry * out_stride + column]`.
pub(super) fn pack<S: Simd>(
    simd: S,
    from: View,
    rows: usize,
    columns: usize,
    factor: f32,
    out: &mut [f32],
    out_stride: usize,
) {
    from.check(rows, columns);
    assert!(rows == 0 || (S::entries(rows) - 1) * out_stride + columns <= out.len());
    let out = Sink { start: out.as_mut_ptr(), stride: out_stride };
    // SAFETY: what is read and written was checked above.
    unsafe {
        if S::PAIRS {
            with_source!(simd, from, pairs_from([rows, columns], factor, out))
        } else {
            with_source!(simd, from, copy_from([rows, columns], factor, out))
        }
    }
}

/// # Safety
/// `rows` rows of `columns` numbers can be read, and written turned.
#[inline(always)]
unsafe fn turn_from<S: Simd, const KIND: u8>(
    simd: S,
    from: Source<KIND>,
    [rows, columns]: [usize; 2],
    factor: f32,
    out: Sink,
) {
    let factor = simd.splat(factor);
    for column in (0..columns).step_by(LANES) {
        let count = (columns - column).min(LANES);
        let mut block = [simd.zero(); LANES];
        for (row, vector) in block.iter_mut().enumerate() {
            if row < rows {
                // SAFETY: inside of the source by the caller's promise.
                *vector = unsafe { from.load(simd, [row, column], count) };
            }
        }
        let turned = S::Vector::turned(block);
        for (i, vector) in turned.iter().enumerate() {
            if i < count {
                // SAFETY: inside of the output by the caller's promise.
                unsafe { (*vector * factor).store_first(out.at(column + i, 0), rows) };
            }
        }
    }
}

/// # Safety
/// `rows` rows of `columns` numbers can be read, and written turned in pairs.
#[inline(always)]
unsafe fn turn_pairs<S: Simd, const KIND: u8>(
    simd: S,
    from: Source<KIND>,
    [rows, columns]: [usize; 2],
    factor: f32,
    out: Sink,
) {
    for column in (0..columns).step_by(2 * LANES) {
        let count = (columns - column).min(2 * LANES);
        let mut block = [simd.zero(); LANES];
        for (row, vector) in block.iter_mut().enumerate() {
            if row < rows {
                // SAFETY: inside of the source by the caller's promise.
                *vector = unsafe { from.load_pairs(simd, [row, column], count, factor) };
            }
        }
        let turned = S::Vector::turned(block);
        for (i, vector) in turned.iter().enumerate() {
            if i < count.div_ceil(2) {
                // SAFETY: inside of the output by the caller's promise.
                unsafe { vector.store_first(out.at(column / 2 + i, 0), rows) };
            }
        }
    }
}

/// # Safety
/// The rows can be read and written.
#[inline(always)]
unsafe fn copy_from<S: Simd, const KIND: u8>(
    simd: S,
    from: Source<KIND>,
    [rows, columns]: [usize; 2],
    factor: f32,
    out: Sink,
) {
    let factor = simd.splat(factor);
    for row in 0..rows {
        for column in (0..columns).step_by(LANES) {
            let count = columns - column;
            // SAFETY: inside of source and output by the caller's promise.
            unsafe { (from.load(simd, [row, column], count) * factor).store_first(out.at(row, column), count) };
        }
    }
}

/// # Safety
/// The rows can be read, and written in pairs.
#[inline(always)]
unsafe fn pairs_from<S: Simd, const KIND: u8>(
    simd: S,
    from: Source<KIND>,
    [rows, columns]: [usize; 2],
    factor: f32,
    out: Sink,
) {
    let factor = simd.splat(factor);
    for row in (0..rows).step_by(2) {
        for column in (0..columns).step_by(LANES) {
            let count = columns - column;
            // SAFETY: inside of source and output by the caller's promise.
            unsafe {
                let a = from.load(simd, [row, column], count);
                let b = if row + 1 < rows { from.load(simd, [row + 1, column], count) } else { simd.zero() };
                simd.paired(a * factor, b * factor).store_first(out.at(row / 2, column), count);
            }
        }
    }
}

/// # Safety
/// `depth` rows of `columns` numbers can be read, and written as blocks of a left panel for tiles.
#[inline(always)]
unsafe fn blocks_from<S: Simd, const KIND: u8>(
    simd: S,
    from: Source<KIND>,
    [depth, columns]: [usize; 2],
    factor: f32,
    out: Sink,
) {
    let factor = simd.splat(factor);
    for (block, term) in (0..depth).step_by(2 * BLOCK).enumerate() {
        for column in (0..columns).step_by(LANES) {
            let count = columns - column;
            let mut entries = [simd.zero(); BLOCK];
            for (i, entry) in entries.iter_mut().enumerate() {
                let mut pair = [simd.zero(); 2];
                for (i, number) in (term + 2 * i..depth.min(term + 2 * i + 2)).zip(&mut pair) {
                    // SAFETY: inside of the source by the caller's promise.
                    *number = unsafe { from.load(simd, [i, column], count) };
                }
                *entry = simd.paired(pair[0] * factor, pair[1] * factor);
            }
            for (i, row) in S::Vector::turned(entries).iter().enumerate().take(count) {
                // SAFETY: inside of the output by the caller's promise.
                unsafe { row.store(out.at(block * S::ROWS + column + i, 0)) };
            }
        }
    }
}

/// # Safety
/// `rows` rows of `depth` numbers can be read, and written as blocks of a left panel for tiles.
#[inline(always)]
unsafe fn blocks_of<S: Simd, const KIND: u8>(
    simd: S,
    from: Source<KIND>,
    [rows, depth]: [usize; 2],
    factor: f32,
    out: Sink,
) {
    for row in 0..rows {
        for (block, term) in (0..depth).step_by(2 * BLOCK).enumerate() {
            let count = (depth - term).min(2 * BLOCK);
            // SAFETY: inside of source and output by the caller's promise.
            unsafe {
                from.load_pairs(simd, [row, term], count, factor).store(out.at(block * S::ROWS + row, 0));
            }
        }
    }
}

/// Makes a panel's `depth` rows of `width` numbers its entries, in place; the panel's first half is what it is then.
pub(super) fn pair_rows<S: Simd>(simd: S, panel: &mut [f32], depth: usize, width: usize) {
    if S::PAIRS {
        assert!(depth * width <= panel.len());
        let place = panel.as_mut_ptr(); // one pointer for both, since writes through it end any other
        let from = Source::<0> { start: place.cast_const().cast(), stride: width };
        let out = Sink { start: place, stride: width };
        // SAFETY: inside of the panel; rows are read before pairs reach them.
        simd.run(
            #[inline(always)]
            || unsafe { pairs_from(simd, from, [depth, width], 1.0, out) },
        );
    }
}
