//! From a file to a verdict.

use super::{Change, Source, State, Verdict};
use crate::manifest::OWN_LABEL;
use crate::{CredentialsError, format};
use c2pa::assertions::region_of_interest::{Range, Shape};
use c2pa::assertions::{Action, Actions};
use c2pa::validation_status::ValidationStatus;
use c2pa::{Context, Error, Ingredient, Manifest, Reader, Settings, ValidationState};
use std::fs::{self, File};
use std::io;
use std::path::Path;

const UNTRUSTED: &str = "signingCredential.untrusted";

/// Reads a file's credentials. `trust_list` is a PEM file with the certificates of authorities that are trusted; without
/// one nobody is. Nothing is fetched from the network.
///
/// # Errors
/// A file that cannot be read, is no picture, or is damaged without having been signed, or a trust list that cannot be
/// used. That there are no credentials, or broken ones, is no error but a verdict.
pub fn verify(path: &Path, trust_list: Option<&Path>) -> Result<Verdict, CredentialsError> {
    let unreadable = |source| CredentialsError::Read { path: path.to_owned(), wanted: "a picture", source };
    let format = format::of_file(path).map_err(unreadable)?;
    let found = || CredentialsError::Unreadable { path: path.to_owned(), found: "no picture".into() };
    let format = format.ok_or_else(found)?;
    let context = context(trust_list)?;
    let file = File::open(path).map_err(unreadable)?;
    let mut verdict = empty(path);
    match Reader::from_context(context).with_stream(format, file) {
        Ok(reader) => tell(&reader, &mut verdict),
        Err(Error::JumbfNotFound | Error::UnsupportedType | Error::RemoteManifestUrl(_)) => {}
        Err(error) if !has_credentials(path).map_err(unreadable)? => {
            return Err(CredentialsError::Unreadable { path: path.to_owned(), found: format!("damaged ({error})") });
        }
        Err(error) => {
            verdict.state = State::Altered;
            verdict.problems.push(format!("the credentials cannot be read: {error}"));
        }
    }
    Ok(verdict)
}

/// Whether there are bytes of credentials in a file, so that what makes it unreadable may have happened after it was signed.
fn has_credentials(path: &Path) -> io::Result<bool> {
    let bytes = fs::read(path)?;
    Ok(bytes.windows(4).any(|window| window == b"jumb" || window == b"c2pa"))
}

fn context(trust_list: Option<&Path>) -> Result<Context, CredentialsError> {
    let Some(path) = trust_list else { return Ok(Context::new()) };
    let wanted = "a PEM file of trusted certificates";
    let anchors = fs::read_to_string(path);
    let anchors = anchors.map_err(|source| CredentialsError::Read { path: path.to_owned(), wanted, source })?;
    let settings = Settings::new().with_value("trust.user_anchors", anchors);
    let context = settings.and_then(|settings| Context::new().with_settings(settings));
    context.map_err(|error| CredentialsError::TrustList { path: path.to_owned(), reason: error.to_string() })
}

fn empty(path: &Path) -> Verdict {
    Verdict {
        file: path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        state: State::None,
        signer: None,
        organisation: None,
        trusted: false,
        program: None,
        model: None,
        changes: Vec::new(),
        sources: Vec::new(),
        problems: Vec::new(),
    }
}

fn tell(reader: &Reader, verdict: &mut Verdict) {
    verdict.state = match reader.validation_state() {
        ValidationState::Invalid => State::Altered,
        ValidationState::Valid | ValidationState::Trusted => State::Intact,
    };
    verdict.trusted = reader.validation_state() == ValidationState::Trusted;
    verdict.problems = problems(reader.validation_status().unwrap_or_default());
    let Some(manifest) = reader.active_manifest() else { return };
    let signature = manifest.signature_info();
    verdict.signer = signature.and_then(|info| info.common_name.clone());
    verdict.organisation = signature.and_then(|info| info.issuer.clone());
    verdict.program = program(manifest);
    let own = manifest.find_assertion::<serde_json::Value>(OWN_LABEL).ok();
    verdict.model = own.as_ref().and_then(model);
    let actions = manifest.find_assertion::<Actions>(Actions::LABEL).ok();
    verdict.changes = actions.iter().flat_map(Actions::actions).map(change).collect();
    verdict.sources = manifest.ingredients().iter().map(source).collect();
}

/// What is wrong, apart from that nobody vouches for a signer, which is told elsewhere.
fn problems(statuses: &[ValidationStatus]) -> Vec<String> {
    let faults = statuses.iter().filter(|status| status.code() != UNTRUSTED);
    faults
        .map(|fault| fault.explanation().map_or_else(|| fault.code().into(), |why| format!("{}: {why}", fault.code())))
        .collect()
}

fn program(manifest: &Manifest) -> Option<String> {
    let info = manifest.claim_generator_info.as_ref().and_then(|infos| infos.first());
    let named =
        info.map(|info| [Some(info.name.as_str()), info.version.as_deref()].into_iter().flatten().collect::<Vec<_>>());
    named.map(|words| words.join(" ")).or_else(|| manifest.claim_generator().map(str::to_owned))
}

/// `name (fingerprint)`.
fn model(own: &serde_json::Value) -> Option<String> {
    let model = own.get("model")?;
    let [name, fingerprint] = ["name", "fingerprint"].map(|key| model.get(key).and_then(serde_json::Value::as_str));
    Some(format!("{} ({})", name?, fingerprint?))
}

fn change(action: &Action) -> Change {
    let regions = action.changes().unwrap_or_default().iter().flat_map(|change| &change.region);
    Change {
        action: action.action().to_owned(),
        when: action.when().map(str::to_owned),
        description: action.description().map(str::to_owned),
        source_type: action.source_type().map(|kind| kind.to_string()).map(|kind| last_part(&kind).to_owned()),
        regions: regions.filter_map(region).collect(),
    }
}

fn last_part(uri: &str) -> &str {
    uri.rsplit('/').next().unwrap_or(uri)
}

fn region(range: &Range) -> Option<String> {
    let Shape { unit, origin, width, height, .. } = range.shape.as_ref()?;
    let unit = format!("{unit:?}").to_lowercase();
    Some(format!("{}×{} {unit}s at {}, {}", width.as_ref()?, height.as_ref()?, origin.x, origin.y))
}

fn source(ingredient: &Ingredient) -> Source {
    Source {
        title: ingredient.title().unwrap_or("a photo without a name").to_owned(),
        relationship: ingredient.relationship().as_str().to_owned(),
        had_credentials: ingredient.active_manifest().is_some(),
        problems: problems(ingredient.validation_status().unwrap_or_default()),
    }
}
