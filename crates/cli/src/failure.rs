//! Why a command ended without a result, and the exit code that says so: 1 for a failure, 2 for bad input, 130 for a
//! stop by Ctrl-C.

use anyhow::{Error, anyhow};
use realfill::model::StageError;
use realfill::pipeline::{FillError, FolderError};
use realfill::samplers::SampleError;

/// Why a command ended without a result.
#[derive(Debug)]
pub enum Failure {
    /// Something the person gave cannot be used.
    BadInput(Error),
    /// The work itself failed.
    Failed(Error),
    /// The person stopped it; the sentence says how to go on.
    Stopped(String),
}

impl Failure {
    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::BadInput(_) => 2,
            Self::Stopped(_) => 130,
        }
    }

    /// What the person reads, with every cause.
    pub fn message(&self) -> String {
        match self {
            Self::BadInput(error) | Self::Failed(error) => with_causes(error),
            Self::Stopped(sentence) => sentence.clone(),
        }
    }

    /// A stage's error: a stop stays a stop, everything else is a failure.
    pub fn of_job(error: FillError) -> Self {
        match error {
            FillError::Stopped { folder } => {
                Self::Stopped(format!("stopped; run the same command with --resume to go on from {}", folder.display()))
            }
            FillError::Stage(StageError::Sample(SampleError::Stopped { .. })) => {
                Self::Stopped("stopped while sampling; run the same command with --resume to go on".into())
            }
            FillError::Settings(_) | FillError::Stage(StageError::Sample(SampleError::Schedule(_))) => {
                Self::BadInput(error.into())
            }
            FillError::Folder(FolderError::AnotherJob { .. } | FolderError::Damaged { .. }) => {
                Self::BadInput(anyhow!(with_the_flag(&error.to_string())))
            }
            FillError::Folder(FolderError::NoJob { .. }) => Self::BadInput(error.into()),
            other => Self::Failed(other.into()),
        }
    }
}

/// How checkpoints are removed here, for a sentence of the library that says what for.
fn with_the_flag(sentence: &str) -> String {
    const AIM: &str = " to start anew";
    let without = sentence.strip_suffix(AIM);
    without.map_or_else(|| sentence.to_owned(), |start| format!("{start} (leave out --resume){AIM}"))
}

/// The message and its causes, except for those that the message has told already.
fn with_causes(error: &Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| match told.as_str() {
        "" => cause,
        _ if told.contains(&cause) => told,
        _ => format!("{told}: {cause}"),
    })
}

/// Results whose error is the input's fault.
pub trait OrBadInput<T> {
    /// The value, or [`Failure::BadInput`].
    fn or_bad_input(self) -> Result<T, Failure>;
}

impl<T, E: Into<Error>> OrBadInput<T> for Result<T, E> {
    fn or_bad_input(self) -> Result<T, Failure> {
        self.map_err(|error| Failure::BadInput(error.into()))
    }
}

/// Results whose error is a failure of the work.
pub trait OrFailed<T> {
    /// The value, or [`Failure::Failed`].
    fn or_failed(self) -> Result<T, Failure>;
}

impl<T, E: Into<Error>> OrFailed<T> for Result<T, E> {
    fn or_failed(self) -> Result<T, Failure> {
        self.map_err(|error| Failure::Failed(error.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn a_cause_is_told_once() {
        let told = anyhow!("denied").context("cannot read x: denied; try y").context("settings");
        assert_eq!(Failure::Failed(told).message(), "settings: cannot read x: denied; try y");
    }

    #[test]
    fn exit_codes_tell_bad_input_failures_and_stops_apart() {
        let bad: Result<(), Failure> = Err(anyhow::anyhow!("x")).or_bad_input();
        let failed: Result<(), Failure> = Err(anyhow::anyhow!("x")).or_failed();
        let stopped = Failure::of_job(FillError::Stopped { folder: "out".into() });
        assert_eq!(bad.unwrap_err().exit_code(), 2);
        assert_eq!(failed.unwrap_err().exit_code(), 1);
        assert_eq!((stopped.exit_code(), stopped.message().contains("--resume")), (130, true));
        let (name, kept, now) = ("scene".to_owned(), "1".to_owned(), "2".to_owned());
        let another = FolderError::AnotherJob { folder: "out".into(), name, kept, now };
        let another = Failure::of_job(another.into());
        let ending = "or remove it (leave out --resume) to start anew";
        assert_eq!((another.exit_code(), another.message().ends_with(ending)), (2, true));
    }
}
