//! What can go wrong with a model's files, said so that a person can put it right.

use std::fmt;
use std::path::{Path, PathBuf};

/// Errors of loading, saving and adapting models.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file that cannot be read, or does not hold what its name says.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was found, what was expected.
        reason: String,
    },
    /// A folder without the parts of a Stable Diffusion checkpoint.
    #[error(
        "{} has no {missing}; expected a Stable Diffusion folder in the diffusers layout \
         (unet/, vae/, text_encoder/, tokenizer/, scheduler/)", path.display()
    )]
    NotDiffusers {
        /// The folder.
        path: PathBuf,
        /// What was looked for and not there.
        missing: String,
    },
    /// A checkpoint in one file.
    #[error(
        "{} is a single-file checkpoint; convert it once with diffusers: \
         StableDiffusionInpaintPipeline.from_single_file(\"{}\").save_pretrained(\"folder\"), and give the folder",
        path.display(), path.display()
    )]
    SingleFile {
        /// The file.
        path: PathBuf,
    },
    /// The tensors of a file are not those of the model that its configuration describes.
    #[error("{}: {problems}", path.display())]
    Tensors {
        /// The file, or the folder of the shards.
        path: PathBuf,
        /// Names of the missing, extra and misshapen ones.
        problems: TensorProblems,
    },
    /// A model that has to be downloaded and cannot be.
    #[error(
        "there is no folder {repo} here, and {repo} is not in the cache and cannot be fetched from {endpoint}: {reason}; \
         without network, give a folder in the diffusers layout instead of the hub's id"
    )]
    Hub {
        /// The hub's id.
        repo: String,
        /// The address that was asked.
        endpoint: String,
        /// What the client said.
        reason: String,
    },
}

impl ModelError {
    /// An error about one file.
    pub fn file(path: impl AsRef<Path>, reason: impl fmt::Display) -> Self {
        Self::File { path: path.as_ref().to_owned(), reason: reason.to_string() }
    }
}

/// Tensors that are not as the model needs them; nothing is ignored in silence.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct TensorProblems {
    /// Needed, not in the file.
    pub missing: Vec<String>,
    /// In the file, not needed.
    pub extra: Vec<String>,
    /// With their shapes: `name is [4, 4] instead of [4, 9]`.
    pub misshapen: Vec<String>,
}

impl TensorProblems {
    /// Whether there is nothing to complain about.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.extra.is_empty() && self.misshapen.is_empty()
    }
}

impl fmt::Display for TensorProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups = [("missing", &self.missing), ("extra", &self.extra), ("misshapen", &self.misshapen)];
        let told: Vec<String> =
            groups.iter().filter(|(_, names)| !names.is_empty()).map(|(what, names)| describe(what, names)).collect();
        f.write_str(&told.join("; "))
    }
}

/// `3 missing tensors: a, b, c`, at most eight names.
fn describe(what: &str, names: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    let more = if names.len() > SHOWN { format!(" and {} more", names.len() - SHOWN) } else { String::new() };
    let plural = if names.len() == 1 { "" } else { "s" };
    format!("{} {what} tensor{plural}: {shown}{more}", names.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_names_eight_and_the_count() {
        let missing = (0..11).map(|i| format!("t{i}")).collect();
        let text = TensorProblems { missing, ..Default::default() }.to_string();
        assert_eq!(text, "11 missing tensors: t0, t1, t2, t3, t4, t5, t6, t7 and 3 more");
    }

    #[test]
    fn several_kinds_are_told_together() {
        let problems =
            TensorProblems { missing: vec!["a".into()], extra: vec!["b".into()], misshapen: vec!["c is [1]".into()] };
        assert_eq!(problems.to_string(), "1 missing tensor: a; 1 extra tensor: b; 1 misshapen tensor: c is [1]");
    }
}
