//! Content credentials of a completed photo: who signs is settled before the work, the record is written after it.

use crate::failure::{Failure, OrBadInput, OrFailed};
use clap::Args;
use realfill::pipeline::Report;
use realfill_credentials::{Edit, Identity, ModelUsed, Region, Signer, can_carry, sign};
use realfill_vision::save::Saved;
use realfill_vision::{Mask, Scene};
use std::path::PathBuf;

/// Rectangles that a record tells of at most.
const MOST_REGIONS: usize = 16;

/// How the completed photo is signed.
#[derive(Debug, Args)]
#[command(next_help_heading = "Content credentials")]
pub struct CredentialArguments {
    /// Sign with this certificate (PEM, those that vouch for it behind it) [default: one made on first use and kept in the
    /// user's data folder, which verifiers call untrusted]
    #[arg(long, value_name = "FILE", requires = "sign_key")]
    pub sign_cert: Option<PathBuf>,
    /// The certificate's private key (PKCS#8 PEM)
    #[arg(long, value_name = "FILE", requires = "sign_cert")]
    pub sign_key: Option<PathBuf>,
    /// Do not say in the file, signed, what was changed, from which photos and by which program
    #[arg(long, conflicts_with = "sign_cert")]
    pub no_credentials: bool,
}

impl CredentialArguments {
    /// Who signs; `None` where nobody shall.
    ///
    /// # Errors
    /// [`Failure::BadInput`]: a certificate or key that cannot sign, or no place to keep a self-made one.
    pub fn identity(&self) -> Result<Option<Identity>, Failure> {
        match (&self.sign_cert, &self.sign_key) {
            _ if self.no_credentials => Ok(None),
            (Some(certificate), Some(key)) => Identity::from_files(certificate, key).map(Some).or_bad_input(),
            _ => Identity::of_user().map(Some).or_bad_input(),
        }
    }
}

/// Signs the completed photo whose hole was `mask`, and tells by whom; a format without a place for it gets a note.
///
/// # Errors
/// [`Failure::Failed`]; the photo is there, without credentials.
pub fn attach(
    identity: Option<&Identity>,
    saved: &mut Saved,
    scene: &Scene,
    mask: &Mask,
    report: &Report,
) -> Result<Option<Signer>, Failure> {
    let Some(identity) = identity else { return Ok(None) };
    if !can_carry(&saved.path) {
        saved.notes.push("no content credentials: the format has no place for them".into());
        return Ok(None);
    }
    sign(&saved.path, &edit(scene, mask, report), identity).or_failed()?;
    Ok(Some(identity.signer().clone()))
}

fn edit(scene: &Scene, mask: &Mask, report: &Report) -> Edit {
    let regions = mask.rectangles(MOST_REGIONS).into_iter();
    Edit {
        version: report.version.clone(),
        target: scene.target.path.clone(),
        references: scene.references.iter().map(|reference| reference.path.clone()).collect(),
        regions: regions.map(|r| Region { x: r.x, y: r.y, width: r.width, height: r.height }).collect(),
        model: ModelUsed { name: report.model.clone(), fingerprint: report.model_fingerprint.clone() },
        supported_share: report.config.guide.then_some(report.supported_share),
    }
}
