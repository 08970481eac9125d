//! Takes a model's tensors out of a checkpoint by name while the model is built.
//!
//! The code that builds a module names its tensors as diffusers and transformers do, so the key table and the model cannot
//! drift apart. What is missing, misshapen or left over is gathered and told at the end, all at once.

use super::tensors::{Stored, TensorTable, list_tensors};
use crate::kernels::{Precision, Way};
use crate::{ModelError, TensorProblems};
use burn::tensor::{Device, Tensor, TensorData};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The tensors a model is built from.
pub(crate) struct Checkpoint {
    table: TensorTable,
    path: PathBuf,
    device: Device,
    precision: Precision,
    notes: RefCell<Notes>,
    dry: bool,
}

#[derive(Default)]
struct Notes {
    /// Name and shape of each tensor asked for, in order.
    asked: Vec<(String, Vec<usize>)>,
    problems: TensorProblems,
    failed: Option<ModelError>,
}

impl Checkpoint {
    /// The tensors of the files, under the names `rename` gives them (`None`: a buffer that is no weight).
    ///
    /// `path` is what errors name.
    pub fn open(
        files: &[PathBuf],
        path: &Path,
        rename: impl Fn(&str) -> Option<String>,
        device: &Device,
        precision: Precision,
    ) -> Result<Self, ModelError> {
        let mut table = TensorTable::new();
        for file in files {
            let tensors = list_tensors(file)?.into_iter();
            table.extend(tensors.filter_map(|(name, tensor)| Some((rename(&name)?, tensor))));
        }
        // Base weights never need gradients: on the plain device they are constants to autodiff.
        let device = device.clone().without_autodiff();
        Ok(Self { table, path: path.to_owned(), device, precision, notes: RefCell::default(), dry: false })
    }

    /// A checkpoint that gives empty tensors of any shape, to learn what a model asks for.
    pub fn dry(device: &Device) -> Self {
        let (path, device) = (PathBuf::new(), device.clone().without_autodiff());
        let (table, precision) = (TensorTable::new(), Precision::F32);
        Self { table, path, device, precision, notes: RefCell::default(), dry: true }
    }

    /// The place names are relative to. Layers are known to adapters under their name with `title` before it.
    pub fn root<'a>(&'a self, title: &'a str) -> Weights<'a> {
        Weights { checkpoint: self, title, prefix: String::new() }
    }

    /// The model, if every tensor was there, had its shape, and none was left over.
    pub fn finish<M>(self, model: M) -> Result<M, ModelError> {
        let notes = self.notes.into_inner();
        if let Some(error) = notes.failed {
            return Err(error);
        }
        let asked: BTreeSet<&str> = notes.asked.iter().map(|(name, _)| name.as_str()).collect();
        let extra = self.table.into_keys().filter(|name| !asked.contains(name.as_str())).collect();
        let problems = TensorProblems { extra, ..notes.problems };
        if problems.is_empty() { Ok(model) } else { Err(ModelError::Tensors { path: self.path, problems }) }
    }

    /// Name and shape of everything that was asked for.
    pub fn into_asked(self) -> Vec<(String, Vec<usize>)> {
        self.notes.into_inner().asked
    }

    fn take<const D: usize>(&self, name: String, shape: [usize; D]) -> Tensor<D> {
        match self.stored(name, &shape) {
            Some(values) => Tensor::from_data(TensorData::new(values.into_f32(), shape), &self.device),
            None => self.stand_in(shape),
        }
    }

    /// Without memory; the caller never sees a model made with it, except a dry one.
    fn stand_in<const D: usize>(&self, shape: [usize; D]) -> Tensor<D> {
        Tensor::<D>::zeros([1; D], &self.device).expand(shape)
    }

    fn stored(&self, name: String, shape: &[usize]) -> Option<Stored> {
        let values = if self.dry { None } else { self.values(&name, shape) };
        self.notes.borrow_mut().asked.push((name, shape.to_vec()));
        values
    }

    fn values(&self, name: &str, shape: &[usize]) -> Option<Stored> {
        let notes = &mut *self.notes.borrow_mut();
        let Some(stored) = self.table.get(name) else {
            notes.problems.missing.push(name.to_owned());
            return None;
        };
        if stored.shape != shape {
            notes.problems.misshapen.push(format!("{name} is {:?} instead of {shape:?}", stored.shape));
            return None;
        }
        let read = stored.read_stored();
        read.map_err(|error| notes.failed.get_or_insert(error)).ok()
    }
}

/// A place in a checkpoint, such as `down_blocks.0.resnets.1`.
pub(crate) struct Weights<'a> {
    checkpoint: &'a Checkpoint,
    title: &'a str,
    prefix: String,
}

impl<'a> Weights<'a> {
    /// The place below.
    pub fn at(&self, name: &str) -> Weights<'a> {
        Weights { prefix: self.join(name), ..*self }
    }

    /// The `index`-th entry of the list `name`.
    pub fn nth(&self, name: &str, index: usize) -> Weights<'a> {
        self.at(&format!("{name}.{index}"))
    }

    /// What adapters call this place.
    pub fn name(&self) -> String {
        format!("{}{}", self.title, self.prefix)
    }

    /// The tensor of this name, as `f32` on the plain device (no gradients).
    pub fn tensor<const D: usize>(&self, name: &str, shape: [usize; D]) -> Tensor<D> {
        self.checkpoint.take(self.join(name), shape)
    }

    /// The tensor of this name for a kernel of the processor, or a tensor where those do not run.
    pub fn frozen<const D: usize>(&self, name: &str, shape: [usize; D]) -> Weight<D> {
        let checkpoint = self.checkpoint;
        let Some(way) = self.way() else {
            return Weight::Tensor(self.tensor(name, shape));
        };
        match checkpoint.stored(self.join(name), &shape) {
            Some(values) => Weight::Frozen(values, way),
            None => Weight::Tensor(checkpoint.stand_in(shape)),
        }
    }

    /// The way of the processor's kernels, if they are to be used with what is read here: in the precision that was asked for
    /// where the processor can, otherwise in `f32`.
    pub fn way(&self) -> Option<Way> {
        let Checkpoint { dry, device, precision, .. } = self.checkpoint;
        if *dry || *device != Device::flex() {
            return None;
        }
        Way::of(*precision).or_else(|| Way::of(Precision::F32))
    }

    /// The values of this name as `f32`; zeros where there are none.
    pub fn values(&self, name: &str, len: usize) -> Vec<f32> {
        self.checkpoint.stored(self.join(name), &[len]).map_or_else(|| vec![0.0; len], Stored::into_f32)
    }

    fn join(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_owned() } else { format!("{}.{name}", self.prefix) }
    }
}

/// A weight, for whoever multiplies by it.
#[allow(clippy::large_enum_variant, reason = "taken apart at once")]
pub(crate) enum Weight<const D: usize> {
    /// For Burn's own operations.
    Tensor(Tensor<D>),
    /// For a kernel of the processor, and its way.
    Frozen(Stored, Way),
}
