//! Options of diffusers' schedulers that change what their samplers draw and that ours do not have.

use super::{ScheduleConfig, ScheduleError};
use crate::samplers::SamplerKind::{self, Ddim, Ddpm, DpmPp2m, DpmPp2mSde, Euler, UniPc};

/// An option, the values (as JSON, beside `null`) under which it changes nothing, and the samplers whose scheduler in diffusers
/// has it. For the others diffusers drops it when it makes their scheduler from another one's file, and so do we.
type Entry = (&'static str, &'static [&'static str], &'static [SamplerKind]);

static OPTIONS: [Entry; 11] = [
    ("thresholding", &["false"], &[Ddpm, Ddim, DpmPp2m, DpmPp2mSde, UniPc]),
    ("use_exponential_sigmas", &["false"], &[Euler, DpmPp2m, DpmPp2mSde, UniPc]),
    ("use_beta_sigmas", &["false"], &[Euler, DpmPp2m, DpmPp2mSde, UniPc]),
    ("use_lu_lambdas", &["false"], &[DpmPp2m, DpmPp2mSde]),
    ("use_flow_sigmas", &["false"], &[DpmPp2m, DpmPp2mSde, UniPc]),
    ("use_dynamic_shifting", &["false"], &[DpmPp2m, DpmPp2mSde, UniPc]),
    ("final_sigmas_type", &["\"zero\""], &[Euler, DpmPp2m, DpmPp2mSde, UniPc]),
    ("interpolation_type", &["\"linear\""], &[Euler]),
    ("timestep_type", &["\"discrete\""], &[Euler]),
    ("variance_type", &["\"fixed_small\"", "\"fixed_small_log\""], &[Ddpm]),
    (
        "variance_type",
        &["\"fixed_small\"", "\"fixed_small_log\"", "\"fixed_large\"", "\"fixed_large_log\""],
        &[DpmPp2m, DpmPp2mSde],
    ),
];

/// Whether a sampler can do what the file says.
///
/// # Errors
/// The first option that it lacks, with the samplers that are not concerned.
pub(super) fn check(config: &ScheduleConfig, sampler: SamplerKind) -> Result<(), ScheduleError> {
    let Some(&(field, plain, _)) = lacking(config, sampler) else { return Ok(()) };
    let others = SamplerKind::ALL.into_iter().filter(|&other| lacking(config, other).is_none());
    Err(ScheduleError::Unsupported {
        sampler,
        field,
        found: config.options.get(field).map(ToString::to_string).unwrap_or_default(),
        accepted: plain.join(" or "),
        others: others.map(SamplerKind::name).collect::<Vec<_>>().join(", "),
    })
}

fn lacking(config: &ScheduleConfig, sampler: SamplerKind) -> Option<&'static Entry> {
    OPTIONS.iter().find(|(field, plain, samplers)| {
        let found = config.options.get(*field).filter(|value| !value.is_null()).map(ToString::to_string);
        samplers.contains(&sampler) && found.is_some_and(|found| !plain.contains(&found.as_str()))
    })
}
