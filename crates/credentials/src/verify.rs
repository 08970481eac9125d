//! Reading the record in a file: who signed it, what was done, from which photos, and whether the file is still what was
//! signed.

mod read;
mod words;

use serde::Serialize;

pub use read::verify;

/// Whether the file is what was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// There are no credentials.
    None,
    /// The file is as it was signed.
    Intact,
    /// The file or its credentials were changed after it was signed, or the signature is not valid.
    Altered,
}

/// What a file's credentials say.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// The file's name.
    pub file: String,
    /// Whether the file is what was signed.
    pub state: State,
    /// Who signed: the name in the certificate.
    pub signer: Option<String>,
    /// The organisation in the certificate.
    pub organisation: Option<String>,
    /// Whether a trusted authority vouches for the signer.
    pub trusted: bool,
    /// The program that wrote the credentials.
    pub program: Option<String>,
    /// The model that filled in what was missing, as the credentials name it.
    pub model: Option<String>,
    /// What was done, in order.
    pub changes: Vec<Change>,
    /// The photos it was made from.
    pub sources: Vec<Source>,
    /// What is wrong: C2PA's codes with their explanations.
    pub problems: Vec<String>,
}

/// Something that was done.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// C2PA's name of it, such as `c2pa.edited`.
    pub action: String,
    /// When, as the program says (RFC 3339).
    pub when: Option<String>,
    /// What the program says about it.
    pub description: Option<String>,
    /// IPTC's term for how the pixels came about, such as `compositeWithTrainedAlgorithmicMedia`.
    pub source_type: Option<String>,
    /// Where, in words: `320×200 pixels at 100, 50`.
    pub regions: Vec<String>,
}

/// A photo that the file was made from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Source {
    /// Its file's name.
    pub title: String,
    /// C2PA's name of what it was for: `parentOf`, `componentOf`, `inputTo`.
    pub relationship: String,
    /// Whether it had credentials of its own.
    pub had_credentials: bool,
    /// What was wrong with them then.
    pub problems: Vec<String>,
}
