//! The committed goldens: tiny checkpoints of both families and what the reference libraries compute with them.

use burn::module::{ModuleMapper, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};
use safetensors::SafeTensors;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The two families.
pub const FAMILIES: [&str; 2] = ["sd15", "sd2"];

/// The folder of a family.
pub fn folder(family: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(family)
}

/// What the reference libraries computed.
pub struct Expected(BTreeMap<String, TensorData>);

impl Expected {
    pub fn read(family: &str) -> Self {
        let bytes = std::fs::read(folder(family).join("expected.safetensors")).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let values = |t: &safetensors::tensor::TensorView| -> Vec<f32> {
            let words = t.data().as_chunks::<4>().0.iter();
            match t.dtype() {
                safetensors::Dtype::I32 => words.map(|&b| i32::from_le_bytes(b) as f32).collect(),
                _ => words.map(|&b| f32::from_le_bytes(b)).collect(),
            }
        };
        Self(tensors.iter().map(|(name, t)| (name.to_owned(), TensorData::new(values(&t), t.shape()))).collect())
    }

    pub fn data(&self, name: &str) -> &TensorData {
        self.0.get(name).unwrap_or_else(|| panic!("no golden {name}"))
    }

    pub fn values(&self, name: &str) -> Vec<f32> {
        self.data(name).try_to_vec().unwrap()
    }

    pub fn tensor<const D: usize>(&self, name: &str) -> Tensor<D> {
        Tensor::from_data(self.data(name).clone(), &Device::flex())
    }

    /// Names that start with a prefix.
    pub fn names(&self, prefix: &str) -> Vec<&str> {
        self.0.keys().map(String::as_str).filter(|name| name.starts_with(prefix)).collect()
    }

    /// Asserts `|found - expected| <= tolerance * |expected|` in the Euclidean norm.
    pub fn assert_close(&self, name: &str, found: &TensorData, tolerance: f64) {
        let expected = self.data(name);
        assert_eq!(found.shape(), expected.shape(), "shape of {name}");
        let error = relative_error(&found.try_to_vec().unwrap(), &expected.try_to_vec().unwrap());
        assert!(error <= tolerance, "{name}: relative error {error:.2e}, allowed {tolerance:.0e}");
    }
}

/// Euclidean norm of the difference over that of the expected values.
pub fn relative_error(found: &[f32], expected: &[f32]) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let difference = norm(&mut found.iter().zip(expected).map(|(&f, &e)| f64::from(f) - f64::from(e)));
    difference / norm(&mut expected.iter().map(|&e| f64::from(e))).max(f64::MIN_POSITIVE)
}

/// Adds another value to every parameter, so that no factor is zero or uniform.
pub struct Vary;

impl ModuleMapper for Vary {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, value, _) = param.consume();
        let shape = value.shape();
        let steps = Tensor::<1, Int>::arange(0..shape.num_elements() as i64, &value.device().without_autodiff());
        let varied = value.clone().without_autodiff() + steps.float().sin().reshape(shape) * 0.1;
        let varied = if value.is_require_grad() { varied.autodiff().require_grad() } else { varied };
        Param::initialized(id, varied)
    }
}
