//! Small dense systems: symmetric solves and null spaces.

use nalgebra::{DMatrix, DVector, SMatrix, SVector, SymmetricEigen};

/// Solves `A·x = b` for symmetric positive definite A by Cholesky; by LU where A is only nearly so. `None` when A is singular.
pub fn solve_symmetric(a: &DMatrix<f64>, b: &DVector<f64>) -> Option<DVector<f64>> {
    let x = match a.clone().cholesky() {
        Some(factor) => factor.solve(b),
        None => a.clone().lu().solve(b)?,
    };
    x.iter().all(|v| v.is_finite()).then_some(x)
}

/// The unit eigenvector of a symmetric matrix's smallest eigenvalue: where `|A·x|` is least for a normal matrix `AᵀA`.
/// `None` when entries are not finite.
pub fn smallest_eigenvector<const N: usize>(matrix: &SMatrix<f64, N, N>) -> Option<SVector<f64, N>> {
    if !matrix.iter().all(|v| v.is_finite()) {
        return None;
    }
    let scaled = matrix / matrix.norm().max(1e-300);
    let eigen = SymmetricEigen::new(DMatrix::from_column_slice(N, N, scaled.as_slice()));
    let (least, _) = eigen.eigenvalues.argmin();
    Some(SVector::from_fn(|i, _| eigen.eigenvectors[(i, least)]))
}

/// Two vectors that span the null space of seven equations in nine unknowns (Gauss-Jordan with complete pivoting).
/// `None` when the equations depend on each other.
pub fn null_space_7x9(mut m: SMatrix<f64, 7, 9>) -> Option<[SVector<f64, 9>; 2]> {
    let mut order: [usize; 9] = std::array::from_fn(|i| i);
    let size = m.amax();
    for k in 0..7 {
        let (row, column) = m.view((k, k), (7 - k, 9 - k)).iamax_full();
        m.swap_rows(k, k + row);
        m.swap_columns(k, k + column);
        order.swap(k, k + column);
        let pivot = m[(k, k)];
        if pivot.abs() <= 1e-10 * size || pivot.is_nan() {
            return None;
        }
        let row = m.row(k) / pivot;
        m.set_row(k, &row);
        for i in (0..7).filter(|&i| i != k) {
            let factor = m[(i, k)];
            let reduced = m.row(i) - row * factor;
            m.set_row(i, &reduced);
        }
    }
    let vector = |free: usize| {
        let mut v = SVector::<f64, 9>::zeros();
        (0..7).for_each(|i| v[order[i]] = -m[(i, free)]);
        v[order[free]] = 1.0;
        v
    };
    Some([vector(7), vector(8)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn null_vectors_solve_all_seven_equations() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..50 {
            let m = SMatrix::<f64, 7, 9>::from_fn(|_, _| rng.random::<f64>() - 0.5);
            let [a, b] = null_space_7x9(m).unwrap();
            assert!((m * a).norm() < 1e-8 * a.norm() && (m * b).norm() < 1e-8 * b.norm());
            assert!(a.cross_free_angle(&b) > 1e-3);
        }
    }

    trait Angle {
        fn cross_free_angle(&self, other: &Self) -> f64;
    }

    impl Angle for SVector<f64, 9> {
        fn cross_free_angle(&self, other: &Self) -> f64 {
            (1.0 - (self.dot(other) / self.norm() / other.norm()).powi(2)).max(0.0).sqrt()
        }
    }

    #[test]
    fn dependent_equations_have_no_plain_null_space() {
        let mut m = SMatrix::<f64, 7, 9>::from_fn(|i, j| (i * 9 + j * j) as f64);
        m.set_row(6, &m.row(0).into_owned());
        assert!(null_space_7x9(m).is_none());
    }

    #[test]
    fn the_smallest_eigenvector_is_where_the_matrix_does_least() {
        let m = SMatrix::<f64, 3, 3>::new(4.0, 1.0, 0.0, 1.0, 3.0, 0.0, 0.0, 0.0, 0.5);
        assert!((smallest_eigenvector(&m).unwrap().z.abs() - 1.0).abs() < 1e-12);
        assert!(smallest_eigenvector(&(m * f64::NAN)).is_none());
    }

    #[test]
    fn symmetric_systems_are_solved_and_singular_ones_refused() {
        let a = DMatrix::from_row_slice(2, 2, &[4.0, 1.0, 1.0, 3.0]);
        let x = solve_symmetric(&a, &DVector::from_row_slice(&[1.0, 2.0])).unwrap();
        assert!((a * x - DVector::from_row_slice(&[1.0, 2.0])).norm() < 1e-12);
        assert!(solve_symmetric(&DMatrix::zeros(2, 2), &DVector::from_element(2, 1.0)).is_none());
    }
}
