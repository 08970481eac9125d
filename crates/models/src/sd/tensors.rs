//! Tensors in checkpoint files, found by name and read one at a time, so that loading needs little more memory than the model.

use crate::ModelError;
use half::{bf16, f16};
use pytorch_reader::PytorchReader;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// A tensor in a file, not yet read.
#[derive(Clone)]
pub(crate) struct StoredTensor {
    pub shape: Vec<usize>,
    path: PathBuf,
    place: Place,
}

#[derive(Clone)]
enum Place {
    Bytes { dtype: String, start: u64, len: usize },
    Pickle(pytorch_reader::Tensor),
}

/// All tensors of some files, by name.
pub(crate) type TensorTable = BTreeMap<String, StoredTensor>;

/// Lists the tensors of a file: PyTorch's for `.bin`, `.pt`, `.pth`, SafeTensors otherwise.
pub(crate) fn list_tensors(path: &Path) -> Result<TensorTable, ModelError> {
    match path.extension().and_then(|e| e.to_str()) {
        Some("bin" | "pt" | "pth") => list_pytorch(path),
        _ => list_safetensors(path),
    }
}

fn list_pytorch(path: &Path) -> Result<TensorTable, ModelError> {
    let reader = PytorchReader::new(path)
        .map_err(|e| ModelError::file(path, format!("not a readable PyTorch file of tensors ({e})")))?;
    let stored = |t: pytorch_reader::Tensor| StoredTensor {
        shape: t.shape().to_vec(),
        path: path.to_owned(),
        place: Place::Pickle(t),
    };
    Ok(reader.into_tensors().into_iter().map(|(name, t)| (name, stored(t))).collect())
}

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [u64; 2],
}

fn list_safetensors(path: &Path) -> Result<TensorTable, ModelError> {
    let Header { entries, data_start, size } = read_header(path)?;
    let named = entries.into_iter().filter(|(name, _)| name != METADATA);
    named.map(|(name, entry)| place_entry(path, name, entry, data_start, size)).collect()
}

/// A text that a SafeTensors file has beside its tensors.
pub(crate) fn safetensors_metadata(path: &Path, name: &str) -> Result<Option<String>, ModelError> {
    let entries = read_header(path)?.entries;
    let text = entries.get(METADATA).and_then(|texts| texts.get(name)?.as_str());
    Ok(text.map(str::to_owned))
}

/// The entry of a header that is no tensor.
const METADATA: &str = "__metadata__";

struct Header {
    entries: BTreeMap<String, serde_json::Value>,
    data_start: u64,
    size: u64,
}

fn read_header(path: &Path) -> Result<Header, ModelError> {
    let bad = |reason: String| ModelError::file(path, format!("not a readable SafeTensors file ({reason})"));
    let mut file = File::open(path).map_err(|e| bad(e.to_string()))?;
    let size = file.metadata().map_err(|e| bad(e.to_string()))?.len();
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(|e| bad(e.to_string()))?;
    let header_len = u64::from_le_bytes(length);
    let data_start = header_len.checked_add(8).filter(|&start| start <= size);
    let data_start = data_start.ok_or_else(|| bad(format!("a header of {header_len} bytes in a file of {size}")))?;
    let mut header = vec![0; header_len as usize];
    file.read_exact(&mut header).map_err(|e| bad(e.to_string()))?;
    let entries = serde_json::from_slice(&header).map_err(|e| bad(format!("header: {e}")))?;
    Ok(Header { entries, data_start, size })
}

fn place_entry(
    path: &Path,
    name: String,
    entry: serde_json::Value,
    data_start: u64,
    size: u64,
) -> Result<(String, StoredTensor), ModelError> {
    let bad = |reason: String| ModelError::file(path, format!("tensor {name}: {reason}"));
    let Entry { dtype, shape, data_offsets: [begin, end] } =
        serde_json::from_value(entry).map_err(|e| bad(e.to_string()))?;
    let needed = shape.iter().try_fold(bytes_of(&dtype), |n, &d| n.checked_mul(d));
    let len = end.checked_sub(begin).map(|n| n as usize);
    if len.is_none() || needed != len {
        return Err(bad(format!("{shape:?} of {dtype} does not fit its {begin}..{end}")));
    }
    let start = data_start.checked_add(begin);
    let Some(start) = start.filter(|_| data_start.checked_add(end).is_some_and(|e| e <= size)) else {
        return Err(bad(format!("the file of {size} bytes ends before it; download it again")));
    };
    let place = Place::Bytes { dtype, start, len: len.unwrap_or_default() };
    Ok((name, StoredTensor { shape, path: path.to_owned(), place }))
}

/// Bytes of one element; 0 for a type that no weight has.
fn bytes_of(dtype: &str) -> usize {
    match dtype {
        "F64" | "I64" | "U64" => 8,
        "F32" | "I32" | "U32" => 4,
        "F16" | "BF16" | "I16" | "U16" => 2,
        "I8" | "U8" | "BOOL" => 1,
        _ => 0,
    }
}

impl StoredTensor {
    /// The values as `f32`, whatever float type they are stored in.
    ///
    /// # Errors
    /// When the file cannot be read, or holds no floats.
    pub fn read(&self) -> Result<Vec<f32>, ModelError> {
        Ok(self.read_stored()?.into_f32())
    }

    /// The values in the type that they are stored in; `F64` as `f32`.
    ///
    /// # Errors
    /// As [`StoredTensor::read`].
    pub fn read_stored(&self) -> Result<Stored, ModelError> {
        let (dtype, bytes) = match &self.place {
            Place::Pickle(tensor) => {
                let bytes = tensor.read().map_err(|e| ModelError::file(&self.path, e))?;
                (format!("{:?}", tensor.dtype()), bytes)
            }
            Place::Bytes { dtype, start, len } => {
                let bytes = read_range(&self.path, *start, *len).map_err(|e| ModelError::file(&self.path, e))?;
                (dtype.clone(), bytes)
            }
        };
        stored(&dtype, &bytes)
            .ok_or_else(|| ModelError::file(&self.path, format!("weights of type {dtype}; F32, F16, BF16 or F64 work")))
    }
}

fn read_range(path: &Path, start: u64, len: usize) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = vec![0; len];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn stored(dtype: &str, bytes: &[u8]) -> Option<Stored> {
    fn each<const N: usize, T>(bytes: &[u8], value: impl Fn([u8; N]) -> T) -> Vec<T> {
        bytes.as_chunks::<N>().0.iter().map(|&chunk| value(chunk)).collect()
    }
    match dtype {
        "F32" => Some(Stored::F32(each(bytes, f32::from_le_bytes))),
        "F16" => Some(Stored::F16(each(bytes, u16::from_le_bytes))),
        "BF16" => Some(Stored::Bf16(each(bytes, u16::from_le_bytes))),
        "F64" => Some(Stored::F32(each(bytes, |b| f64::from_le_bytes(b) as f32))),
        _ => None,
    }
}

/// Numbers as a checkpoint has them; those of 16 bits as bits.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Stored {
    F32(Vec<f32>),
    F16(Vec<u16>),
    Bf16(Vec<u16>),
}

impl Stored {
    /// As `f32`.
    pub fn into_f32(self) -> Vec<f32> {
        match self {
            Self::F32(values) => values,
            Self::F16(bits) => bits.into_iter().map(|b| f16::from_bits(b).to_f32()).collect(),
            Self::Bf16(bits) => bits.into_iter().map(|b| bf16::from_bits(b).to_f32()).collect(),
        }
    }

    /// How many.
    #[cfg(target_arch = "x86_64")]
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F16(bits) | Self::Bf16(bits) => bits.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_float_type_is_read_and_integers_are_not() {
        assert_eq!(stored("F32", &1.5f32.to_le_bytes()).unwrap().into_f32(), [1.5]);
        assert_eq!(stored("F64", &(-2.5f64).to_le_bytes()).unwrap().into_f32(), [-2.5]);
        assert_eq!(stored("F16", &f16::from_f32(0.25).to_le_bytes()).unwrap().into_f32(), [0.25]);
        assert_eq!(stored("BF16", &bf16::from_f32(-8.0).to_le_bytes()).unwrap().into_f32(), [-8.0]);
        assert!(stored("I64", &[0; 8]).is_none());
    }

    #[test]
    fn a_header_that_lies_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("x.safetensors");
        let write = |entry: &str| {
            let header = format!("{{\"w\":{entry}}}");
            let bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &[0; 16]].concat();
            std::fs::write(&path, bytes).unwrap();
            list_tensors(&path).map(|table| table.len()).map_err(|e| e.to_string())
        };
        assert_eq!(write(r#"{"dtype":"F32","shape":[4],"data_offsets":[0,16]}"#), Ok(1));
        for lie in [
            r#"{"dtype":"F32","shape":[5],"data_offsets":[0,16]}"#,
            r#"{"dtype":"F32","shape":[8],"data_offsets":[0,32]}"#,
            r#"{"dtype":"F32","shape":[4],"data_offsets":[16,0]}"#,
            r#"{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}"#,
            r#"{"dtype":"F32"}"#,
        ] {
            assert!(write(lie).unwrap_err().contains("x.safetensors: tensor w"), "{lie}");
        }
    }
}
