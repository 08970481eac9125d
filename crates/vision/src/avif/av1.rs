//! One AV1 still picture, decoded by `re_rav1d`: dav1d in Rust with dav1d's C interface, and with mistakes mended that let
//! rav1d 1.1 end the whole program on a damaged file.

use super::AvifError;
use re_rav1d::include::dav1d::data::Dav1dData;
use re_rav1d::include::dav1d::dav1d::{Dav1dLogger, Dav1dSettings};
use re_rav1d::include::dav1d::picture::Dav1dPicture;
use re_rav1d::src::lib::{
    dav1d_close, dav1d_data_create, dav1d_data_unref, dav1d_default_settings, dav1d_get_picture, dav1d_open,
    dav1d_picture_unref, dav1d_send_data,
};
use std::mem::MaybeUninit;
use std::ptr::NonNull;

/// A decoded picture: samples as they are coded.
pub(super) struct Picture {
    pub width: u32,
    pub height: u32,
    /// Bits a sample: 8, 10 or 12.
    pub depth: u32,
    /// Luma and, unless it is grey, two chroma planes.
    pub planes: Vec<Plane>,
    /// Whether chroma has half the columns and half the rows.
    pub halved: (bool, bool),
    /// Primaries, transfer characteristics and matrix coefficients (ITU-T H.273).
    pub code: (u16, u16, u16),
    pub full_range: bool,
}

/// One channel's samples, row by row.
pub(super) struct Plane {
    pub width: usize,
    pub samples: Vec<u16>,
}

/// What dav1d answers when it needs more data before there is a picture.
const AGAIN: i32 = -11;

/// Without threads of its own, so that nothing waits for one that a damaged file has ended.
const THREADS: i32 = 1;

/// Decodes the first picture of an AV1 stream; one with more than `most_pixels` is refused before it is decoded.
pub(super) fn decode(stream: &[u8], most_pixels: u32) -> Result<Picture, AvifError> {
    let mut settings = MaybeUninit::<Dav1dSettings>::uninit();
    // SAFETY: the function writes every field of the settings it is given room for.
    let mut settings = unsafe {
        dav1d_default_settings(NonNull::from(&mut settings).cast());
        settings.assume_init()
    };
    (settings.n_threads, settings.max_frame_delay, settings.frame_size_limit) = (THREADS, 1, most_pixels);
    settings.all_layers = 0;
    // SAFETY: without a callback nothing is called.
    settings.logger = unsafe { Dav1dLogger::new(None, None) };
    let mut context = None;
    // SAFETY: both point to live values of this function.
    let opened = unsafe { dav1d_open(Some(NonNull::from(&mut context)), Some(NonNull::from(&mut settings))) };
    if opened.0 != 0 {
        return Err(AvifError::Decoder(opened.0));
    }
    let mut data = Dav1dData::default();
    let mut picture = Dav1dPicture::default();
    // SAFETY: `data` gets room for as many bytes as are copied; the context was opened above and is closed below.
    let result = unsafe {
        let room = dav1d_data_create(Some(NonNull::from(&mut data)), stream.len());
        if room.is_null() {
            AGAIN
        } else {
            std::ptr::copy_nonoverlapping(stream.as_ptr(), room, stream.len());
            match dav1d_send_data(context, Some(NonNull::from(&mut data))).0 {
                0 | AGAIN => dav1d_get_picture(context, Some(NonNull::from(&mut picture))).0,
                error => error,
            }
        }
    };
    let copied = if result == 0 { copied(&picture) } else { Err(AvifError::Decoder(result)) };
    // SAFETY: all three are what the calls above left, and are not used again.
    unsafe {
        dav1d_picture_unref(Some(NonNull::from(&mut picture)));
        dav1d_data_unref(Some(NonNull::from(&mut data)));
        dav1d_close(Some(NonNull::from(&mut context)));
    }
    copied
}

/// Our own copy of the samples.
fn copied(picture: &Dav1dPicture) -> Result<Picture, AvifError> {
    let broken = AvifError::Broken("its AV1 stream holds no picture");
    // SAFETY: a picture that was returned points to its sequence header until it is released.
    let Some(header) = picture.seq_hdr.map(|header| unsafe { header.as_ref() }) else { return Err(broken) };
    let (width, height, depth) = (picture.p.w as u32, picture.p.h as u32, picture.p.bpc as u32);
    let halved = (header.ss_hor != 0, header.ss_ver != 0);
    let half = |length: u32, is_halved: bool| if is_halved { length.div_ceil(2) } else { length };
    let chroma = (half(width, halved.0), half(height, halved.1));
    let sizes = [(width, height), chroma, chroma];
    let channels = if header.monochrome != 0 { 1 } else { 3 };
    let mut planes = Vec::with_capacity(channels);
    for channel in 0..channels {
        let (width, height) = (sizes[channel].0 as usize, sizes[channel].1 as usize);
        let Some(first) = picture.data[channel] else { return Err(broken) };
        let stride = picture.stride[channel.min(1)];
        let mut samples = Vec::with_capacity(width * height);
        for row in 0..height as isize {
            // SAFETY: a returned picture has `height` rows of `width` samples, `stride` bytes apart, of one byte at 8 bits
            // and of two, aligned, at more.
            unsafe {
                let row = first.as_ptr().byte_offset(row * stride);
                match depth {
                    8 => samples
                        .extend(std::slice::from_raw_parts(row.cast::<u8>(), width).iter().map(|&v| u16::from(v))),
                    _ => samples.extend_from_slice(std::slice::from_raw_parts(row.cast::<u16>(), width)),
                }
            }
        }
        planes.push(Plane { width, samples });
    }
    let code = (header.pri as u16, header.trc as u16, header.mtrx as u16);
    Ok(Picture { width, height, depth, planes, halved, code, full_range: header.color_range != 0 })
}
