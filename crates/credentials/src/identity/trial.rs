//! Signing a picture in memory and reading it back: what a certificate cannot do is known before hours of work, not after.

use super::{Files, Identity};
use crate::CredentialsError;
use c2pa::validation_status::ValidationStatus;
use c2pa::{Builder, BuilderIntent, Context, DigitalSourceType, Error, Reader};
use std::io::Cursor;

const FORMAT: &str = "image/png";

/// A black pixel as a PNG.
#[rustfmt::skip]
const PIXEL: [u8; 67] = [
    137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0, 58, 126, 155, 85,
    0, 0, 0, 10, 73, 68, 65, 84, 120, 156, 99, 96, 0, 0, 0, 2, 0, 1, 72, 175, 164, 113, 0, 0, 0, 0, 73, 69, 78, 68, 174, 66,
    96, 130,
];

/// What a reader may find that is no fault here: nobody vouches for the certificate.
const UNTRUSTED: &str = "signingCredential.untrusted";

const MISMATCH: &str = "claimSignature.mismatch";

/// Tries the identity out.
pub(super) fn run(identity: &Identity, files: &Files) -> Result<(), CredentialsError> {
    let refused = |reason: String| CredentialsError::Refused { path: files.certificate.to_owned(), reason };
    let signer = identity.to_c2pa().map_err(|error| CredentialsError::Key {
        path: files.key.to_owned(),
        found: format!("holds a key that cannot be used ({error})"),
    })?;
    let mut signed = Cursor::new(Vec::new());
    let mut builder = Builder::default();
    builder.set_intent(BuilderIntent::Create(DigitalSourceType::Empty));
    let attempt = builder.sign(&signer, FORMAT, &mut Cursor::new(PIXEL), &mut signed);
    attempt.map_err(|error| refused(in_words(&error)))?;
    signed.set_position(0);
    let read =
        Reader::from_context(Context::new()).with_stream(FORMAT, signed).map_err(|error| refused(error.to_string()))?;
    let faults = read.validation_status().unwrap_or_default();
    let mut faults = faults.iter().filter(|fault| fault.code() != UNTRUSTED);
    match faults.next() {
        None => Ok(()),
        Some(fault) if fault.code() == MISMATCH => {
            Err(CredentialsError::Mismatch { certificate: files.certificate.to_owned(), key: files.key.to_owned() })
        }
        Some(fault) => Err(refused(described(fault))),
    }
}

fn in_words(error: &Error) -> String {
    match error {
        Error::CoseInvalidCert | Error::InvalidCertificateError(_) => {
            format!("{error}: not of the kind that C2PA asks for")
        }
        other => other.to_string(),
    }
}

fn described(fault: &ValidationStatus) -> String {
    fault.explanation().map_or_else(|| fault.code().to_owned(), |why| format!("{}: {why}", fault.code()))
}
