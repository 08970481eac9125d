//! Fills what nothing is proposed for with patches of the scene itself, coarse to fine.
//!
//! Each patch that touches the hole looks for its nearest source patch (Barnes et al., PatchMatch, 2009), and each hole pixel becomes the
//! vote of the patches over it (Wexler et al., Space-time completion of video, 2007). Patches are to be as rough as what they continue
//! (Newson et al., Video inpainting of complex scenes, 2014), since smooth ones agree best with an average. Coarse levels decide the structure,
//! fine ones the texture. It is invention: a plausible start, no evidence.

mod patchmatch;
mod rough;

use crate::pyramid::{push_pull, resize_bilinear, shrink_to};
use crate::{Mask, Plane};
use image::{Luma, Rgb32FImage};
use patchmatch::{Field, Level};
use rough::{Rough, Working, roughness};

/// A picture patches are taken from, with 1 where they may be.
#[derive(Clone, Debug)]
pub struct Source {
    /// Colours, in the target's light.
    pub colour: Rgb32FImage,
    /// 1 usable, 0 not.
    pub usable: Plane,
}

/// A picture filled with patches.
#[derive(Clone, Debug)]
pub struct Exemplars {
    /// The picture, filled.
    pub colour: Rgb32FImage,
    /// For each pixel of the hole the source whose patch fits best there, and the place in it, in pixels.
    pub from: Vec<Option<(usize, [f32; 2])>>,
}

/// Longest side of the finest level; finer detail is enlarged from it.
const FINEST: u32 = 512;
/// Shorter side of the coarsest level: three patches.
const COARSEST: u32 = 24;
/// Rounds of search and vote: many where it is cheap.
const ROUNDS: [usize; 3] = [16, 8, 5];

/// `picture` with its `hole` filled from `sources` (of the picture's size). `start` shows what is there before, such as a smooth
/// continuation. Deterministic.
pub fn exemplar_fill(picture: &Rgb32FImage, hole: &Mask, start: &Rgb32FImage, sources: &[Source]) -> Exemplars {
    let sizes = sizes(picture.dimensions());
    let finest = *sizes.last().expect("there is at least one level");
    let sources: Vec<Textured> = sources.iter().map(|source| Textured::new(source, finest)).collect();
    let rough = rough_around(&sources, hole, finest);
    let mut filled: Option<(Working, Field)> = None;
    let mut from = vec![None; hole.holes().len()];
    for (k, &(w, h)) in sizes.iter().enumerate() {
        let mask = hole.resized_max(w, h);
        let known = Working { colour: shrink_to(picture, w, h), rough: shrink_to(&rough, w, h) };
        let mut current = match &filled {
            Some((Working { colour, rough }, _)) => {
                Working { colour: resize_bilinear(colour, w, h), rough: resize_bilinear(rough, w, h) }
            }
            None => Working { colour: shrink_to(start, w, h), rough: known.rough.clone() },
        };
        current.keep(&known, &mask);
        let small: Vec<Shrunk> = sources.iter().map(|source| source.shrunk((w, h))).collect();
        // What is known may be too narrow for a whole patch here, and not on a finer level.
        let Some(level) = Level::new(&mask, &small) else { continue };
        let mut field = match &filled {
            Some((_, coarse)) => level.refined(coarse),
            None => level.random(),
        };
        let last = k + 1 == sizes.len();
        for _ in 0..ROUNDS[k.min(2)] {
            level.search(&current, &mut field);
            current = level.vote(&current, &field, last);
        }
        if last {
            from = enlarged_places(&level.best(&field), (w, h), hole);
        }
        filled = Some((current, field));
    }
    let enlarged = match &filled {
        Some((finest, _)) => resize_bilinear(&finest.colour, picture.width(), picture.height()),
        None => start.clone(),
    };
    let mut out = picture.clone();
    for ((p, e), hole) in out.pixels_mut().zip(enlarged.pixels()).zip(hole.holes()) {
        if *hole {
            *p = *e;
        }
    }
    Exemplars { colour: out, from }
}

/// A source with its roughness at the finest level.
struct Textured<'a> {
    source: &'a Source,
    rough: Rough,
}

impl<'a> Textured<'a> {
    fn new(source: &'a Source, (w, h): (u32, u32)) -> Self {
        let usable = strict(&shrink_to(&source.usable, w, h));
        Self { source, rough: roughness(&shrink_to(&source.colour, w, h), &usable) }
    }

    fn shrunk(&self, (w, h): (u32, u32)) -> Shrunk {
        let usable = strict(&shrink_to(&self.source.usable, w, h));
        let picture = Working { colour: shrink_to(&self.source.colour, w, h), rough: shrink_to(&self.rough, w, h) };
        Shrunk { picture, usable }
    }
}

/// A source at a level.
struct Shrunk {
    picture: Working,
    usable: Plane,
}

/// The roughness of what is known, as the first source has it, carried smoothly into the hole.
fn rough_around(sources: &[Textured], hole: &Mask, (w, h): (u32, u32)) -> Rough {
    let mask = hole.resized_max(w, h);
    let known = Plane::from_fn(w, h, |x, y| Luma([f32::from(u8::from(!mask.is_hole(x, y)))]));
    sources.first().map_or_else(|| Rough::new(w, h), |first| push_pull(&first.rough, &known))
}

/// The places of a small level's pixels, at the hole's own size.
fn enlarged_places(best: &[Option<(u8, [i32; 2])>], (w, h): (u32, u32), hole: &Mask) -> Vec<Option<(usize, [f32; 2])>> {
    let scale = [hole.width() as f32 / w as f32, hole.height() as f32 / h as f32];
    let place = |i: usize| {
        let at = [i as u32 % hole.width(), i as u32 / hole.width()];
        let small: [f32; 2] = std::array::from_fn(|k| (at[k] as f32 + 0.5) / scale[k]);
        let cell = [(small[0] as u32).min(w - 1), (small[1] as u32).min(h - 1)];
        let (source, there) = best[(cell[1] * w + cell[0]) as usize]?;
        let moved = |k: usize| (there[k] as f32 + small[k] - cell[k] as f32) * scale[k] - 0.5;
        Some((source as usize, [moved(0), moved(1)]))
    };
    hole.holes().iter().enumerate().map(|(i, is_hole)| if *is_hole { place(i) } else { None }).collect()
}

fn strict(usable: &Plane) -> Plane {
    Plane::from_fn(usable.width(), usable.height(), |x, y| Luma([(usable.get_pixel(x, y)[0] > 0.99) as u8 as f32]))
}

/// Sizes of the levels, coarsest first.
fn sizes((w, h): (u32, u32)) -> Vec<(u32, u32)> {
    let mut scale = (FINEST as f64 / w.max(h) as f64).min(1.0);
    let mut out = Vec::new();
    loop {
        out.push((((w as f64 * scale).round() as u32).max(8), ((h as f64 * scale).round() as u32).max(8)));
        scale *= 0.5;
        if (w.min(h) as f64 * scale) < COARSEST as f64 {
            break;
        }
    }
    out.reverse();
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pyramid::test_pictures::noise;
    use image::Rgb;

    #[test]
    fn stripes_go_on_through_the_hole() {
        let picture = Rgb32FImage::from_fn(96, 96, |x, _| Rgb([if x / 6 % 2 == 0 { 0.2 } else { 0.8 }; 3]));
        let hole = Mask::from_fn(96, 96, |x, y| (36..60).contains(&x) && (36..60).contains(&y));
        let usable = Plane::from_fn(96, 96, |x, y| Luma([!hole.is_hole(x, y) as u8 as f32]));
        let start = Rgb32FImage::from_pixel(96, 96, Rgb([0.5; 3]));
        let source = Source { colour: picture.clone(), usable };
        let out = exemplar_fill(&picture, &hole, &start, &[source]);
        let from = out.from[48 * 96 + 48].expect("a patch was found").1;
        let value = |x: f32| if (x.round() as u32 / 6).is_multiple_of(2) { 0.2 } else { 0.8 };
        assert_eq!(value(from[0]), value(48.0), "{from:?}");
        let error: f32 =
            out.colour.iter().zip(picture.iter()).map(|(a, b)| (a - b).abs()).sum::<f32>() / (24.0 * 24.0 * 3.0);
        assert!(error < 0.15, "{error}");
    }

    /// A picture, of which the lower 16 rows of 96 are to be filled.
    fn without_its_foot(picture: &Rgb32FImage) -> Exemplars {
        let hole = Mask::from_fn(96, 96, |_, y| y >= 80);
        let usable = Plane::from_fn(96, 96, |_, y| Luma([f32::from(u8::from(y < 80))]));
        let start = Rgb32FImage::from_pixel(96, 96, Rgb([0.5; 3]));
        exemplar_fill(picture, &hole, &start, &[Source { colour: picture.clone(), usable }])
    }

    #[test]
    fn of_places_that_look_alike_the_near_ones_are_taken() {
        let stripes = Rgb32FImage::from_fn(96, 96, |x, _| Rgb([if x / 6 % 2 == 0 { 0.2 } else { 0.8 }; 3]));
        let places = without_its_foot(&stripes).from;
        let far = |i: usize| places[i].expect("a patch was found").1[1] - (i / 96) as f32;
        let mean = (80 * 96..96 * 96).map(|i| far(i).abs()).sum::<f32>() / (16.0 * 96.0);
        assert!(mean < 24.0, "patches come from {mean} rows away");
    }

    #[test]
    fn what_is_known_goes_on_inwards() {
        let bar = |x: u32| (42..54).contains(&x);
        let picture = Rgb32FImage::from_fn(96, 96, |x, _| Rgb(if bar(x) { [0.1, 0.2, 0.3] } else { [0.7, 0.8, 0.6] }));
        let filled = without_its_foot(&picture).colour;
        let red = |x: u32| (80..96).map(|y| filled.get_pixel(x, y)[0]).sum::<f32>() / 16.0;
        assert!(red(48) < 0.2 && red(30) > 0.6 && red(66) > 0.6, "{}, {}, {}", red(48), red(30), red(66));
    }

    /// A frame too narrow for a whole patch of the coarsest level.
    #[test]
    fn a_narrow_frame_is_enough() {
        let picture = Rgb32FImage::from_fn(96, 72, |x, _| Rgb([if x / 6 % 2 == 0 { 0.2 } else { 0.8 }; 3]));
        let hole = Mask::from_fn(96, 72, |x, y| (10..86).contains(&x) && (10..62).contains(&y));
        let usable = Plane::from_fn(96, 72, |x, y| Luma([f32::from(u8::from(!hole.is_hole(x, y)))]));
        let start = Rgb32FImage::from_pixel(96, 72, Rgb([0.5; 3]));
        let out = exemplar_fill(&picture, &hole, &start, &[Source { colour: picture.clone(), usable }]);
        let holes = || (0..96 * 72).filter(|&i| hole.holes()[i]);
        assert!(holes().all(|i| out.from[i].is_some()));
        let textured = holes().filter(|&i| (out.colour.as_raw()[3 * i] - 0.5).abs() > 0.2).count();
        assert!(2 * textured > holes().count(), "{textured} of {} pixels", holes().count());
    }

    #[test]
    fn without_sources_the_hole_is_as_at_the_start_and_the_rest_as_it_was() {
        let picture = Rgb32FImage::from_fn(96, 72, |x, y| Rgb([x as f32 / 96.0, y as f32 / 72.0, 0.3]));
        let hole = Mask::from_fn(96, 72, |x, _| x >= 40);
        let start = Rgb32FImage::from_pixel(96, 72, Rgb([0.5; 3]));
        let source = Source { colour: picture.clone(), usable: Plane::new(96, 72) };
        let out = exemplar_fill(&picture, &hole, &start, &[source]);
        for (x, y, found) in out.colour.enumerate_pixels() {
            let wanted = if hole.is_hole(x, y) { &start } else { &picture }.get_pixel(x, y);
            assert!(found.0.iter().zip(wanted.0).all(|(a, b)| (a - b).abs() < 1e-5), "at {x}, {y}: {found:?}");
        }
        assert!(out.from.iter().all(Option::is_none));
    }

    /// Flat patches agree best with an average of rough ones, and must not be taken for that.
    #[test]
    fn what_is_rough_goes_on_rough() {
        let fine = noise(128, 96, 3);
        let value = |x: u32, y: u32| if x < 100 { fine.get_pixel(x, y)[0] } else { 0.5 };
        let picture = Rgb32FImage::from_fn(128, 96, |x, y| Rgb([value(x, y); 3]));
        let hole = Mask::from_fn(128, 96, |x, y| (38..90).contains(&x) && (33..77).contains(&y));
        let usable = Plane::from_fn(128, 96, |x, y| Luma([f32::from(u8::from(!hole.is_hole(x, y)))]));
        let start = Rgb32FImage::from_pixel(128, 96, Rgb([0.5; 3]));
        let filled = exemplar_fill(&picture, &hole, &start, &[Source { colour: picture.clone(), usable }]).colour;
        let spread = |picture: &Rgb32FImage| {
            let off = |i: usize| (picture.as_raw()[3 * i] - 0.5).powi(2);
            (0..128 * 96).filter(|&i| hole.holes()[i]).map(off).sum::<f32>().sqrt()
        };
        let share = spread(&filled) / spread(&picture);
        assert!(share > 0.7, "{share} of the spread is left");
    }
}
