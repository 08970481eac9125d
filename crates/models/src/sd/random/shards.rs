//! SafeTensors files of random values, written as they are drawn.

use super::Shapes;
use crate::ModelError;
use half::f16;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Bytes of a shard, about; what the hub's checkpoints of several gigabytes are split by lies between 1 and 10 GB.
const SHARD_BYTES: usize = 1_000_000_000;

/// Writes `stem.safetensors`, or its shards and their index.
pub(super) fn write(folder: &Path, stem: &str, shapes: &Shapes, rng: &mut ChaCha8Rng) -> Result<(), ModelError> {
    let shards = split(shapes);
    if let [whole] = &shards[..] {
        return write_shard(&folder.join(format!("{stem}.safetensors")), whole, rng);
    }
    let mut map = Map::new();
    for (i, shard) in shards.iter().enumerate() {
        let file = format!("{stem}-{:05}-of-{:05}.safetensors", i + 1, shards.len());
        write_shard(&folder.join(&file), shard, rng)?;
        map.extend(shard.iter().map(|(name, _)| (name.clone(), json!(file))));
    }
    let total: usize = shapes.iter().map(|(_, shape)| bytes(shape)).sum();
    let index = json!({ "metadata": { "total_size": total }, "weight_map": map });
    super::write_json(&folder.join(format!("{stem}.safetensors.index.json")), &index)
}

fn bytes(shape: &[usize]) -> usize {
    2 * shape.iter().product::<usize>()
}

fn split(shapes: &Shapes) -> Vec<&[(String, Vec<usize>)]> {
    let (mut shards, mut start, mut size) = (Vec::new(), 0, 0);
    for (i, (_, shape)) in shapes.iter().enumerate() {
        if size + bytes(shape) > SHARD_BYTES && i > start {
            shards.push(&shapes[start..i]);
            (start, size) = (i, 0);
        }
        size += bytes(shape);
    }
    shards.push(&shapes[start..]);
    shards
}

fn write_shard(path: &Path, shapes: &[(String, Vec<usize>)], rng: &mut ChaCha8Rng) -> Result<(), ModelError> {
    let mut stream = || -> std::io::Result<()> {
        let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
        let header = header(shapes);
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(header.as_bytes())?;
        for (name, shape) in shapes {
            write_values(&mut file, name, shape, rng)?;
        }
        file.flush()
    };
    stream().map_err(|e| ModelError::file(path, e))
}

fn header(shapes: &[(String, Vec<usize>)]) -> String {
    let mut offset = 0;
    let mut entries = Map::from_iter([("__metadata__".to_owned(), json!({ "format": "pt" }))]);
    for (name, shape) in shapes {
        let end = offset + bytes(shape);
        entries.insert(name.clone(), json!({ "dtype": "F16", "shape": shape, "data_offsets": [offset, end] }));
        offset = end;
    }
    let text = Value::Object(entries).to_string();
    let padded = text.len().next_multiple_of(8);
    format!("{text:padded$}")
}

fn write_values(file: &mut impl Write, name: &str, shape: &[usize], rng: &mut ChaCha8Rng) -> std::io::Result<()> {
    let constant = (shape.len() == 1).then_some(if name.ends_with("weight") { 1.0 } else { 0.0 });
    // Uniform in ±sqrt(3 / fan in) has variance 1 / fan in.
    let fan_in: usize = shape.iter().skip(1).product();
    let bound = (3.0 / fan_in as f32).sqrt();
    for _ in 0..shape.iter().product() {
        let value = constant.unwrap_or_else(|| (2.0 * rng.random::<f32>() - 1.0) * bound);
        file.write_all(&f16::from_f32(value).to_le_bytes())?;
    }
    Ok(())
}
