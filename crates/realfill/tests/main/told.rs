//! A model that learns nothing and draws what a test says.

use burn::tensor::Device;
use image::Rgb32FImage;
use realfill::adapter::AdapterCard;
use realfill::model::{Draft, Drawn, Influence, Model, StageError, View};
use realfill::samplers::SamplerSettings;
use realfill::training::batch::Sample;
use realfill::training::checkpoint::Checkpoints;
use realfill::tuning::TuneConfig;
use std::path::Path;
use std::sync::LazyLock;

static CPU: LazyLock<Device> = LazyLock::new(Device::flex);

/// Its second tuning step has no number for its loss.
pub struct Told {
    /// How far it may move the guide.
    pub influence: Option<Influence>,
    /// The picture of a seed.
    pub draws: fn(&View, u64) -> Rgb32FImage,
}

impl Model for Told {
    fn name(&self) -> String {
        "told".into()
    }

    fn fingerprint(&self) -> String {
        "told".into()
    }

    fn device(&self) -> &Device {
        &CPU
    }

    fn stride(&self) -> u32 {
        8
    }

    fn crop_px(&self) -> u32 {
        64
    }

    fn whole_px(&self) -> u32 {
        64
    }

    fn view_px(&self) -> u32 {
        96
    }

    fn influence(&self) -> Option<Influence> {
        self.influence
    }

    fn sampling_steps(&self) -> usize {
        1
    }

    fn begin(&mut self, _config: &TuneConfig) {}

    fn learn(&mut self, _samples: &[Sample], step: usize, _config: &TuneConfig) -> Result<f64, StageError> {
        Ok(if step == 1 { f64::NAN } else { 0.5 })
    }

    fn validation_loss(&mut self, _samples: &[Sample], _config: &TuneConfig) -> Result<f64, StageError> {
        Ok(0.5)
    }

    fn save(&self, _checkpoints: &Checkpoints, _step: usize) -> Result<(), StageError> {
        Ok(())
    }

    fn restore(&mut self, _checkpoints: &Checkpoints, _step: usize, _config: &TuneConfig) -> Result<(), StageError> {
        Ok(())
    }

    fn save_adapter(&self, _folder: &Path, _card: &AdapterCard) -> Result<(), StageError> {
        Ok(())
    }

    fn load_adapter(&mut self, _folder: &Path) -> Result<Option<AdapterCard>, StageError> {
        Ok(None)
    }

    fn draw(
        &self,
        view: &View,
        drafts: &[Draft],
        _settings: &SamplerSettings,
        on_event: &mut dyn FnMut(Drawn) -> bool,
    ) -> Result<(), StageError> {
        for (draft, Draft { seed, .. }) in drafts.iter().enumerate() {
            on_event(Drawn::Picture { draft, picture: (self.draws)(view, *seed) });
        }
        Ok(())
    }
}
