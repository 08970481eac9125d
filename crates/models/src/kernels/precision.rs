//! What the kernels multiply.

use super::Way;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

/// What the processor's kernels multiply in a Stable Diffusion model; sums are `f32` either way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// Single precision, as the checkpoint has it.
    #[default]
    F32,
    /// Factors rounded to 8 bits of mantissa; a product is off by up to 1 %.
    Bf16,
}

impl Display for Precision {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        })
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let all = [Self::F32, Self::Bf16];
        all.into_iter().find(|p| p.to_string() == name).ok_or_else(|| format!("`{name}` is neither f32 nor bf16"))
    }
}

impl Precision {
    /// The one in which this processor is faster.
    ///
    /// AMX multiplies sixteen times as many numbers of `bf16` in a cycle as AVX-512 of `f32`. AMD's processors with AVX512-BF16
    /// multiply as many pairs of `bf16` in a cycle as numbers of `f32`; Intel's half as many.
    pub fn fastest() -> Self {
        let way = Way::of(Self::Bf16);
        let is_faster = way == Some(Way::Amx) || (way.is_some() && is_of_amd());
        if is_faster { Self::Bf16 } else { Self::F32 }
    }

    /// Whether this processor can multiply so: every one in `f32`, with kernels or without.
    pub fn is_able(self) -> bool {
        match self {
            Self::F32 => true,
            Self::Bf16 => Way::of(self).is_some(),
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn is_of_amd() -> bool {
    let maker = std::arch::x86_64::__cpuid(0);
    [maker.ebx, maker.edx, maker.ecx].map(u32::to_le_bytes).concat() == b"AuthenticAMD"
}

#[cfg(not(target_arch = "x86_64"))]
fn is_of_amd() -> bool {
    false
}
