//! Content credentials of a completed photo: who signs is settled before the work, the record is written after it.

use crate::failure::{Failure, OrBadInput, OrFailed};
use anyhow::bail;
use clap::Args;
use realfill::pipeline::Report;
use realfill_credentials::{Edit, Identity, ModelUsed, Region, Signer, can_carry, sign};
use realfill_vision::metadata::Strip;
use realfill_vision::save::Saved;
use realfill_vision::{Mask, Scene};
use std::path::PathBuf;

/// Rectangles that a record tells of at most.
const MOST_REGIONS: usize = 16;

// Variables that count where none of the flags is given. A server's jobs inherit them.
const CERTIFICATE: &str = "REALFILL_SIGN_CERT";
const KEY: &str = "REALFILL_SIGN_KEY";
const NO_CREDENTIALS: &str = "REALFILL_NO_CREDENTIALS";

/// How the completed photo is signed.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Content credentials")]
pub struct CredentialArguments {
    /// Sign with this certificate (PEM, those that vouch for it behind it) and --sign-key. Without the two, the variables
    /// REALFILL_SIGN_CERT and REALFILL_SIGN_KEY name both files, or else a certificate is made on first use and kept in the
    /// user's data folder, which verifiers call untrusted
    #[arg(long, value_name = "FILE", requires = "sign_key")]
    pub sign_cert: Option<PathBuf>,
    /// The private key of --sign-cert (PKCS#8 PEM)
    #[arg(long, value_name = "FILE", requires = "sign_cert")]
    pub sign_key: Option<PathBuf>,
    /// Do not say in the file, signed, what was changed, from which photos and by which program; REALFILL_NO_CREDENTIALS=1
    /// says the same
    #[arg(long, conflicts_with = "sign_cert")]
    pub no_credentials: bool,
}

impl CredentialArguments {
    /// Who signs, by the flags or else by the variables; `None` where nobody shall.
    ///
    /// # Errors
    /// [`Failure::BadInput`]: a certificate or key that cannot sign, or no place to keep a self-made one.
    pub fn identity(&self) -> Result<Option<Identity>, Failure> {
        match self.no_credentials || self.sign_cert.is_some() {
            true => self.told(),
            false => Self::of_environment().or_bad_input()?.told(),
        }
    }

    fn told(&self) -> Result<Option<Identity>, Failure> {
        match (&self.sign_cert, &self.sign_key) {
            _ if self.no_credentials => Ok(None),
            (Some(certificate), Some(key)) => Identity::from_files(certificate, key).map(Some).or_bad_input(),
            _ => Identity::of_user().map(Some).or_bad_input(),
        }
    }

    fn of_environment() -> anyhow::Result<Self> {
        let no_credentials = match std::env::var(NO_CREDENTIALS).as_deref() {
            Err(_) | Ok("" | "0") => false,
            Ok("1") => true,
            Ok(other) => bail!("{NO_CREDENTIALS} is `{other}`; give 1 for no content credentials, or 0"),
        };
        let file = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let (sign_cert, sign_key) = (file(CERTIFICATE), file(KEY));
        if sign_cert.is_some() != sign_key.is_some() {
            bail!("one of {CERTIFICATE} and {KEY} is set and the other is not; set both");
        }
        Ok(Self { sign_cert, sign_key, no_credentials })
    }
}

/// Checks that the jobs of a server, which the variables tell who signs, can sign.
///
/// # Errors
/// As [`CredentialArguments::identity`].
pub fn check_for_jobs() -> Result<(), Failure> {
    CredentialArguments::default().identity().map(drop)
}

/// Signs the completed photo whose hole was `mask`, and tells by whom; a format without a place for it gets a note. Where
/// metadata was stripped, the credentials that the scene's photos had do not go along either.
///
/// # Errors
/// [`Failure::Failed`]; the photo is there, without credentials.
pub fn attach(
    identity: Option<&Identity>,
    saved: &mut Saved,
    scene: &Scene,
    mask: &Mask,
    report: &Report,
    strip: Strip,
) -> Result<Option<Signer>, Failure> {
    let Some(identity) = identity else { return Ok(None) };
    if !can_carry(&saved.path) {
        saved.notes.push("no content credentials: the format has no place for them".into());
        return Ok(None);
    }
    sign(&saved.path, &edit(scene, mask, report, strip), identity).or_failed()?;
    Ok(Some(identity.signer().clone()))
}

fn edit(scene: &Scene, mask: &Mask, report: &Report, strip: Strip) -> Edit {
    let regions = mask.rectangles(MOST_REGIONS).into_iter();
    Edit {
        version: report.version.clone(),
        target: scene.target.path.clone(),
        references: scene.references.iter().map(|reference| reference.path.clone()).collect(),
        keeps_credentials: strip == Strip::Nothing,
        regions: regions.map(|r| Region { x: r.x, y: r.y, width: r.width, height: r.height }).collect(),
        model: ModelUsed { name: report.model.clone(), fingerprint: report.model_fingerprint.clone() },
        supported_share: report.config.guide.then_some(report.supported_share),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The variables count only where neither is given, so that one of them is no default for its flag.
    #[test]
    fn no_default_is_promised_for_half_of_an_identity() {
        let command = CredentialArguments::augment_args(clap::Command::new("realfill"));
        for (id, other) in [("sign_cert", "--sign-key"), ("sign_key", "--sign-cert")] {
            let argument = command.get_arguments().find(|argument| argument.get_id() == id).expect("a flag");
            let help = argument.get_help().expect("a help").to_string();
            assert!(!help.contains("default") && help.contains(other), "{help}");
        }
    }
}
