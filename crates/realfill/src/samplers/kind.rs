//! The samplers by name, as the command line, the API and files write them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A way from noise to an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum SamplerKind {
    /// Ancestral, many steps; what the RealFill paper uses (200 steps).
    #[serde(rename = "ddpm")]
    Ddpm,
    /// Deterministic, or as random as `eta` says.
    #[serde(rename = "ddim")]
    Ddim,
    /// First order, deterministic.
    #[serde(rename = "euler")]
    Euler,
    /// First order, with new noise at every step.
    #[serde(rename = "euler-ancestral")]
    EulerAncestral,
    /// Second order, deterministic; good from 15 to 20 steps on.
    #[default]
    #[serde(rename = "dpmpp-2m")]
    DpmPp2m,
    /// Second order, with new noise at every step.
    #[serde(rename = "dpmpp-2m-sde")]
    DpmPp2mSde,
    /// Second order with a corrector, deterministic; good from 10 steps on.
    #[serde(rename = "unipc")]
    UniPc,
}

impl SamplerKind {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Ddpm, Self::Ddim, Self::Euler, Self::EulerAncestral, Self::DpmPp2m, Self::DpmPp2mSde, Self::UniPc];

    /// The name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ddpm => "ddpm",
            Self::Ddim => "ddim",
            Self::Euler => "euler",
            Self::EulerAncestral => "euler-ancestral",
            Self::DpmPp2m => "dpmpp-2m",
            Self::DpmPp2mSde => "dpmpp-2m-sde",
            Self::UniPc => "unipc",
        }
    }
}

impl fmt::Display for SamplerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that no sampler has.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("there is no sampler `{found}`; use one of {}", SamplerKind::ALL.map(SamplerKind::name).join(", "))]
pub struct UnknownSampler {
    found: String,
}

impl FromStr for SamplerKind {
    type Err = UnknownSampler;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| UnknownSampler { found: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_in_files_and_on_the_command_line() {
        for kind in SamplerKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
            assert_eq!(serde_json::to_string(&kind).expect("a name"), format!("\"{kind}\""));
        }
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let message = "plms".parse::<SamplerKind>().expect_err("unknown").to_string();
        assert!(message.contains("`plms`") && message.contains("dpmpp-2m-sde"), "{message}");
    }
}
