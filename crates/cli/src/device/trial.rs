//! A device's self-test in a process of its own: a driver that crashes takes only that process with it.

use anyhow::{Context, Result};
use std::process::Command;

/// How a device's self-test went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it computes what the CPU does.
    pub passes: bool,
    /// What was found, for a person.
    pub words: String,
}

/// Starts this program again to test the device of a name, and waits for it.
///
/// # Errors
/// When it cannot be started.
pub fn trial(name: &str) -> Result<Verdict> {
    let program = std::env::current_exe().context("cannot tell where this program lies, to test the device")?;
    let output = Command::new(&program)
        .args(["devices", "--test", name])
        .output()
        .with_context(|| format!("cannot start {} to test the device", program.display()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    Ok(verdict(output.status.success(), &output.status.to_string(), &said))
}

/// A test that ended without a word was ended by the driver.
fn verdict(passes: bool, status: &str, said: &str) -> Verdict {
    match said.trim() {
        "" => Verdict { passes: false, words: format!("fails: its driver ended the self-test ({status})") },
        said => Verdict { passes, words: said.to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_test_that_says_so_passes() {
        assert!(verdict(true, "exit status: 0", "passes (1 s)\n").passes);
        let wrong = verdict(false, "exit status: 1", "fails: it computes wrong values\n");
        assert_eq!(wrong, Verdict { passes: false, words: "fails: it computes wrong values".into() });
        let crashed = verdict(false, "signal: 11 (SIGSEGV)", "");
        assert!(!crashed.passes && crashed.words.contains("SIGSEGV"), "{}", crashed.words);
        assert!(!verdict(true, "exit status: 0", "").passes);
    }
}
