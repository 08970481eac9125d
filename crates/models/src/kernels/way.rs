//! Which instructions the kernels use.

use super::Precision;
use std::sync::OnceLock;

/// The variable that says so by hand: `amx`, `avx512`, `avx2`, or `off` for Burn's own operations everywhere.
const SWITCH: &str = "REALFILL_KERNELS";

/// The instructions that a kernel is compiled for, and what it multiplies. Only those that the processor has are made use of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// AVX2 with FMA and F16C, in `f32`.
    Avx2,
    /// AVX-512 (foundation, BW, VL), in `f32`.
    Avx512,
    /// The same with products of pairs of `bf16`.
    Avx512Bf16,
    /// The same with products of whole tiles of such pairs (AMX).
    Amx,
}

impl Way {
    /// The way to multiply in a precision, unless this processor has none or it is switched off. A switch that says something
    /// else ([`check_kernels`]) changes nothing.
    pub fn of(precision: Precision) -> Option<Self> {
        match (precision, at_best()?) {
            (Precision::F32, best) => Some(best.in_f32()),
            (Precision::Bf16, Self::Avx2) => None,
            (Precision::Bf16, Self::Avx512) => Some(Self::Avx512Bf16).filter(|way| way.is_able()),
            (Precision::Bf16, best) => Some(best),
        }
    }

    /// All that this processor has.
    pub fn all() -> impl Iterator<Item = Self> {
        [Self::Avx2, Self::Avx512, Self::Avx512Bf16, Self::Amx].into_iter().filter(|way| way.is_able())
    }

    pub fn precision(self) -> Precision {
        match self {
            Self::Avx2 | Self::Avx512 => Precision::F32,
            Self::Avx512Bf16 | Self::Amx => Precision::Bf16,
        }
    }

    /// The same instructions, products in `f32`.
    pub fn in_f32(self) -> Self {
        match self {
            Self::Avx2 => Self::Avx2,
            Self::Avx512 | Self::Avx512Bf16 | Self::Amx => Self::Avx512,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Avx512Bf16 => "avx512 bf16",
            Self::Amx => "amx",
        }
    }

    fn is_able(self) -> bool {
        super::kind::is_able(self)
    }
}

/// Whether the variable `REALFILL_KERNELS` says something that this processor can do.
///
/// # Errors
/// What it says and what it may say. Until then the kernels are those that run without it.
pub fn check_kernels() -> Result<(), String> {
    chosen(switch().as_deref()).map(drop)
}

/// The most that may be used: what the switch says, otherwise all that there is.
fn at_best() -> Option<Way> {
    static FOUND: OnceLock<Option<Way>> = OnceLock::new();
    *FOUND.get_or_init(|| chosen(switch().as_deref()).unwrap_or_else(|_| fastest()))
}

fn switch() -> Option<String> {
    std::env::var_os(SWITCH).map(|value| value.to_string_lossy().to_lowercase())
}

fn fastest() -> Option<Way> {
    [Way::Amx, Way::Avx512, Way::Avx2].into_iter().find(|way| way.is_able())
}

/// What a value of the switch means.
fn chosen(switch: Option<&str>) -> Result<Option<Way>, String> {
    match switch {
        None | Some("") => Ok(fastest()),
        Some("off") => Ok(None),
        Some(name) => {
            let mut able: Vec<_> = Way::all().filter(|way| *way != Way::Avx512Bf16).collect();
            let names: String = able.iter().map(|way| format!("{}, ", way.name())).collect();
            able.retain(|way| way.name() == name);
            let only = if able.is_empty() && names.is_empty() {
                "only be off".to_owned()
            } else {
                format!("be {names}or off")
            };
            able.pop().map(Some).ok_or_else(|| format!("{SWITCH} is `{name}`; on this processor it may {only}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Way, chosen, fastest};

    #[test]
    fn without_a_switch_the_fastest_way_is_taken() {
        assert_eq!([chosen(None), chosen(Some(""))], [Ok(fastest()), Ok(fastest())]);
    }

    #[test]
    fn a_switch_names_a_way_or_none() {
        assert_eq!(chosen(Some("off")), Ok(None));
        for way in Way::all().filter(|way| *way != Way::Avx512Bf16) {
            assert_eq!(chosen(Some(way.name())), Ok(Some(way)));
        }
    }

    #[test]
    fn a_switch_that_means_nothing_here_is_told() {
        for name in ["avx", "avx512 bf16", "on"] {
            let told = chosen(Some(name)).unwrap_err();
            assert!(told.contains(name) && told.ends_with(" off"), "{told}");
        }
    }
}
