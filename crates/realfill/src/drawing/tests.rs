//! Drawing with a model that is one line.

use super::*;
use crate::denoiser::PredictionType;
use crate::samplers::SamplerKind;
use crate::schedule::{NoiseLevel, ScheduleConfig};
use crate::training::batch::picture_from_tensor;
use image::Rgb;
use realfill_vision::Guide;
use std::sync::Arc;

const STEPS: usize = 5;

/// Prefers pictures without colour.
struct Toy {
    schedule: NoiseSchedule,
    device: Device,
}

/// Predicts the shade of its guide, and a little of what it is given.
struct Shade(f32);

impl Denoiser for Shade {
    fn denoise(&self, x: Tensor<4>, timestep: f32) -> Tensor<4> {
        assert_eq!(x.dims()[0], 1, "one row at a time");
        x.tanh() * (0.1 + timestep / 1e4) + self.0
    }
}

impl Painter for Toy {
    type Denoiser = Shade;

    fn schedule(&self) -> &NoiseSchedule {
        &self.schedule
    }

    fn device(&self) -> &Device {
        &self.device
    }

    fn size(&self) -> [usize; 3] {
        [3, 4, 4]
    }

    fn denoiser(&mut self, draft: &Draft) -> Result<Shade, StageError> {
        Ok(Shade(draft.guide.colour.get_pixel(0, 0)[0]))
    }

    fn judge(&mut self) -> Judge {
        let wanted = |weight: Tensor<4>| Wanted { x0: Tensor::zeros([1, 3, 4, 4], &self.device), weight };
        let ones = Tensor::ones([1, 1, 4, 4], &self.device);
        Judge { rim: wanted(ones.zeros_like()), guide: wanted(ones) }
    }

    fn picture(&self, x0: Tensor<4>) -> Rgb32FImage {
        picture_from_tensor(x0)
    }
}

fn toy() -> Toy {
    let config = ScheduleConfig { prediction_type: PredictionType::Sample, ..ScheduleConfig::default() };
    Toy { schedule: NoiseSchedule::new(config).expect("a valid schedule"), device: Device::flex() }
}

/// A draft for each shade, of seeds from 5.
fn drafts(shades: &[f32]) -> Vec<Draft> {
    let guide = |shade| Guide { colour: Rgb32FImage::from_pixel(4, 4, Rgb([shade; 3])), ..Guide::empty(4, 4) };
    shades.iter().zip(5..).map(|(&shade, seed)| Draft { seed, guide: Arc::new(guide(shade)) }).collect()
}

/// All that is told.
fn told(drafts: &[Draft], settings: &SamplerSettings) -> Vec<Drawn> {
    let mut told = Vec::new();
    let mut listen = |event| {
        told.push(event);
        true
    };
    draw(&mut toy(), drafts, settings, &mut listen).expect("draws");
    told
}

fn pictures(drafts: &[Draft], settings: &SamplerSettings) -> Vec<(usize, Rgb32FImage)> {
    let picture = |event| match event {
        Drawn::Picture { draft, picture } => Some((draft, picture)),
        Drawn::Steps(_) => None,
    };
    told(drafts, settings).into_iter().filter_map(picture).collect()
}

fn steps(drafts: &[Draft], settings: &SamplerSettings) -> Vec<usize> {
    let step = |event| match event {
        Drawn::Steps(done) => Some(done),
        Drawn::Picture { .. } => None,
    };
    told(drafts, settings).into_iter().filter_map(step).collect()
}

#[test]
fn a_picture_is_told_before_the_next_one_is_begun() {
    let settings = SamplerSettings { steps: 2, ..SamplerSettings::default() };
    let told = told(&drafts(&[0.1, 0.2]), &settings);
    let kinds: Vec<Option<usize>> = told
        .iter()
        .map(|event| match event {
            Drawn::Steps(done) => Some(*done),
            Drawn::Picture { .. } => None,
        })
        .collect();
    assert_eq!(kinds, [Some(1), Some(2), None, Some(3), Some(4), None]);
}

#[test]
fn the_worse_half_is_dropped_and_the_better_one_is_as_it_would_be_alone() {
    let drafts = drafts(&[0.6, 0.1, 0.9, 0.2]);
    for kind in SamplerKind::ALL {
        let settings = SamplerSettings { kind, steps: STEPS, eta: 0.5, drop_halfway: true };
        let kept = pictures(&drafts, &settings);
        assert_eq!(kept.iter().map(|(draft, _)| *draft).collect::<Vec<_>>(), [1, 3], "{kind}");
        for (draft, picture) in kept {
            let alone = pictures(&drafts[draft..=draft], &settings);
            assert!(picture == alone[0].1, "{kind}: candidate {draft} is another one alone");
        }
    }
}

#[test]
fn steps_are_counted_over_all_candidates_that_do_them() {
    let settings = SamplerSettings { steps: STEPS, drop_halfway: true, ..SamplerSettings::default() };
    assert_eq!(steps(&drafts(&[0.6, 0.1, 0.9]), &settings), [0, 0, 0, 3, 6, 9, 11, 13]);
    assert_eq!(settings.steps_of(3), 13);
    assert_eq!(steps(&drafts(&[0.6]), &settings), [1, 2, 3, 4, 5]);
    assert_eq!(settings.steps_of(1), 5);
}

#[test]
fn half_are_dropped_in_the_middle_and_none_where_that_saves_nothing() {
    let with = |steps| SamplerSettings { steps, drop_halfway: true, ..SamplerSettings::default() };
    let cases = [(1, None), (2, Some(0)), (3, Some(1)), (4, Some(2)), (5, Some(2)), (20, Some(10))];
    for (steps, step) in cases {
        assert_eq!(with(steps).halfway(4), step, "of {steps} steps");
        assert_eq!(with(steps).halfway(1), None);
        assert_eq!(SamplerSettings { drop_halfway: false, ..with(steps) }.halfway(4), None);
    }
    assert_eq!(with(20).steps_of(4), 4 * 11 + 2 * 9);
    assert_eq!(with(2).steps_of(5), 5 + 3);
}

#[test]
fn a_stop_ends_the_drawing() {
    for at in [2, STEPS + 1] {
        let mut heard = 0;
        let mut listen = |_| {
            heard += 1;
            heard < at
        };
        let settings = SamplerSettings { steps: STEPS, ..SamplerSettings::default() };
        let error = draw(&mut toy(), &drafts(&[0.1, 0.2]), &settings, &mut listen).expect_err("stopped");
        assert!(matches!(error, StageError::Sample(SampleError::Stopped { .. })), "{error}");
        assert_eq!(heard, at);
    }
}

/// Predicts 0.7 everywhere and is led to black.
struct Led;

impl Denoiser for Led {
    fn denoise(&self, x: Tensor<4>, _timestep: f32) -> Tensor<4> {
        x.full_like(0.7)
    }

    fn adjust_x0(&self, x0: Tensor<4>, _level: &NoiseLevel) -> Tensor<4> {
        x0.zeros_like()
    }
}

#[test]
fn what_is_judged_is_what_the_model_predicts_and_not_what_it_is_led_to() {
    let rows = Rows::new(vec![Led, Led]);
    let level = *toy().schedule.plan(SamplerKind::default(), 5).expect("a plan").level(0);
    let x0 = rows.denoise(Tensor::zeros([2, 3, 4, 4], &Device::flex()), 500.0);
    let led = rows.adjust_x0(x0, &level);
    let all = |x: Tensor<4>, value: f32| (x - value).abs().max().into_scalar::<f32>() < 1e-6;
    assert!(all(led, 0.0) && all(rows.predicted(), 0.7));
}
