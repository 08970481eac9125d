//! Filters for depths, which must not mix surfaces.

use crate::Plane;
use rayon::prelude::*;

/// Another size without mixing values.
pub fn nearest_resize(plane: &Plane, (w, h): (usize, usize)) -> Plane {
    let (sx, sy) = (plane.width() as f32 / w as f32, plane.height() as f32 / h as f32);
    Plane::from_fn(w as u32, h as u32, |x, y| {
        *plane.get_pixel(((x as f32 + 0.5) * sx) as u32, ((y as f32 + 0.5) * sy) as u32)
    })
}

/// Medians of 5×5 pixels.
pub fn median_filter(plane: &Plane) -> Plane {
    windowed(plane, 2, |values, _| *values.select_nth_unstable_by(values.len() / 2, f32::total_cmp).1)
}

/// Means of 7×7 pixels that weigh values `spread` away by a half.
pub fn edge_preserving(plane: &Plane, spread: f32) -> Plane {
    windowed(plane, 3, |values, centre| {
        let weight = |v: f32| 1.0 / (1.0 + ((v - centre) / spread).powi(4));
        let total: f32 = values.iter().map(|&v| weight(v)).sum();
        values.iter().map(|&v| v * weight(v)).sum::<f32>() / total
    })
}

fn windowed(plane: &Plane, radius: usize, value: impl Fn(&mut [f32], f32) -> f32 + Sync) -> Plane {
    let (w, h) = (plane.width() as usize, plane.height() as usize);
    let source = plane.as_raw();
    let mut out = vec![0.0; w * h];
    out.par_chunks_mut(w).enumerate().for_each(|(y, row)| {
        let mut window = Vec::with_capacity(64);
        for (x, out) in row.iter_mut().enumerate() {
            window.clear();
            for v in y.saturating_sub(radius)..(y + radius + 1).min(h) {
                window.extend_from_slice(&source[v * w + x.saturating_sub(radius)..v * w + (x + radius + 1).min(w)]);
            }
            *out = value(&mut window, source[y * w + x]);
        }
    });
    Plane::from_raw(w as u32, h as u32, out).expect("one value a pixel")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_stay_and_specks_go() {
        let step = Plane::from_fn(20, 12, |x, _| image::Luma([if x < 10 { 1.0 } else { 2.0 }]));
        let mut speckled = step.clone();
        speckled.put_pixel(4, 6, image::Luma([9.0]));
        assert_eq!(median_filter(&speckled), step);
        let smooth = edge_preserving(&step, 0.1);
        assert!(smooth.iter().zip(step.iter()).all(|(a, b)| (a - b).abs() < 0.01));
        assert_eq!(nearest_resize(&step, (40, 24)).get_pixel(19, 3)[0], 1.0);
    }
}
