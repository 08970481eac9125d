//! From labels to the guide: the chosen proposals pasted at full size, their seams and the rim healed, doubt turned into trust.

use super::Guide;
use crate::blend::{Field, add_seams, solve};
use crate::fuse::{Canvas, Labels, Prepared};
use crate::propose::Proposal;
use crate::pyramid::resize_bilinear;
use crate::{Mask, Plane};
use image::{GrayImage, Luma, Rgb32FImage};
use rayon::prelude::*;

/// Pastes the chosen proposals at full size, heals their seams and the rim, and turns doubt into trust.
pub(super) fn assembled(
    target: &Rgb32FImage,
    mask: &Mask,
    proposals: &[Proposal],
    prepared: &[Prepared],
    labels: &Labels,
    canvas: &Canvas,
    invented: &Rgb32FImage,
) -> Guide {
    let (w, h) = target.dimensions();
    let (cw, ch) = canvas.target.dimensions();
    let at =
        |x: u32, y: u32| ((y as u64 * ch as u64 / h as u64) * cw as u64 + x as u64 * cw as u64 / w as u64) as usize;
    let full: Vec<u8> =
        (0..h).flat_map(|y| (0..w).map(move |x| (x, y))).map(|(x, y)| labels.labels[at(x, y)]).collect();
    let used = |k: usize| full.contains(&(k as u8));
    let mut pictures: Vec<Option<Rgb32FImage>> = prepared
        .par_iter()
        .enumerate()
        .map(|(k, p)| {
            used(k).then(|| if (cw, ch) == (w, h) { p.colour.clone() } else { p.rendered(&proposals[p.index]) })
        })
        .collect();
    pictures.push(Some(resize_bilinear(invented, w, h)));
    let of = |k: u8, i: usize| -> [f32; 3] {
        let picture = pictures[k as usize].as_ref().expect("every used label has its picture").as_raw();
        std::array::from_fn(|c| picture[3 * i + c])
    };
    let mut fill = Rgb32FImage::new(w, h);
    for (i, p) in fill.pixels_mut().enumerate() {
        p.0 = of(full[i], i);
    }
    let colour = healed(target, mask, &fill, &full, of);
    let mut trust = Plane::new(w, h);
    let mut source = GrayImage::new(w, h);
    for (x, y, t) in trust.enumerate_pixels_mut() {
        if !mask.is_hole(x, y) {
            t[0] = 1.0;
            continue;
        }
        let k = full[(y * w + x) as usize] as usize;
        if k < prepared.len() {
            t[0] = trust_of(labels.doubt.as_raw()[at(x, y)]);
            source.put_pixel(x, y, Luma([prepared[k].reference as u8 + 1]));
        }
    }
    Guide { colour, trust, source, references: Vec::new() }
}

fn healed(
    target: &Rgb32FImage,
    mask: &Mask,
    fill: &Rgb32FImage,
    labels: &[u8],
    of: impl Fn(u8, usize) -> [f32; 3],
) -> Rgb32FImage {
    let (w, h) = (mask.width() as usize, mask.height() as usize);
    let mut field = Field::new(w, h, mask.holes().to_vec(), crate::blend::DRAWN);
    crate::blend::add_rim(&mut field, target, mask, fill);
    add_seams(&mut field, labels, mask, |i, j| {
        // Both pictures' gradients, each half; what the pasted gradient has beyond that is the jump to take out.
        let (a, b) = (labels[i], labels[j]);
        let (ai, aj, bi, bj) = (of(a, i), of(a, j), of(b, i), of(b, j));
        std::array::from_fn(|c| 0.5 * ((ai[c] - aj[c]) + (bi[c] - bj[c])) - (ai[c] - bj[c]))
    });
    crate::blend::corrected(target, mask, fill, &solve(&field))
}

/// Trust from doubt: 0.8 at a doubt of 0.5, 0.3 at 0.95. Over the evaluation scenes the median error (of 255, mean over channels) is
/// 3.3 below the first and 16 above the second; docs/notes/fusion.md has the table.
fn trust_of(doubt: f32) -> f32 {
    1.0 / (1.0 + (doubt / 0.745).powf(3.5))
}
