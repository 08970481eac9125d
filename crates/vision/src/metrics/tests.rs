use super::*;
use image::Rgb;

const SIZE: (i64, i64) = (150, 110);

fn picture(value: impl Fn(i64, i64, i64) -> i64) -> RgbImage {
    RgbImage::from_fn(SIZE.0 as u32, SIZE.1 as u32, |x, y| {
        Rgb([0, 1, 2].map(|c| value(i64::from(x), i64::from(y), c).clamp(0, 255) as u8))
    })
}

fn truth_at(x: i64, y: i64, c: i64) -> i64 {
    (x * x + 3 * y * y + 37 * c * x + x * y) / 64 % 256
}

fn mask(name: &str) -> Mask {
    let is_hole: fn(i64, i64) -> bool = match name {
        "inside" => |x, y| (40..95).contains(&x) && (30..80).contains(&y),
        "border" => |x, y| x < 47 || y >= 98,
        "round" => |x, y| (x - 70).pow(2) + 2 * (y - 50).pow(2) < 1500,
        _ => |x, y| x + 2 * y < 60 || (x - 120).pow(2) + (y - 90).pow(2) < 40,
    };
    Mask::from_fn(SIZE.0 as u32, SIZE.1 as u32, |x, y| is_hole(i64::from(x), i64::from(y)))
}

/// Shifted and noisy in the hole and 3 px around it, with one changed value far from any.
fn result_for(mask: &Mask) -> RgbImage {
    let near = chamfer::within(mask, true, 3);
    let mut result = picture(|x, y, c| {
        let noise = (x * 7919 + y * 104_729 + c * 1_299_709) % 8191 % 41 - 20;
        let changed = near[(y * SIZE.0 + x) as usize];
        if changed { truth_at((x - 2).rem_euclid(SIZE.0), y, c) + noise } else { truth_at(x, y, c) }
    });
    result.get_pixel_mut(SIZE.0 as u32 - 1, 0).0[1] ^= 5;
    result
}

#[test]
fn the_figures_are_those_of_the_published_evaluation() {
    for line in include_str!("../../tests/data/metrics.txt").lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [psnr, ssim, seam] = [1, 2, 3].map(|i| fields[i].parse::<f64>().unwrap());
        let mask = mask(fields[0]);
        let target = picture(|x, y, c| if mask.is_hole(x as u32, y as u32) { 255 } else { truth_at(x, y, c) });
        let found = score(&result_for(&mask), &target, &picture(truth_at), &mask);
        assert!((found.hole_psnr - psnr).abs() < 1e-4, "{line}: {found:?}");
        assert!((found.hole_ssim - ssim).abs() < 1e-4, "{line}: {found:?}");
        assert!((found.seam_psnr - seam).abs() < 1e-4, "{line}: {found:?}");
        assert_eq!(found.max_change_outside.to_string(), fields[4], "{line}");
    }
}

#[test]
fn equal_pictures_score_best() {
    let (truth, mask) = (picture(truth_at), mask("round"));
    let found = score(&truth, &truth, &truth, &mask);
    assert!(found.hole_psnr > 100.0 && found.seam_psnr > 100.0 && (found.hole_ssim - 1.0).abs() < 1e-9, "{found:?}");
    assert_eq!(found.max_change_outside, 0);
}

#[test]
fn without_a_hole_there_is_no_figure() {
    let none = Mask::from_fn(SIZE.0 as u32, SIZE.1 as u32, |_, _| false);
    let truth = picture(truth_at);
    assert!(hole_psnr(&truth, &truth, &none).is_nan() && hole_ssim(&truth, &truth, &none).is_nan());
    assert_eq!(max_change_outside(&truth, &truth, &none), 0);
}

#[test]
fn the_chamfer_distance_is_near_the_exact_one() {
    let mask = mask("corner");
    let exact = mask.distance_to_hole();
    for limit in [4, 8, 16] {
        let near = chamfer::within(&mask, true, limit);
        let agrees = |(near, exact): (&bool, &f32)| {
            *near == (*exact <= limit as f32) || (exact / limit as f32 - 1.0).abs() < 0.03
        };
        assert!(near.iter().zip(exact.iter()).all(agrees), "limit {limit}");
    }
}
