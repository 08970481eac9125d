//! Small patches of another depth amid one surface: where few photos see a place, chance decides.

use crate::Plane;
use crate::blend::neighbours;
use crate::patches::patches;

/// Neighbouring depths this many steps apart are one surface.
const JOINED: f32 = 2.5;
/// Largest patch that is a speck, as a share of the picture.
const SMALL: f32 = 0.003;

/// Inverse depths whose specks have taken the depth of what lies nearest to them; `step` is that between two hypotheses.
pub fn without_specks(inverse: &Plane, step: f32) -> Plane {
    let size = (inverse.width() as usize, inverse.height() as usize);
    let depth = inverse.as_raw();
    let found = patches(size, |_| true, |i, j| (depth[i] - depth[j]).abs() <= JOINED * step);
    let largest = (SMALL * depth.len() as f32) as usize;
    let mut is_open = vec![false; depth.len()];
    found.iter().filter(|patch| patch.len() <= largest).flatten().for_each(|&i| is_open[i] = true);
    closed(inverse, is_open)
}

/// The open pixels take the values of the nearest ones that are not, where there are any.
fn closed(values: &Plane, mut is_open: Vec<bool>) -> Plane {
    let (w, h) = (values.width() as usize, values.height() as usize);
    let mut out = values.clone();
    let mut front: Vec<usize> = (0..is_open.len()).filter(|&i| !is_open[i]).collect();
    while !front.is_empty() {
        let mut next = Vec::new();
        for i in front {
            for j in neighbours(i, w, h).into_iter().flatten() {
                if std::mem::replace(&mut is_open[j], false) {
                    out.as_mut()[j] = out.as_raw()[i];
                    next.push(j);
                }
            }
        }
        front = next;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Luma;

    #[test]
    fn a_speck_amid_a_surface_goes_and_slopes_edges_and_larger_things_stay() {
        let surface = |y: u32| if y < 40 { 1.0 } else { 1.0 + 0.02 * (y - 40) as f32 };
        let thing = |x: u32, y: u32| (60..72).contains(&x) && (10..30).contains(&y);
        let speck = |x: u32, y: u32| (20..24).contains(&x) && (15..20).contains(&y);
        let with = |seen: &dyn Fn(u32, u32) -> bool| {
            Plane::from_fn(100, 80, |x, y| Luma([if seen(x, y) { 3.0 } else { surface(y) }]))
        };
        let clean = with(&thing);
        assert_eq!(without_specks(&with(&|x, y| thing(x, y) || speck(x, y)), 0.01), clean);
        assert_eq!(without_specks(&clean, 0.01), clean);
    }
}
