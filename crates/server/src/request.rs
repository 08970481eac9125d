//! What a job is asked for, and the validated plan that it becomes: once, before anything is queued.

use crate::config::{Config, Offer};
use crate::id::Id;
use crate::problem::{Answer, Problem};
use image::ImageFormat;
use realfill::pipeline::FillConfig;
use realfill::tuning::Preset;
use realfill_vision::canvas::CanvasRequest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// The largest whole number of a settings file: TOML has no larger one.
const LARGEST_NUMBER: u64 = i64::MAX as u64;

/// Most pixels by which a mask is grown.
const MOST_GROWN: u32 = 1000;

/// Most pictures of one job over HTTP.
const MOST_CANDIDATES: usize = 64;

/// A job to be created.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JobRequest {
    /// The scene to complete.
    pub scene: Id,
    /// Named settings of tuning; `quick` by default.
    #[serde(default)]
    pub preset: PresetName,
    /// A model of `/v1/models`; the first by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "embedded")]
    pub model: Option<String>,
    /// A device of `/v1/devices`; the first by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "cpu")]
    pub device: Option<String>,
    /// Widen the photo: left, top, right, bottom, in percent of its sides or in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "left=20%,top=300px")]
    pub expand: Option<String>,
    /// Widen the photo to a shape.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "16:9")]
    pub aspect: Option<String>,
    /// Give the photo a canvas: its size, and where the photo lies in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "3000x2000+400+0")]
    pub canvas: Option<String>,
    /// Fill so many pixels around what the mask marks too, where it leaves a rim of what is to go.
    #[serde(default, skip_serializing_if = "is_nothing")]
    #[schema(maximum = 1000)]
    pub grow_mask: u32,
    /// Draw more candidates with what this finished job of the same scene has learnt, without tuning again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter_of: Option<Id>,
    /// Fill what this job of the same scene fills: its mask, or none where it has none, whatever the scene's mask is by now. Without it the
    /// scene's mask as it is now is filled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask_of: Option<Id>,
    /// Higher comes first in the queue, from -100 to 100.
    #[serde(default)]
    #[schema(minimum = -100, maximum = 100)]
    pub priority: i64,
    /// Format of the completed photo; the target's by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<FormatName>,
    /// Whether `format` may be one that cannot hold all of the photo, such as JPEG for 16 bits a channel or alpha. Without it such a job is
    /// refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lossy_ok: bool,
    /// What of the metadata to leave out.
    #[serde(default)]
    pub strip: StripName,
    /// Settings over the preset's, with the names of a settings file and of the report's `config`, such as
    /// `{"candidates": 8, "tune": {"iterations": 300}}`.
    #[serde(default)]
    #[schema(value_type = Object, example = json!({"candidates": 4}))]
    pub settings: Map<String, Value>,
}

/// Named settings of tuning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PresetName {
    /// Tuning takes half a minute of two cores with the embedded model.
    #[default]
    Quick,
    /// Twelve times as long at most: a held-out reference tells when it gets no better.
    Thorough,
    /// As published: 2000 steps of 16.
    Paper,
}

/// Formats that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum FormatName {
    Png,
    Jpeg,
    Webp,
    Tiff,
    Avif,
    Bmp,
}

/// What of the metadata to leave out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StripName {
    /// Nothing.
    #[default]
    Nothing,
    /// Where the photo was taken.
    Gps,
    /// Everything but the colour profile and the mark of generated parts.
    Metadata,
}

impl PresetName {
    fn preset(self) -> Preset {
        match self {
            Self::Quick => Preset::Quick,
            Self::Thorough => Preset::Thorough,
            Self::Paper => Preset::Paper,
        }
    }
}

impl FormatName {
    /// The command line's name for it.
    pub fn argument(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpeg",
            Self::Webp => "webp",
            Self::Tiff => "tiff",
            Self::Avif => "avif",
            Self::Bmp => "bmp",
        }
    }

    /// The format itself.
    pub fn image(self) -> ImageFormat {
        ImageFormat::from_extension(self.argument()).expect("each name is an extension too")
    }
}

impl JobRequest {
    /// Every setting of the job.
    ///
    /// # Errors
    /// 422 that names the setting that does not exist or is out of its range.
    pub fn settings(&self) -> Answer<FillConfig> {
        let preset = FillConfig { tune: self.preset.preset().config(), ..FillConfig::default() };
        let mut settings = serde_json::to_value(preset).map_err(Problem::ours)?;
        overlay(&mut settings, Value::Object(self.settings.clone()));
        if let Some((name, number)) = too_large(&settings) {
            return Err(Problem::unusable(format!(
                "settings: {name} is {number}; it must be at most {LARGEST_NUMBER}"
            )));
        }
        let config: FillConfig =
            serde_json::from_value(settings).map_err(|error| Problem::unusable(format!("settings: {error}")))?;
        config.check().map_err(|error| Problem::unusable(format!("settings: {error}")))?;
        match config.candidates {
            0..=MOST_CANDIDATES => Ok(config),
            many => Err(Problem::unusable(format!(
                "settings: candidates is {many}; this server draws at most {MOST_CANDIDATES}"
            ))),
        }
    }

    /// Checks what can be told without the scene: names, ranges, and the canvas's words.
    ///
    /// # Errors
    /// 422 with what was found and what is expected.
    pub fn check(&self, config: &Config) -> Answer<()> {
        offered("model", self.model.as_deref(), &config.models)?;
        offered("device", self.device.as_deref(), &config.devices)?;
        self.check_numbers()?;
        self.canvas_request().map(|_| ())
    }

    fn check_numbers(&self) -> Answer<()> {
        let ranges =
            [("priority", self.priority, -100, 100), ("grow_mask", self.grow_mask.into(), 0, MOST_GROWN.into())];
        match ranges.into_iter().find(|(_, found, least, most)| !(least..=most).contains(&found)) {
            None => Ok(()),
            Some((name, found, least, most)) => {
                Err(Problem::unusable(format!("{name} is {found}; it must be from {least} to {most}")))
            }
        }
    }

    /// The canvas that is asked for, as the command line's option and its words.
    pub fn frame(&self) -> Option<(&'static str, &str)> {
        let named = [("--expand", &self.expand), ("--aspect", &self.aspect), ("--canvas", &self.canvas)];
        named.into_iter().find_map(|(option, words)| Some((option, words.as_deref()?)))
    }

    /// The same, read.
    ///
    /// # Errors
    /// 422: not readable, or more than one.
    pub fn canvas_request(&self) -> Answer<Option<CanvasRequest>> {
        if [&self.expand, &self.aspect, &self.canvas].iter().filter(|frame| frame.is_some()).count() > 1 {
            return Err(Problem::unusable("expand, aspect and canvas exclude each other; give one of them"));
        }
        let read = match self.frame() {
            None => return Ok(None),
            Some(("--expand", words)) => CanvasRequest::expand(words),
            Some(("--aspect", words)) => CanvasRequest::aspect(words),
            Some((_, words)) => CanvasRequest::canvas(words),
        };
        read.map(Some).map_err(|error| Problem::unusable(error.to_string()))
    }
}

fn is_nothing(px: &u32) -> bool {
    *px == 0
}

/// What the command line is given for a name; the first on offer where none was named.
///
/// # Errors
/// 422 that lists what there is.
pub fn offered<'a>(what: &str, name: Option<&str>, offers: &'a [Offer]) -> Answer<&'a str> {
    let found = match name {
        None => offers.first(),
        Some(name) => offers.iter().find(|offer| offer.name == name),
    };
    found.map(|offer| offer.argument.as_str()).ok_or_else(|| {
        let names: Vec<&str> = offers.iter().map(|offer| offer.name.as_str()).collect();
        let name = name.unwrap_or_default();
        Problem::unusable(format!("there is no {what} `{name}`; this server has {}", names.join(", ")))
    })
}

/// The first whole number that no settings file can hold, with its name.
fn too_large(settings: &Value) -> Option<(String, u64)> {
    settings.as_object()?.iter().find_map(|(name, value)| match value {
        Value::Object(_) => too_large(value).map(|(inner, number)| (format!("{name}.{inner}"), number)),
        _ => value.as_u64().filter(|number| *number > LARGEST_NUMBER).map(|number| (name.clone(), number)),
    })
}

/// Lays `over` onto `under`, object by object.
fn overlay(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                overlay(under.entry(key).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request(more: Value) -> Result<JobRequest, serde_json::Error> {
        let mut all = json!({ "scene": "0123456789abcdef0123456789abcdef" });
        overlay(&mut all, more);
        serde_json::from_value(all)
    }

    #[test]
    fn settings_lie_over_the_preset() {
        let asked =
            request(json!({ "preset": "paper", "settings": { "candidates": 2, "tune": { "batch": 3 } } })).unwrap();
        let config = asked.settings().unwrap();
        assert_eq!((config.tune.iterations, config.tune.batch, config.candidates), (2000, 3, 2));
    }

    #[test]
    fn unknown_and_impossible_settings_are_named() {
        for (settings, words) in [
            (json!({ "candidate": 2 }), "unknown field `candidate`"),
            (json!({ "tune": { "iteration": 2 } }), "unknown field `iteration`"),
            (json!({ "candidates": 0 }), "candidates is 0; it must be from 1"),
            (json!({ "candidates": 65 }), "at most 64"),
            (json!({ "candidates": -1 }), "invalid value"),
            (json!({ "tune": 7 }), "invalid type"),
            (json!({ "seed": 1_u64 << 63 }), "seed is 9223372036854775808; it must be at most 9223372036854775807"),
            (json!({ "tune": { "seed": u64::MAX } }), "tune.seed is 18446744073709551615"),
        ] {
            let problem = request(json!({ "settings": settings })).unwrap().settings().unwrap_err();
            assert!(problem.status == 422 && problem.detail.contains(words), "{problem:?}");
        }
        assert!(request(json!({ "sene": 1 })).unwrap_err().to_string().contains("unknown field `sene`"));
    }

    #[test]
    fn the_largest_seed_can_be_written_to_a_settings_file() {
        let config = request(json!({ "settings": { "seed": i64::MAX } })).unwrap().settings().unwrap();
        assert!(toml::to_string_pretty(&config).unwrap().contains("seed = 9223372036854775807"));
    }

    #[test]
    fn every_format_is_named_as_on_the_command_line_and_loss_is_asked_for() {
        let asked = |more| request(more).unwrap();
        let formats = ["png", "jpeg", "webp", "tiff", "avif", "bmp"];
        for format in formats {
            assert_eq!(asked(json!({ "format": format })).format.map(FormatName::argument), Some(format));
        }
        let plain = asked(json!({}));
        assert!(!plain.lossy_ok && !serde_json::to_string(&plain).unwrap().contains("lossy_ok"));
        assert!(asked(json!({ "lossy_ok": true })).lossy_ok);
    }

    #[test]
    fn numbers_out_of_their_range_are_named() {
        let check = |more| request(more).unwrap().check_numbers();
        check(json!({ "priority": -100, "grow_mask": 1000 })).unwrap();
        let detail = |more| check(more).unwrap_err().detail;
        assert_eq!(detail(json!({ "priority": 101 })), "priority is 101; it must be from -100 to 100");
        assert_eq!(detail(json!({ "grow_mask": 1001 })), "grow_mask is 1001; it must be from 0 to 1000");
    }

    #[test]
    fn one_frame_at_most_and_it_must_be_readable() {
        let frame = |more| request(more).unwrap().canvas_request();
        assert!(frame(json!({ "expand": "left=20%" })).unwrap().is_some());
        assert!(
            frame(json!({ "expand": "left=20%", "aspect": "16:9" })).unwrap_err().detail.contains("exclude each other")
        );
        assert!(frame(json!({ "aspect": "wide" })).unwrap_err().detail.contains("16:9"));
    }
}
