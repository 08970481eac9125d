//! How far a small model may move the guide, measured where the truth is known: on the scene's own references, each
//! guided by the others.

use super::FillConfig;
use super::finish::{distrusted_difference, tone_of};
use crate::model::{Influence, Model, StageError, View};
use crate::tuning::{ScenePhotos, Turn};
use image::Rgb32FImage;
use realfill_vision::{Guide, Mask};
use std::sync::Arc;

/// Weight of the belief that the model does not help, beside what the references show. The model was tuned on them
/// too, so it is better there than on the target; 1 halves what they promise.
const DOUBT: f64 = 1.0;
/// Other photos that a photo's guide has to be made from for the photo to have a say. From one alone there is no depth, and such a guide errs
/// otherwise than the target's, which is made from two.
const FEWEST_OTHERS: usize = 2;

/// Whether a photo may say how far the model is right.
pub(super) fn has_a_say(turn: &Turn) -> bool {
    turn.guide.as_ref().is_some_and(|guide| guide.references.len() >= FEWEST_OTHERS)
}

/// The least of the influences on tone that would have been best on each guided photo and on the witness, in the least squares: one that
/// the model would have harmed forbids it. None where no photo is guided by two others.
///
/// # Errors
/// As [`Model::draw`].
pub(super) fn measured(
    model: &dyn Model,
    photos: &ScenePhotos,
    config: &FillConfig,
    on_turn: &mut dyn FnMut(usize) -> bool,
) -> Result<Influence, StageError> {
    let sampler = config.sampler_of(model);
    let mut tones = Vec::new();
    let pretenders = photos.turns.iter().map(|turn| (turn, &turn.hole));
    let witness = photos.witness.iter().map(|witness| (&witness.turn, &witness.known));
    for (i, (turn, known)) in pretenders.chain(witness).enumerate() {
        let Some(guide) = turn.guide.as_ref().filter(|_| has_a_say(turn)) else { continue };
        let view = View { picture: turn.picture.clone(), mask: turn.hole.clone(), guide: Arc::new(guide.clone()) };
        let drawn = model.draw_one(&view, config.seed, &sampler, &mut |_| on_turn(i))?;
        tones.extend(best_tone(&turn.picture, known, guide, &drawn));
    }
    Ok(least(&tones))
}

/// The least share that photos speak for; none where none speaks.
fn least(tones: &[f32]) -> Influence {
    let tone = tones.iter().copied().reduce(f32::min).unwrap_or(0.0);
    Influence { tone, detail: 0.0 }
}

/// The normal equation of `truth - guide = tone · slow` over what is known, as ridge regression; `None` where the guide is trusted throughout.
/// A share below 0 or above 1 is not believed, and nothing that is no number. The detail is left out: by eye, what a model that must prove
/// itself draws of it is grain, even where it lowers the squared error (docs/notes/embedded.md).
fn best_tone(picture: &Rgb32FImage, known: &Mask, guide: &Guide, drawn: &Rgb32FImage) -> Option<f32> {
    let slow = tone_of(&distrusted_difference(guide, drawn));
    let (mut slow_slow, mut slow_wanted) = (0.0, 0.0);
    let pixels = picture.pixels().zip(guide.colour.pixels()).zip(slow.pixels());
    for (((truth, guide), slow), _) in pixels.zip(known.holes()).filter(|(_, is_known)| **is_known) {
        for c in 0..3 {
            slow_slow += f64::from(slow[c]).powi(2);
            slow_wanted += f64::from(slow[c]) * f64::from(truth[c] - guide[c]);
        }
    }
    let tone = slow_wanted / ((1.0 + DOUBT) * slow_slow);
    (slow_slow != 0.0).then_some(if tone.is_finite() { tone.clamp(0.0, 1.0) as f32 } else { 0.0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    fn flat(value: f32) -> Rgb32FImage {
        Rgb32FImage::from_pixel(64, 64, Rgb([value; 3]))
    }

    /// The share of a drawn picture that is right where the truth is `truth` and the guide 0.5, distrusted.
    fn solved(truth: f32, drawn: f32) -> Option<f32> {
        let hole = Mask::from_fn(64, 64, |x, y| (8..56).contains(&x) && (8..56).contains(&y));
        let guide = Guide { colour: flat(0.5), ..Guide::empty(64, 64) };
        let ripple = Rgb32FImage::from_fn(64, 64, |x, _| Rgb([drawn + if x % 2 == 0 { 0.05 } else { -0.05 }; 3]));
        best_tone(&flat(truth), &hole, &guide, &ripple)
    }

    #[test]
    fn a_right_tone_is_half_believed_and_its_detail_is_not() {
        let tone = solved(0.7, 0.7).unwrap();
        assert!((tone - 0.5).abs() < 0.05 && least(&[tone]).detail == 0.0, "{tone}");
    }

    #[test]
    fn a_wrong_tone_is_not_believed() {
        assert_eq!(solved(0.3, 0.7), Some(0.0));
    }

    #[test]
    fn one_photo_that_would_be_harmed_forbids_it() {
        assert_eq!(least(&[0.4, 0.0, 0.5]), Influence::NONE);
        assert_eq!(least(&[0.4, 0.3, 0.5]).tone, 0.3);
    }

    #[test]
    fn nothing_measured_moves_nothing() {
        assert_eq!(least(&[]), Influence::NONE);
    }

    #[test]
    fn a_picture_without_numbers_moves_nothing() {
        assert_eq!(solved(0.7, f32::NAN), Some(0.0));
    }
}
