//! Devices by the names of `--device`. The CPU is always there; a GPU has to be built in and found.

mod trial;

pub use trial::trial;

use anyhow::{Result, bail};
use burn::tensor::Device;

/// Every name, whether built in or not, in the order that help lists them.
pub const NAMES: [&str; 6] = ["cpu", "vulkan", "cuda", "metal", "rocm", "wgpu"];

/// The names that were built in.
pub fn built_in() -> Vec<&'static str> {
    NAMES.into_iter().filter(|name| is_built_in(name)).collect()
}

fn is_built_in(name: &str) -> bool {
    match name {
        "cpu" => true,
        "vulkan" => cfg!(feature = "vulkan"),
        "cuda" => cfg!(feature = "cuda"),
        "metal" => cfg!(feature = "metal"),
        "rocm" => cfg!(feature = "rocm"),
        "wgpu" => cfg!(feature = "wgpu"),
        _ => false,
    }
}

/// The device of a name.
///
/// # Errors
/// An unknown name, one that was not built in, or one that this machine has not; the message lists what there is.
pub fn open(name: &str) -> Result<Device> {
    let there = built_in().join(", ");
    if !NAMES.contains(&name) {
        bail!("there is no device `{name}`; built in: {there} (known names: {})", NAMES.join(", "));
    }
    if !is_built_in(name) {
        bail!(
            "the device `{name}` is not built into this program; built in: {there}; \
             for this one build it with `cargo build --release --features {name}`"
        );
    }
    match found(name).into_iter().next() {
        Some(device) => Ok(device),
        None => bail!("the device `{name}` is built in, but this machine has none; built in: {there}"),
    }
}

/// The device of a name for work: one that computes what the CPU does.
///
/// # Errors
/// As [`open`]; a device whose self-test fails, with what it found.
pub fn open_tested(name: &str) -> Result<Device> {
    let device = open(name)?;
    if name != "cpu" {
        let verdict = trial(name)?;
        if !verdict.passes {
            bail!(
                "the device `{name}` cannot be used on this machine: {}; choose one that passes in `realfill devices`, \
                 such as cpu",
                verdict.words
            );
        }
    }
    Ok(device)
}

/// What a GPU calls itself, as the beginning of a line.
#[cfg(any(feature = "cuda", feature = "rocm", feature = "wgpu"))]
pub fn title(device: &Device) -> String {
    device.identity().map_or_else(String::new, |identity| format!("{}: ", identity.name))
}

/// What a GPU calls itself; the CPU has no need to.
#[cfg(not(any(feature = "cuda", feature = "rocm", feature = "wgpu")))]
pub fn title(_device: &Device) -> String {
    String::new()
}

/// Devices of a built-in name that this machine has. A driver that panics while it is asked counts as none.
fn found(name: &str) -> Vec<Device> {
    if name == "cpu" {
        return vec![Device::flex()];
    }
    std::panic::catch_unwind(|| enumerate(name)).unwrap_or_default()
}

#[cfg(any(feature = "cuda", feature = "rocm", feature = "wgpu"))]
fn enumerate(name: &str) -> Vec<Device> {
    use burn::tensor::DeviceType;
    let kind = match name {
        #[cfg(feature = "cuda")]
        "cuda" => DeviceType::Cuda,
        #[cfg(feature = "rocm")]
        "rocm" => DeviceType::Rocm,
        #[cfg(feature = "vulkan")]
        "vulkan" => DeviceType::Vulkan,
        #[cfg(feature = "metal")]
        "metal" => DeviceType::Metal,
        #[cfg(feature = "wgpu")]
        "wgpu" => DeviceType::Wgpu,
        _ => return Vec::new(),
    };
    Device::enumerate(kind).into_vec()
}

#[cfg(not(any(feature = "cuda", feature = "rocm", feature = "wgpu")))]
fn enumerate(_name: &str) -> Vec<Device> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_is_always_there() {
        assert!(built_in().contains(&"cpu") && open("cpu").is_ok());
    }

    #[test]
    fn an_unknown_device_lists_those_built_in() {
        let message = open("tpu").unwrap_err().to_string();
        assert!(message.contains("`tpu`") && message.contains("built in: cpu"), "{message}");
    }
}
