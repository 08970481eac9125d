//! A verdict in plain words.

use super::{Change, Source, State, Verdict};
use std::fmt::{self, Display, Formatter};

impl Display for Verdict {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.headline())?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n  problem: {problem}"))?;
        if self.state == State::None {
            return Ok(());
        }
        write!(f, "\n  signed by: {}", self.signed_by())?;
        if let Some(program) = &self.program {
            write!(f, "\n  written by: {program}")?;
        }
        if let Some(model) = &self.model {
            write!(f, "\n  model: {model}")?;
        }
        self.changes.iter().try_for_each(|change| write!(f, "\n  {change}"))?;
        self.sources.iter().try_for_each(|source| write!(f, "\n  {source}"))
    }
}

impl Verdict {
    fn headline(&self) -> &'static str {
        match (self.state, self.trusted) {
            (State::None, _) => "no content credentials",
            (State::Intact, true) => "intact since it was signed, by a trusted signer",
            (State::Intact, false) => "intact since it was signed; nobody known vouches for the signer",
            (State::Altered, _) => {
                "ALTERED since it was signed, or the signature is not valid; believe nothing of what follows"
            }
        }
    }

    fn signed_by(&self) -> String {
        let name = self.signer.as_deref().unwrap_or("nobody named");
        let organisation = self.organisation.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
        let trust = if self.trusted { "trusted" } else { "untrusted" };
        format!("{name}{organisation}, {trust}")
    }
}

impl Display for Change {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        write!(f, "done: {}", self.action.trim_start_matches("c2pa."))?;
        if let Some(when) = &self.when {
            write!(f, " on {when}, as the program says")?;
        }
        if let Some(description) = &self.description {
            write!(f, "\n    {description}")?;
        }
        if let Some(kind) = &self.source_type {
            write!(f, "\n    kind: {}", kind_in_words(kind))?;
        }
        self.regions.iter().try_for_each(|region| write!(f, "\n    where: {region}"))
    }
}

/// IPTC's terms that a reader meets most often (NewsCodes, digital source type).
fn kind_in_words(kind: &str) -> String {
    let words = match kind {
        "compositeWithTrainedAlgorithmicMedia" => "a photo with parts made by a trained model",
        "trainedAlgorithmicMedia" => "made by a trained model",
        "digitalCapture" => "taken with a camera",
        "computationalCapture" => "taken with a camera that computes",
        "humanEdits" => "edited by a person",
        _ => return kind.to_owned(),
    };
    format!("{words} ({kind})")
}

impl Display for Source {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        let role = match self.relationship.as_str() {
            "parentOf" => "made from",
            "inputTo" => "with the help of",
            _ => "contains",
        };
        write!(f, "{role}: {}", self.title)?;
        match (self.had_credentials, self.problems.is_empty()) {
            (false, _) => Ok(()),
            (true, true) => write!(f, ", which had credentials of its own"),
            (true, false) => write!(f, ", whose own credentials were not valid: {}", self.problems.join("; ")),
        }
    }
}
