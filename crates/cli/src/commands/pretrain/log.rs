//! The log of a training as CSV, a line a step, that any spreadsheet plots.

use realfill::training::pretrain::Progress;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

const HEADER: &str = "step,seconds,loss,validation_psnr";

/// A log that is appended to.
pub struct Log {
    file: File,
    failure: Option<io::Error>,
}

impl Log {
    /// Opens the log, with a header where it is new.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        if file.metadata()?.len() == 0 {
            writeln!(file, "{HEADER}")?;
        }
        Ok(Self { file, failure: None })
    }

    /// Adds a step, `secs` after this run began; whether that worked.
    pub fn add(&mut self, progress: &Progress, secs: f64) -> bool {
        let psnr = progress.validation_psnr.map(|psnr| format!("{psnr:.4}")).unwrap_or_default();
        let line = format!("{},{secs:.2},{:.6},{psnr}", progress.step, progress.loss);
        self.failure = writeln!(self.file, "{line}").err();
        self.failure.is_none()
    }

    /// Tells whether the last line could not be written.
    ///
    /// # Errors
    /// What the system said.
    pub fn finish(self) -> io::Result<()> {
        self.failure.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reopened_log_goes_on_below_one_header() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.csv");
        for (step, validation_psnr) in [(1, None), (2, Some(12.34))] {
            let mut log = Log::open(&path).unwrap();
            assert!(log.add(&Progress { step, loss: 0.5, validation_psnr }, 1.5));
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "step,seconds,loss,validation_psnr\n1,1.50,0.500000,\n2,1.50,0.500000,12.3400\n");
    }
}
