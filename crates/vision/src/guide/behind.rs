//! The target's own background, continued behind the things that references show before another one.

use super::continued;
use crate::Mask;
use crate::exemplar::{Exemplars, Source, exemplar_fill};
use crate::fuse::{Canvas, Labels};
use crate::{Plane, blend::rgb};
use image::Luma;

/// The background at the canvas' size.
pub(super) struct Behind {
    places: Vec<bool>,
    picture: Exemplars,
}

impl Behind {
    /// `places`: where there is nothing but background, known pixels too. What stands before it is left out and filled as the hole is, by
    /// patches of the known background alone, so that nothing of it is carried on.
    #[tracing::instrument(name = "background", level = "info", skip_all)]
    pub fn new(canvas: &Canvas, places: Vec<bool>) -> Self {
        let (w, h) = canvas.target.dimensions();
        let is_open = |x, y| canvas.mask.is_hole(x, y) || !places[(y * w + x) as usize];
        let open = Mask::from_fn(w, h, is_open);
        let usable = Plane::from_fn(w, h, |x, y| Luma([f32::from(u8::from(!open.is_hole(x, y)))]));
        let sources = [Source { colour: canvas.target.clone(), usable }];
        let smooth = continued(&canvas.target, &open);
        // What is known is made smaller together with what lies beside it, so nothing of the thing may be there.
        let picture = exemplar_fill(&smooth, &open, &smooth, &sources);
        Self { places, picture }
    }

    /// The hole's pixels that it fills under some labels.
    pub fn filled(&self, canvas: &Canvas, labels: &Labels, free: u8) -> Vec<bool> {
        let filled = |i: usize| canvas.mask.holes()[i] && labels.labels[i] == free && self.places[i];
        (0..self.places.len()).map(filled).collect()
    }

    /// Where in the target a pixel comes from, as [`Exemplars::from`] has it.
    pub fn from(&self, i: usize) -> Option<(usize, [f32; 2])> {
        self.picture.from[i]
    }

    /// Its colour at a pixel.
    pub fn colour(&self, i: usize) -> [f32; 3] {
        rgb(&self.picture.colour, i)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Rgb, Rgb32FImage};

    #[test]
    fn the_background_goes_on_without_what_stands_before_it() {
        let is_box = |x: u32, y: u32| (20..40).contains(&x) && (10..50).contains(&y);
        let colour = |x, y| if is_box(x, y) { [0.9, 0.1, 0.1] } else { [0.2, 0.4, 0.2] };
        let target = Rgb32FImage::from_fn(60, 60, |x, y| Rgb(colour(x, y)));
        let canvas = Canvas::new(target, Mask::from_fn(60, 60, |x, y| (30..50).contains(&x) && (20..40).contains(&y)));
        let places: Vec<bool> = (0..3600).map(|i| !is_box(i % 60, i / 60)).collect();
        let behind = Behind::new(&canvas, places);
        let labels = Labels { labels: vec![1; 3600], doubt: Plane::new(60, 60) };
        let filled = behind.filled(&canvas, &labels, 1);
        assert!(filled[30 * 60 + 45] && !filled[30 * 60 + 35] && !filled[30 * 60 + 55]);
        for i in (0..3600).filter(|&i| filled[i]) {
            assert!(behind.from(i).is_some_and(|(source, _)| source == 0));
            let found = behind.colour(i);
            assert!(found.iter().zip([0.2, 0.4, 0.2]).all(|(a, b)| (a - b).abs() < 0.02), "at {i}: {found:?}");
        }
    }
    /// Of two backgrounds the one beside the hole goes on, and not the one that is nearer to the bright thing around both.
    #[test]
    fn the_thing_does_not_brighten_the_background() {
        let from_middle = |x: u32, y: u32| x.abs_diff(64).max(y.abs_diff(64));
        let is_thing = |x: u32, y: u32| (18..26).contains(&from_middle(x, y));
        let background = |x: u32, y: u32| if from_middle(x, y) >= 26 && x < 64 { 0.28 } else { 0.2 };
        let grey = |x, y| if is_thing(x, y) { 0.9 } else { background(x, y) };
        let target = Rgb32FImage::from_fn(128, 128, |x, y| Rgb([grey(x, y); 3]));
        let mask = Mask::from_fn(128, 128, |x, y| from_middle(x, y) < 12);
        let holes = mask.holes().to_vec();
        let places = (0..128 * 128).map(|i| !is_thing(i % 128, i / 128)).collect();
        let behind = Behind::new(&Canvas::new(target, mask), places);
        let filled = (0..holes.len()).filter(|&i| holes[i]);
        let worst = filled.map(|i| (behind.colour(i)[0] - 0.2).abs()).fold(0.0, f32::max);
        assert!(worst < 0.02, "{worst}");
    }
}
