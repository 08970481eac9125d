//! The processor's unit for products of whole tiles (AMX, with pairs of `bf16`).
//!
//! It holds eight tiles of sixteen rows of sixteen entries. Four of them are the sums of 32 rows and 32 columns; two and two are
//! the factors of the next sixteen entries. The left ones lie as [`super::pack::left`] packs them, `[entry / 16][32 rows][16]`, so
//! that each tile is 1 kB in one piece.

use super::pack::BLOCK;
use super::simd::{LANES, MOST_COLUMNS};
use super::tile::Tile;
use std::arch::asm;
use std::sync::OnceLock;

/// Rows of sums.
pub(super) const ROWS: usize = 2 * LANES;

/// Whether the processor has it and the operating system lets this process use it.
pub(super) fn found() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| is_built_in() && is_permitted())
}

fn is_built_in() -> bool {
    use std::arch::x86_64::{__cpuid, __cpuid_count};
    // Intel's manual, volume 2, CPUID: AMX-BF16, AMX-TILE.
    let bits = (1 << 22) | (1 << 24);
    __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & bits == bits
}

/// Asks Linux, which gives the tiles' memory to those alone that do (its documentation, arch/x86/xstate).
#[cfg(target_os = "linux")]
fn is_permitted() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const TILE_DATA: libc::c_long = 18;
    // SAFETY: the call reads nothing but these numbers.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILE_DATA) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn is_permitted() -> bool {
    false
}

/// What `ldtilecfg` reads: the palette, then bytes of a row and rows of each tile.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C, align(64))]
struct Shape([u8; 64]);

impl Shape {
    /// Eight whole tiles.
    const WHOLE: Self = {
        let mut bytes = [0; 64];
        bytes[0] = 1;
        let mut tile = 0;
        while tile < 8 {
            bytes[16 + 2 * tile] = 64;
            bytes[48 + tile] = 16;
            tile += 1;
        }
        Self(bytes)
    };

    /// Makes it this thread's, unless it is: a thread keeps it, and setting it takes as long as a small tile's product.
    ///
    /// # Safety
    /// [`found`].
    unsafe fn set(&self) {
        let mut now = Self([0; 64]);
        // SAFETY: the caller's promise; 64 bytes are written or read.
        unsafe {
            asm!("sttilecfg [{}]", in(reg) &raw mut now, options(nostack, preserves_flags));
            if now != *self {
                asm!("ldtilecfg [{}]", in(reg) self, options(nostack, preserves_flags, readonly));
            }
        }
    }
}

/// How the right factor lies: as a panel `[entry][32]`.
pub(super) const PANEL: bool = false;

/// As tiles of sixteen columns, `[entry][16]`, one after the other.
pub(super) const TILES: bool = true;

/// A product of some blocks of sixteen entries.
#[derive(Clone, Copy)]
pub(super) struct Blocks<'a, const RIGHT: bool> {
    /// `[block][32 rows][16]`; zeros where there are no entries.
    pub left: *const f32,
    /// Where the right factor's places count from.
    pub right: *const f32,
    /// Where each block's right factor begins, in bytes from there: sixteen entries of 32 columns.
    pub places: &'a [usize],
    pub out: *mut f32,
    /// From row to row of the product, in numbers.
    pub stride: usize,
    /// Whether to add to what is there.
    pub add: bool,
}

impl<const RIGHT: bool> Blocks<'_, RIGHT> {
    /// Bytes from entry to entry of the right factor.
    const RIGHT_STRIDE: usize = if RIGHT == TILES { 64 } else { 128 };

    /// Bytes from the first sixteen columns to the others.
    const APART: usize = if RIGHT == TILES { 1024 } else { 64 };

    /// The product of the first `rows` rows and `columns` columns, at most 32 and 32.
    ///
    /// # Safety
    /// [`found`]. The factors have as many blocks; all 32 columns of the right one can be read, and all of the rows of the left one, in
    /// sixteens. The output has `rows` rows of `columns`, and nobody else uses it.
    pub unsafe fn run(self, rows: usize, columns: usize) {
        assert!(rows <= ROWS && columns <= MOST_COLUMNS);
        // SAFETY: the caller's promise, here and below.
        unsafe {
            Shape::WHOLE.set();
            if columns == MOST_COLUMNS && rows == ROWS {
                self.sum_32();
            } else if columns == MOST_COLUMNS && rows == LANES {
                self.sum_16();
            } else {
                self.run_part(rows, columns);
            }
        }
    }

    /// [`Blocks::run`] by way of whole tiles elsewhere.
    ///
    /// # Safety
    /// As there.
    unsafe fn run_part(self, rows: usize, columns: usize) {
        let mut whole = [[0.0f32; MOST_COLUMNS]; ROWS];
        let aside = Self { out: whole.as_mut_ptr().cast(), stride: MOST_COLUMNS, add: false, ..self };
        // SAFETY: the caller's promise, and `whole` is as large.
        unsafe {
            if rows > LANES {
                aside.sum_32();
            } else {
                aside.sum_16();
            }
            for (row, sums) in whole.iter().take(rows).enumerate() {
                let out = std::slice::from_raw_parts_mut(self.out.add(row * self.stride), columns);
                for (out, sum) in out.iter_mut().zip(sums) {
                    *out = if self.add { *out + sum } else { *sum };
                }
            }
        }
    }

    /// The product of 32 rows and 32 columns.
    ///
    /// # Safety
    /// As [`Blocks::run`], with the tiles' shape set.
    unsafe fn sum_32(self) {
        // SAFETY: the caller's promise; every register of tiles is named.
        unsafe {
            asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "test {add}, {add}",
                "jz 2f",
                "tileloadd tmm0, [{out} + {stride}]",
                "tileloadd tmm1, [{out} + {stride} + 64]",
                "tileloadd tmm2, [{lower} + {stride}]",
                "tileloadd tmm3, [{lower} + {stride} + 64]",
                "2:",
                "test {blocks}, {blocks}",
                "jz 4f",
                "3:",
                "mov {block}, [{places}]",
                "add {block}, {right}",
                "tileloadd tmm4, [{left} + {row}]",
                "tileloadd tmm6, [{block} + {right_stride}]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm7, [{block} + {right_stride} + {apart}]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tileloadd tmm5, [{left} + {row} + 1024]",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "add {places}, 8",
                "add {left}, 2048",
                "dec {blocks}",
                "jnz 3b",
                "4:",
                "tilestored [{out} + {stride}], tmm0",
                "tilestored [{out} + {stride} + 64], tmm1",
                "tilestored [{lower} + {stride}], tmm2",
                "tilestored [{lower} + {stride} + 64], tmm3",
                add = in(reg) u64::from(self.add),
                out = in(reg) self.out,
                lower = in(reg) self.out.wrapping_add(LANES * self.stride),
                stride = in(reg) 4 * self.stride,
                left = inout(reg) self.left => _,
                row = in(reg) 4 * BLOCK,
                right = in(reg) self.right,
                right_stride = in(reg) Self::RIGHT_STRIDE,
                apart = const Self::APART,
                places = inout(reg) self.places.as_ptr() => _,
                blocks = inout(reg) self.places.len() => _,
                block = out(reg) _,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }

    /// The product of the first 16 rows and 32 columns.
    ///
    /// # Safety
    /// As [`Blocks::run`], with the tiles' shape set.
    unsafe fn sum_16(self) {
        // SAFETY: the caller's promise; every register of tiles is named.
        unsafe {
            asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "test {add}, {add}",
                "jz 2f",
                "tileloadd tmm0, [{out} + {stride}]",
                "tileloadd tmm1, [{out} + {stride} + 64]",
                "2:",
                "test {blocks}, {blocks}",
                "jz 4f",
                "3:",
                "mov {block}, [{places}]",
                "add {block}, {right}",
                "tileloadd tmm4, [{left} + {row}]",
                "tileloadd tmm6, [{block} + {right_stride}]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm7, [{block} + {right_stride} + {apart}]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "add {places}, 8",
                "add {left}, 2048",
                "dec {blocks}",
                "jnz 3b",
                "4:",
                "tilestored [{out} + {stride}], tmm0",
                "tilestored [{out} + {stride} + 64], tmm1",
                add = in(reg) u64::from(self.add),
                out = in(reg) self.out,
                stride = in(reg) 4 * self.stride,
                left = inout(reg) self.left => _,
                row = in(reg) 4 * BLOCK,
                right = in(reg) self.right,
                right_stride = in(reg) Self::RIGHT_STRIDE,
                apart = const Self::APART,
                places = inout(reg) self.places.as_ptr() => _,
                blocks = inout(reg) self.places.len() => _,
                block = out(reg) _,
                out("tmm0") _, out("tmm1") _, out("tmm4") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }
}

/// Blocks that a tile is run on at a time, at most.
const BLOCKS: usize = 64;

/// Where the blocks of a panel begin, in bytes.
static PLACES: [usize; BLOCKS] = {
    let mut places = [0; BLOCKS];
    let mut block = 0;
    while block < BLOCKS {
        places[block] = block * BLOCK * MOST_COLUMNS * 4;
        block += 1;
    }
    places
};

impl Tile {
    /// [`Tile::run`] by the unit.
    ///
    /// # Safety
    /// [`found`], and as there: the panels are those of [`Simd::TILES`](super::simd::Simd::TILES).
    pub(super) unsafe fn run_in_blocks(mut self, rows: usize, columns: usize) {
        // SAFETY: the caller's promise, here and below.
        unsafe {
            while self.entries >= BLOCKS * BLOCK {
                self.run_whole(BLOCKS, rows, columns);
                self = self.after(BLOCKS);
            }
            let (whole, more) = (self.entries / BLOCK, self.entries % BLOCK);
            if more == 0 {
                self.run_whole(whole, rows, columns);
            } else if whole == 0 {
                self.run_rest(rows, columns);
            } else {
                self.run_whole(whole, rows, columns);
                self.after(whole).run_rest(rows, columns);
            }
        }
    }

    /// What follows after some blocks.
    fn after(self, blocks: usize) -> Self {
        Self {
            left: self.left.wrapping_add(blocks * BLOCK * ROWS),
            right: self.right.wrapping_add(blocks * BLOCK * MOST_COLUMNS),
            entries: self.entries - blocks * BLOCK,
            add: true,
            ..self
        }
    }

    /// # Safety
    /// As [`Tile::run_in_blocks`]; there are as many blocks.
    unsafe fn run_whole(self, blocks: usize, rows: usize, columns: usize) {
        let Self { left, right, out, stride, add, .. } = self;
        // SAFETY: the caller's promise.
        unsafe { Blocks::<PANEL> { left, right, places: &PLACES[..blocks], out, stride, add }.run(rows, columns) };
    }

    /// The entries after the last whole block: those of the right panel are copied, to be followed by zeros.
    ///
    /// # Safety
    /// As [`Tile::run_in_blocks`]; there are fewer than a block has.
    unsafe fn run_rest(self, rows: usize, columns: usize) {
        let mut rest = [[0.0f32; MOST_COLUMNS]; BLOCK];
        // SAFETY: the right panel has these entries; the rest is the caller's promise.
        unsafe {
            std::ptr::copy_nonoverlapping(self.right.cast(), rest.as_mut_ptr(), self.entries);
            Self { right: rest.as_ptr().cast(), ..self }.run_whole(1, rows, columns);
        }
    }
}
