//! Real roots of a cubic, for the seven-point algorithm.

/// Real roots of `c[0] + c[1]·x + c[2]·x² + c[3]·x³`, each polished by Newton steps. Lower degrees when leading coefficients vanish.
pub fn cubic_roots(c: [f64; 4]) -> Vec<f64> {
    let size = c.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    if size == 0.0 || !size.is_finite() {
        return Vec::new();
    }
    let roots =
        if c[3].abs() > 1e-12 * size { cubic(c[2] / c[3], c[1] / c[3], c[0] / c[3]) } else { quadratic(c, size) };
    roots.into_iter().map(|x| polished(c, x)).filter(|x| x.is_finite()).collect()
}

/// x³ + a·x² + b·x + c, by Viète or Cardano.
fn cubic(a: f64, b: f64, c: f64) -> Vec<f64> {
    let q = (a * a - 3.0 * b) / 9.0;
    let r = (2.0 * a * a * a - 9.0 * a * b + 27.0 * c) / 54.0;
    if r * r < q * q * q {
        let angle = (r / (q * q * q).sqrt()).clamp(-1.0, 1.0).acos();
        let third = std::f64::consts::TAU / 3.0;
        return (0..3).map(|k| -2.0 * q.sqrt() * (angle / 3.0 + k as f64 * third).cos() - a / 3.0).collect();
    }
    let s = -r.signum() * (r.abs() + (r * r - q * q * q).sqrt()).cbrt();
    let t = if s != 0.0 { q / s } else { 0.0 };
    vec![s + t - a / 3.0]
}

fn quadratic(c: [f64; 4], size: f64) -> Vec<f64> {
    if c[2].abs() <= 1e-12 * size {
        return if c[1].abs() > 1e-12 * size { vec![-c[0] / c[1]] } else { Vec::new() };
    }
    let discriminant = c[1] * c[1] - 4.0 * c[2] * c[0];
    if discriminant < 0.0 {
        return Vec::new();
    }
    let q = -0.5 * (c[1] + c[1].signum() * discriminant.sqrt());
    if q == 0.0 { vec![0.0] } else { vec![q / c[2], c[0] / q] }
}

fn polished(c: [f64; 4], mut x: f64) -> f64 {
    for _ in 0..3 {
        let value = ((c[3] * x + c[2]) * x + c[1]) * x + c[0];
        let slope = (3.0 * c[3] * x + 2.0 * c[2]) * x + c[1];
        if slope != 0.0 && (value / slope).is_finite() {
            x -= value / slope;
        }
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(c: [f64; 4]) -> Vec<f64> {
        let mut roots = cubic_roots(c);
        roots.sort_by(f64::total_cmp);
        roots
    }

    #[test]
    fn roots_of_products_of_factors_are_found() {
        let roots = sorted([-6.0, 11.0, -6.0, 1.0]);
        assert!(roots.iter().zip([1.0, 2.0, 3.0]).all(|(a, b)| (a - b).abs() < 1e-9), "{roots:?}");
        let single = sorted([-5.0, 1.0, -5.0, 1.0]);
        assert!(single.len() == 1 && (single[0] - 5.0).abs() < 1e-9, "{single:?}");
    }

    #[test]
    fn lower_degrees_are_solved_too() {
        assert_eq!(sorted([-4.0, 0.0, 1.0, 0.0]), [-2.0, 2.0]);
        assert_eq!(sorted([3.0, -1.5, 0.0, 0.0]), [2.0]);
        assert!(sorted([1.0, 0.0, 1.0, 0.0]).is_empty() && sorted([0.0; 4]).is_empty());
    }
}
