//! The target's own smooth surface, carried on where references show the sky of another day.

use crate::Plane;
use crate::blend::{Field, neighbours, rgb, solve};
use crate::fuse::{Canvas, Labels, Prepared};
use crate::light::blurred_within;
use image::{Luma, Rgb32FImage};

/// How strongly colours are drawn to zero at each pixel: enough to have one solution.
const DRAWN: f32 = 1e-7;

/// Mean texture expected of the target (of 1) up to which its surface is smooth; beyond, patches continue it.
const SMOOTH: f32 = 0.4;

/// Pixels by which colours go on beyond the surface's edge.
const BEYOND: usize = 2;

/// Where the labels ask for the target's surface although something is shown, and what it looks like there: colours between those of the
/// known part beside it (Laplace's equation), and [`BEYOND`] its edge what they would be there, for seams to be healed by. What no known
/// pixel lies beside is left out.
pub(super) fn carried_on(canvas: &Canvas, prepared: &[Prepared], labels: &Labels) -> Vec<Option<[f32; 3]>> {
    let (w, h) = (canvas.mask.width() as usize, canvas.mask.height() as usize);
    let free = prepared.len() as u8;
    let is_inside = |i: usize| canvas.mask.holes()[i] && labels.labels[i] == free && is_smooth(prepared, i);
    let inside: Vec<bool> = (0..w * h).map(is_inside).collect();
    let known = Plane::from_fn(w as u32, h as u32, |x, y| Luma([f32::from(u8::from(!canvas.mask.is_hole(x, y)))]));
    let soft: Rgb32FImage = blurred_within(&canvas.target, &known, 1.5);
    let mut field = Field::new(w, h, inside.clone(), DRAWN);
    let mut reached: Vec<usize> = Vec::new();
    for i in (0..w * h).filter(|&i| inside[i]) {
        for j in neighbours(i, w, h).into_iter().flatten().filter(|&j| !canvas.mask.holes()[j]) {
            field.pull(i, rgb(&soft, j), 1.0);
            reached.push(i);
        }
    }
    let colours = solve(&field);
    let mut out = vec![None; w * h];
    while let Some(i) = reached.pop() {
        if inside[i] && out[i].is_none() {
            out[i] = Some(colours[i]);
            reached.extend(neighbours(i, w, h).into_iter().flatten());
        }
    }
    (0..BEYOND).for_each(|_| grow(&mut out, canvas, w));
    out
}

/// Whether something is shown, and the target is smooth at places of the colours shown.
fn is_smooth(prepared: &[Prepared], i: usize) -> bool {
    let shown = prepared.iter().filter(|p| p.confidence.as_raw()[i] > 0.1);
    let (count, texture) = shown.fold((0.0, 0.0), |(n, sum), p| (n + 1.0, sum + p.light.texture.as_raw()[i]));
    count > 0.0 && texture < SMOOTH * count
}

/// Carries colours one pixel on into the rest of the hole.
fn grow(colours: &mut [Option<[f32; 3]>], canvas: &Canvas, w: usize) {
    let is_open = |i: &usize| canvas.mask.holes()[*i] && colours[*i].is_none();
    let beside = |i: usize| neighbours(i, w, colours.len() / w).into_iter().flatten().find_map(|j| colours[j]);
    let found: Vec<_> =
        (0..colours.len()).filter(is_open).filter_map(|i| beside(i).map(|colour| (i, colour))).collect();
    found.into_iter().for_each(|(i, colour)| colours[i] = Some(colour));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mask;
    use image::Rgb;

    #[test]
    fn smooth_places_take_colours_between_those_beside_the_hole_and_others_none() {
        let target = Rgb32FImage::from_fn(40, 20, |x, _| Rgb([0.2 + 0.01 * x as f32, 0.5, 0.9]));
        let canvas = Canvas::new(target.clone(), Mask::from_fn(40, 20, |x, y| (10..30).contains(&x) && y < 15));
        let shown = [Prepared::of(0, Rgb32FImage::from_pixel(40, 20, Rgb([1.0; 3])), 0.1, 0.0)];
        let labelled = |is: fn(usize) -> bool| Labels {
            labels: (0..800).map(|i| u8::from(is(i % 40))).collect(),
            doubt: Plane::new(40, 20),
        };
        let all = carried_on(&canvas, &shown, &labelled(|_| true));
        let found = all[5 * 40 + 20].expect("known pixels lie beside it");
        let wanted = target.get_pixel(20, 5).0;
        assert!(found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 0.02), "{found:?}, not {wanted:?}");
        assert!(all[5 * 40 + 5].is_none(), "the known part needs nothing");
        let rough = [Prepared::of(0, Rgb32FImage::from_pixel(40, 20, Rgb([1.0; 3])), 0.1, 0.9)];
        assert!(carried_on(&canvas, &rough, &labelled(|_| true)).iter().all(Option::is_none), "patches are better");
        let nowhere = Canvas::new(target, Mask::from_fn(40, 20, |_, _| true));
        assert!(carried_on(&nowhere, &shown, &labelled(|x| x == 20)).iter().all(Option::is_none));
    }
}
