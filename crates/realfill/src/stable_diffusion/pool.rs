//! Encoded samples, kept while they are learnt from: encoding a picture takes as long as a pass through the U-Net.
//!
//! A sample that comes again is known by its content, so whoever draws samples needs not know of this.

use super::conditions::{Known, tensors};
use crate::training::batch::Sample;
use burn::tensor::Tensor;
use realfill_models::sd::{Moments, StableDiffusion};
use realfill_vision::Mask;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Steps after which an entry that was not used is forgotten: those of even and of odd numbers draw samples of their own.
const KEPT: usize = 2;

/// A sample as latents.
#[derive(Debug)]
pub(super) struct Encoded {
    /// The whole picture.
    pub truth: Moments,
    /// What the U-Net is told.
    pub known: Known,
    /// 1 where it is learnt from.
    pub counts: Tensor<4>,
}

impl Encoded {
    pub fn new(base: &StableDiffusion, sample: &Sample) -> Self {
        let batch = tensors(sample, base);
        let left_out = base.mask_to_latents(batch.counts.neg() + 1.0);
        let (truth, known) = (base.encode(batch.truth), Known::encode(base, batch.known));
        Self { truth, known, counts: left_out.neg() + 1.0 }
    }
}

/// The encoded samples of the last steps.
#[derive(Debug, Default)]
pub(super) struct Pool(BTreeMap<u64, (usize, Arc<Encoded>)>);

impl Pool {
    /// The samples of step `step`, encoded now where they are new.
    pub fn encoded(&mut self, base: &StableDiffusion, samples: &[Sample], step: usize) -> Vec<Arc<Encoded>> {
        let mut get = |sample: &Sample| {
            let entry = self.0.entry(key(sample)).or_insert_with(|| (step, Arc::new(Encoded::new(base, sample))));
            entry.0 = step;
            entry.1.clone()
        };
        let encoded = samples.iter().map(&mut get).collect();
        self.0.retain(|_, (used, _)| step.abs_diff(*used) <= KEPT);
        encoded
    }
}

/// A hash of everything in a sample.
fn key(sample: &Sample) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut add = |values: &[f32]| values.iter().for_each(|v| hasher.write_u32(v.to_bits()));
    add(sample.truth.as_raw());
    add(sample.guide.colour.as_raw());
    add(sample.guide.trust.as_raw());
    sample.mask.holes().hash(&mut hasher);
    [&sample.unknown, &sample.unseen].map(|mask| mask.as_ref().map(Mask::holes)).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::simulated_guide::SimulatedGuide;
    use image::{Rgb, Rgb32FImage};

    fn sample(shift: u32) -> Sample {
        Sample {
            truth: Rgb32FImage::from_fn(8, 8, |x, y| Rgb([x as f32 / 8.0, y as f32 / 8.0, 0.5])),
            mask: Mask::from_fn(8, 8, |x, _| x < 3 + shift),
            unknown: None,
            unseen: None,
            guide: SimulatedGuide::none(8, 8),
        }
    }

    #[test]
    fn samples_are_known_by_all_of_their_content() {
        assert_eq!(key(&sample(0)), key(&sample(0)));
        assert_ne!(key(&sample(0)), key(&sample(1)));
        let unknown = Sample { unknown: Some(sample(0).mask), ..sample(0) };
        let unseen = Sample { unseen: Some(sample(0).mask), ..sample(0) };
        assert!(key(&sample(0)) != key(&unknown) && key(&sample(0)) != key(&unseen) && key(&unknown) != key(&unseen));
        let mut other = sample(0);
        other.truth.get_pixel_mut(7, 7).0[2] = 0.25;
        assert_ne!(key(&sample(0)), key(&other));
    }
}
