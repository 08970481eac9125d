//! Several candidates' denoisers as one, each with its own conditions.

use crate::denoiser::Denoiser;
use crate::schedule::NoiseLevel;
use burn::tensor::Tensor;
use std::cell::RefCell;

/// Each row of a batch goes through its own denoiser, alone, so what becomes of it is bit for bit what it would be without the others.
pub(super) struct Rows<D> {
    each: Vec<D>,
    /// The denoiser of each row.
    kept: RefCell<Vec<usize>>,
    /// What was predicted last, before the guide and the known part had their say.
    predicted: RefCell<Option<Tensor<4>>>,
}

impl<D: Denoiser> Rows<D> {
    /// One row for each denoiser.
    pub fn new(each: Vec<D>) -> Self {
        let kept = RefCell::new((0..each.len()).collect());
        Self { each, kept, predicted: RefCell::new(None) }
    }

    /// Which row of the first batch each of those left is.
    pub fn kept(&self) -> Vec<usize> {
        self.kept.borrow().clone()
    }

    /// The rows' last predictions as the model made them.
    ///
    /// # Panics
    /// Before the first one.
    pub fn predicted(&self) -> Tensor<4> {
        self.predicted.borrow().clone().expect("a step is told after its prediction")
    }

    /// Goes on with these of the rows that are left, in this order.
    pub fn keep(&self, rows: &[usize]) {
        let before = self.kept();
        self.kept.replace(rows.iter().map(|&row| before[row]).collect());
    }

    fn each(&self, x: Tensor<4>, run: impl Fn(&D, Tensor<4>) -> Tensor<4>) -> Tensor<4> {
        let kept = self.kept.borrow();
        let row = |(i, &own): (usize, &usize)| run(&self.each[own], x.clone().narrow(0, i, 1));
        Tensor::cat(kept.iter().enumerate().map(row).collect(), 0)
    }
}

impl<D: Denoiser> Denoiser for Rows<D> {
    fn denoise(&self, x: Tensor<4>, timestep: f32) -> Tensor<4> {
        self.each(x, |denoiser, x| denoiser.denoise(x, timestep))
    }

    fn adjust_x0(&self, x0: Tensor<4>, level: &NoiseLevel) -> Tensor<4> {
        self.predicted.replace(Some(x0.clone()));
        self.each(x0, |denoiser, x0| denoiser.adjust_x0(x0, level))
    }
}
