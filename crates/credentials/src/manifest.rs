//! What the record says, in C2PA's terms (C2PA 2.2, 18 and 19).

use c2pa::{Builder, BuilderIntent, Error, Result};
use serde_json::{Value, json};
use std::fs::File;
use std::path::{Path, PathBuf};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// IPTC's term for a picture that was partly made by a trained model.
pub(crate) const SOURCE_TYPE: &str =
    "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia";

/// Name of our own part of the record: the model, and what share of the hole the references support.
pub(crate) const OWN_LABEL: &str = "realfill.completion";

/// The media type of anything; c2pa looks for nothing in such a file.
const UNKNOWN: &str = "application/octet-stream";

/// What was done to a photo.
#[derive(Clone, Debug)]
pub struct Edit {
    /// The program's version.
    pub version: String,
    /// The photo that was completed.
    pub target: PathBuf,
    /// The photos that it was completed from.
    pub references: Vec<PathBuf>,
    /// Whether the credentials that these photos have go along. They may say what is stripped from the completed one, such as
    /// where it was taken.
    pub keeps_credentials: bool,
    /// Where it was changed.
    pub regions: Vec<Region>,
    /// With which model.
    pub model: ModelUsed,
    /// Share of what was filled in that a reference supports, 0 to 1; `None` where that was not looked at.
    pub supported_share: Option<f64>,
}

/// A rectangle in pixels of the completed photo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Left edge.
    pub x: u32,
    /// Upper edge.
    pub y: u32,
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

/// The model that was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelUsed {
    /// Its name.
    pub name: String,
    /// Hash of its weights.
    pub fingerprint: String,
}

impl Edit {
    /// A builder that holds the record, the photos' own records included where they are to be.
    pub(crate) fn builder(&self, title: &str) -> Result<Builder> {
        let agent = json!({ "name": "RealFill", "version": self.version });
        let definition = json!({
            "title": title,
            "claim_generator_info": [agent],
            "assertions": [
                // As JSON, since c2pa 0.90 reads no enumerations from CBOR values; it is stored as CBOR all the same.
                { "label": "c2pa.actions", "kind": "Json", "data": self.actions(&agent), "created": true },
                { "label": OWN_LABEL, "data": self.own(), "created": true },
            ],
        });
        let mut builder = Builder::default().with_definition(definition.to_string())?;
        builder.set_intent(BuilderIntent::Edit);
        self.add_ingredient(&mut builder, &self.target, "parentOf", "target")?;
        for (i, reference) in self.references.iter().enumerate() {
            self.add_ingredient(&mut builder, reference, "inputTo", &reference_label(i))?;
        }
        Ok(builder)
    }

    /// Adds a photo, with its own record where that is to go along and there is one. Its name goes into the record, not where it
    /// lies.
    fn add_ingredient(&self, builder: &mut Builder, path: &Path, relationship: &str, label: &str) -> Result<()> {
        let title = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let told = |error: std::io::Error| Error::OtherError(format!("{}: {error}", path.display()).into());
        let format = crate::format::of_file(path).map_err(told)?.unwrap_or(UNKNOWN);
        let ingredient = json!({ "title": title, "format": format, "relationship": relationship, "label": label });
        let mut file = File::open(path).map_err(told)?;
        let read_as = if self.keeps_credentials { format } else { UNKNOWN };
        builder.add_ingredient_from_stream(ingredient.to_string(), read_as, &mut file)?;
        Ok(())
    }

    fn actions(&self, agent: &Value) -> Value {
        let now = OffsetDateTime::now_utc().replace_nanosecond(0).ok().and_then(|now| now.format(&Rfc3339).ok());
        let references: Vec<String> = (0..self.references.len()).map(reference_label).collect();
        json!({ "actions": [
            { "action": "c2pa.opened", "parameters": { "ingredientIds": ["target"] } },
            {
                "action": "c2pa.edited",
                "when": now,
                "softwareAgent": agent,
                "digitalSourceType": SOURCE_TYPE,
                "description": "Missing parts filled in from other photos of the place, with a trained model",
                "changes": self.regions.iter().map(Region::of_interest).collect::<Vec<_>>(),
                "parameters": { "ingredientIds": references },
            },
        ] })
    }

    fn own(&self) -> Value {
        let mut own = json!({ "model": { "name": self.model.name, "fingerprint": self.model.fingerprint } });
        if let Some(share) = self.supported_share {
            own["supported_share"] = json!(share);
        }
        own
    }
}

impl Region {
    /// Without a role, which c2pa 0.90 writes but cannot read; the action says it.
    fn of_interest(&self) -> Value {
        json!({
            "region": [{
                "type": "spatial",
                "shape": {
                    "type": "rectangle", "unit": "pixel", "origin": { "x": f64::from(self.x), "y": f64::from(self.y) },
                    "width": f64::from(self.width), "height": f64::from(self.height),
                },
            }],
        })
    }
}

fn reference_label(i: usize) -> String {
    format!("reference-{}", i + 1)
}
