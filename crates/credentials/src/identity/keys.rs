//! Private keys: what a PEM file holds, and which algorithm its key signs with.

use c2pa::SigningAlg;
use p256::pkcs8::{LineEnding, ObjectIdentifier, PrivateKeyInfo, SecretDocument};
use x509_parser::pem::Pem;

const LABEL: &str = "PRIVATE KEY";

const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// A key as PKCS#8 PEM, and what it signs with.
pub(super) struct Key {
    pub pem: String,
    pub algorithm: SigningAlg,
}

/// Reads the first unencrypted PKCS#8 key (RFC 5958) in a PEM text.
///
/// # Errors
/// What the text holds instead, to stand behind the file's name.
pub(super) fn pkcs8(text: &[u8]) -> Result<Key, String> {
    let blocks = Pem::iter_from_buffer(text).collect::<Result<Vec<_>, _>>();
    let blocks = blocks.map_err(|error| format!("cannot be read as a PEM file ({error})"))?;
    let Some(block) = blocks.iter().find(|block| block.label == LABEL) else {
        let labels: Vec<_> = blocks.iter().map(|block| block.label.as_str()).collect();
        return Err(if labels.is_empty() {
            "is no PEM file".into()
        } else {
            format!("holds a {}", labels.join(", a "))
        });
    };
    let broken = |error: &dyn std::fmt::Display| format!("holds a broken key ({error})");
    let info = PrivateKeyInfo::try_from(block.contents.as_slice()).map_err(|error| broken(&error))?;
    let document = SecretDocument::try_from(block.contents.as_slice()).map_err(|error| broken(&error))?;
    let pem = document.to_pem(LABEL, LineEnding::LF).map_err(|error| broken(&error))?;
    Ok(Key { algorithm: algorithm(&info)?, pem: pem.to_string() })
}

fn algorithm(info: &PrivateKeyInfo) -> Result<SigningAlg, String> {
    let curve = || info.algorithm.parameters_oid().ok();
    match info.algorithm.oid {
        EC if curve() == Some(P256) => Ok(SigningAlg::Es256),
        EC if curve() == Some(P384) => Ok(SigningAlg::Es384),
        EC if curve() == Some(P521) => Ok(SigningAlg::Es512),
        RSA | RSA_PSS => Ok(SigningAlg::Ps256),
        ED25519 => Ok(SigningAlg::Ed25519),
        other => Err(format!("holds a key of an unusable kind ({other})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_things_than_pkcs8_keys_are_named() {
        let refused = |text: &str| pkcs8(text.as_bytes()).err().unwrap();
        assert!(refused("words").contains("PEM"));
        assert!(
            refused("-----BEGIN EC PRIVATE KEY-----\nAQID\n-----END EC PRIVATE KEY-----\n").contains("EC PRIVATE KEY")
        );
        assert!(refused("-----BEGIN PRIVATE KEY-----\nAQID\n-----END PRIVATE KEY-----\n").contains("broken key"));
        assert!(pkcs8(&[0xFF, 0xFE]).is_err());
    }
}
