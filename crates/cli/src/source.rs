//! What a job works on: the scene and the base model, from folders or explicit paths.

use crate::arguments::Talk;
use crate::failure::{Failure, OrBadInput};
use crate::terminal::{complain, say};
use anyhow::{Error, anyhow};
use burn::tensor::Device;
use clap::{ArgGroup, Args};
use realfill::embedded::EmbeddedModel;
use realfill::model::Model;
use realfill::pipeline::Event;
use realfill::stable_diffusion::StableDiffusionModel;
use realfill::tuning::TuneConfig;
use realfill_models::sd::refuse_single_file;
use realfill_models::{Precision, check_kernels};
use realfill_vision::canvas::CanvasRequest;
use realfill_vision::{MaskSource, Scene};
use std::path::{Path, PathBuf};

/// The photos.
#[derive(Debug, Args)]
#[command(
    next_help_heading = "Scene",
    group = ArgGroup::new("source").required(true),
    group = ArgGroup::new("hole").multiple(true),
)]
pub struct SceneArguments {
    /// Folder with ref/ (one to five photos), target/target.* and target/mask.* (white = fill)
    #[arg(value_name = "SCENE", group = "source", conflicts_with_all = ["mask", "reference"])]
    pub scene: Option<PathBuf>,
    /// The photo to complete, in place of a scene's folder
    #[arg(long, value_name = "PHOTO", group = "source", requires = "hole")]
    pub target: Option<PathBuf>,
    /// What is missing in the target: white = fill, at the target's size
    #[arg(long, value_name = "PICTURE", group = "hole", requires = "target", conflicts_with = "mask_from_alpha")]
    pub mask: Option<PathBuf>,
    /// What is transparent in the target is missing
    #[arg(long, group = "hole")]
    pub mask_from_alpha: bool,
    /// Fill this many pixels around what is missing too, where the mask leaves a rim of what is to go
    #[arg(long, value_name = "PX", default_value_t = 0, hide_default_value = true)]
    pub grow_mask: u32,
    /// Another photo of the same place; one to five
    #[arg(long, value_name = "PHOTO", num_args = 1.., requires = "target")]
    pub reference: Vec<PathBuf>,
    /// Widen the photo: left, top, right, bottom, in % of its width or height or in px (left=20%,top=300px); what is
    /// new is filled, beside what a mask marks, and no mask is needed. At most 4 times the photo's area
    #[arg(long, value_name = "SIDES", groups = ["frame", "hole"], value_parser = CanvasRequest::expand)]
    pub expand: Option<CanvasRequest>,
    /// Widen the photo to a shape, itself in the middle (16:9)
    #[arg(long, value_name = "W:H", groups = ["frame", "hole"], value_parser = CanvasRequest::aspect)]
    pub aspect: Option<CanvasRequest>,
    /// Give the photo a canvas of WxH pixels, its upper left corner at X, Y of it (3000x2000+400+0); with a negative X
    /// or Y, or a canvas too small, the result is cut to the canvas in the end
    #[arg(long, value_name = "WxH+X+Y", groups = ["frame", "hole"], value_parser = CanvasRequest::canvas)]
    pub canvas: Option<CanvasRequest>,
}

impl SceneArguments {
    /// Reads and checks the photos, lays the target onto the canvas that was asked for, warns of what their files
    /// say that cannot be so, and says where colours are left out.
    ///
    /// # Errors
    /// [`Failure::BadInput`] that names the file and what to do.
    pub fn open(&self, talk: Talk) -> Result<Scene, Failure> {
        let scene = match (self.read()?, self.grow_mask) {
            (scene, 0) => scene,
            (scene, px) => scene.with_grown_mask(px).or_bad_input()?,
        };
        for doubt in std::iter::once(&scene.target).chain(&scene.references).flat_map(|photo| &photo.doubts) {
            remark(&format!("warning: {doubt}"), talk);
        }
        if scene.is_black_and_white() {
            remark("note: the target is black and white; the references are used without their colours", talk);
        }
        Ok(scene)
    }

    fn read(&self) -> Result<Scene, Failure> {
        let canvas = self.expand.or(self.aspect).or(self.canvas);
        let alpha = self.mask_from_alpha.then_some(MaskSource::Alpha);
        let mask = self.mask.clone().map(MaskSource::File).or(alpha);
        match &self.target {
            Some(target) => Scene::from_paths_on_canvas(target, mask.as_ref(), &self.reference, canvas.as_ref()),
            None => {
                let folder = self.scene.as_deref().unwrap_or(Path::new("."));
                Scene::open_on_canvas(folder, mask.as_ref(), canvas.as_ref())
            }
        }
        .or_bad_input()
    }
}

/// A sentence before the work begins, told as the flags ask for.
pub fn remark(text: &str, talk: Talk) {
    match talk {
        Talk { json: true, .. } => say(&serde_json::to_string(&Event::Note { text: text.into() }).unwrap_or_default()),
        Talk { quiet: true, .. } => {}
        _ => complain(text),
    }
}

/// The base model and what it runs on.
#[derive(Debug, Args)]
#[command(next_help_heading = "Model")]
pub struct ModelArguments {
    /// `embedded` (built in), a file written by `realfill pretrain`, a Stable Diffusion inpainting folder in the
    /// diffusers layout (a .ckpt has to be converted once), or a hub id such as owner/name
    #[arg(long, value_name = "MODEL", default_value = EMBEDDED)]
    pub model: String,
    /// What to run on: cpu, or vulkan, cuda, metal, rocm, wgpu where built in (see `realfill devices`)
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub device: String,
    /// What the processor multiplies in a Stable Diffusion model: f32, or bf16, whose products are off by up to 1 %
    /// [default: bf16 where the processor is faster with it (AMD since Zen 4, Intel with AMX), else f32]
    #[arg(long, value_name = "PRECISION")]
    pub precision: Option<Precision>,
}

/// The built-in model's name.
pub const EMBEDDED: &str = "embedded";

impl ModelArguments {
    /// Loads the model.
    ///
    /// # Errors
    /// [`Failure::BadInput`]: a device that is not there or computes wrong values, a precision or kernels that the processor has not, files
    /// that are missing or of another network.
    pub fn load(&self, tune: &TuneConfig) -> Result<Box<dyn Model>, Failure> {
        let device = crate::device::open_tested(&self.device).or_bad_input()?;
        load(&self.model, &device, self.precision, tune)
    }

    /// Bytes that the checkpoints of a tuning need, roughly.
    pub fn checkpoint_bytes(&self, tune: &TuneConfig) -> u64 {
        let bytes = if self.is_embedded() { EMBEDDED_BYTES } else { ADAPTER_BYTES };
        match tune.iterations {
            0 => 0,
            _ if tune.validates() => bytes + bytes / 2, // the best one is kept too
            _ => bytes,
        }
    }

    fn is_embedded(&self) -> bool {
        self.model == EMBEDDED || is_weights_file(Path::new(&self.model))
    }
}

/// Two checkpoints (the old one goes when the new one is whole) of 14 M weights with AdamW's two moments, and the adapter.
const EMBEDDED_BYTES: u64 = 400_000_000;

/// The same for a LoRA adapter of rank 8 or so.
const ADAPTER_BYTES: u64 = 100_000_000;

fn load(
    source: &str,
    device: &Device,
    precision: Option<Precision>,
    tune: &TuneConfig,
) -> Result<Box<dyn Model>, Failure> {
    let path = Path::new(source);
    if source == EMBEDDED {
        return Ok(Box::new(EmbeddedModel::built_in(device).or_bad_input()?));
    }
    refuse_single_file(path).or_bad_input()?;
    if is_weights_file(path) {
        return Ok(Box::new(EmbeddedModel::open(path, device).or_bad_input()?));
    }
    if !path.exists() && !looks_like_hub_id(source) {
        return Err(anyhow!(
            "there is no model `{source}`; give `{EMBEDDED}`, a file written by `realfill pretrain`, a folder in the \
             diffusers layout, or a hub id such as owner/name"
        ))
        .or_bad_input();
    }
    if *device == Device::flex() {
        check_kernels().map_err(Error::msg).or_bad_input()?;
    }
    let precision = precision.unwrap_or_else(Precision::fastest);
    if *device == Device::flex() && !precision.is_able() {
        return Err(anyhow!(
            "there are no kernels for --precision {precision} here: they need a processor with AVX512-BF16, and REALFILL_KERNELS \
             to be neither off nor avx2; leave it out to use f32"
        ))
        .or_bad_input();
    }
    Ok(Box::new(StableDiffusionModel::load_in(source, device, precision, tune).or_bad_input()?))
}

fn is_weights_file(path: &Path) -> bool {
    path.is_file() && path.extension().is_some_and(|extension| extension == "safetensors")
}

/// `owner/name`, not a path: no third part, nothing that starts with a dot.
fn looks_like_hub_id(source: &str) -> bool {
    let parts: Vec<&str> = source.split('/').collect();
    parts.len() == 2 && parts.iter().all(|part| !part.is_empty() && !part.starts_with(['.', '~']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_no_hub_ids() {
        assert!(looks_like_hub_id("owner/name-2.1"));
        for path in ["./model", "/models/sd2", "~/sd2", "sd2", "a/b/c", "a/"] {
            assert!(!looks_like_hub_id(path), "{path}");
        }
    }
}
