//! What an ablation leaves out.

use realfill::pipeline::FillConfig;

/// A way to run the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Variant {
    /// Guide, tuning, model
    Everything,
    /// The guide, composited
    Guide,
    /// Guide and the model as it ships
    Untuned,
    /// Tuned model, no guide
    TunedUnguided,
    /// The model as it ships, no guide
    UntunedUnguided,
}

impl Variant {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Everything => "everything",
            Self::Guide => "guide",
            Self::Untuned => "untuned",
            Self::TunedUnguided => "tuned-unguided",
            Self::UntunedUnguided => "untuned-unguided",
        }
    }

    /// The settings without what it leaves out.
    pub fn applied_to(self, mut config: FillConfig) -> FillConfig {
        if matches!(self, Self::Guide | Self::Untuned | Self::UntunedUnguided) {
            config.tune.iterations = 0;
        }
        if self == Self::Guide {
            (config.model_weight, config.candidates, config.sampler.steps) = (0.0, 1, 1);
        }
        config.guide = !matches!(self, Self::TunedUnguided | Self::UntunedUnguided);
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_leaves_out_what_its_name_says() {
        let of = |variant: Variant| variant.applied_to(FillConfig::default());
        assert_eq!(of(Variant::Everything), FillConfig::default());
        assert_eq!((of(Variant::Guide).model_weight, of(Variant::Guide).tune.iterations), (0.0, 0));
        assert!(of(Variant::Untuned).guide && of(Variant::Untuned).tune.iterations == 0);
        assert!(!of(Variant::TunedUnguided).guide && of(Variant::TunedUnguided).tune.iterations > 0);
        assert!(!of(Variant::UntunedUnguided).guide && of(Variant::UntunedUnguided).tune.iterations == 0);
    }
}
