//! The self-made identity: an authority that exists for a moment, signs one certificate and is forgotten. Certificate and
//! key are kept in one file, so that there is never one without the other.

use super::{Files, Identity};
use crate::CredentialsError;
use p256::SecretKey;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::elliptic_curve::rand_core::{OsRng, RngCore};
use p256::elliptic_curve::sec1::ToEncodedPoint;
use p256::pkcs8::{EncodePrivateKey, LineEnding};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SerialNumber, SignatureAlgorithm,
};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use time::{Duration, OffsetDateTime};

const FILE: &str = "identity.pem";

/// Without a time stamp from a third party a signature counts as long as its certificate does, so that is long.
const VALID_FOR: Duration = Duration::days(25 * 365);

/// C2PA's own purpose (C2PA 2.2, 14.5.1.1), and e-mail protection for readers older than it.
const PURPOSE: &[u64] = &[1, 3, 6, 1, 4, 1, 62558, 2, 1];

/// The identity in the folder; one that is missing or no longer valid is made.
pub(super) fn of_folder(folder: &Path) -> Result<Identity, CredentialsError> {
    let path = folder.join(FILE);
    match read(&path) {
        Err(CredentialsError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            keep(&path, false)?;
            read(&path)
        }
        Err(CredentialsError::Read { source, .. }) => {
            Err(CredentialsError::Folder { path, reason: source.to_string() })
        }
        Err(CredentialsError::NotValidNow { .. }) => {
            keep(&path, true)?;
            read(&path)
        }
        other => other,
    }
}

fn read(path: &Path) -> Result<Identity, CredentialsError> {
    let fail =
        |source| CredentialsError::Read { path: path.to_owned(), wanted: "the identity made on first use", source };
    let text = fs::read(path).map_err(fail)?;
    let identity = Identity::checked(&text, &text, &Files { certificate: path, key: path });
    let mut identity = identity.map_err(|error| match error {
        out_of_date @ CredentialsError::NotValidNow { .. } => out_of_date,
        other => CredentialsError::Damaged { path: path.to_owned(), reason: other.to_string() },
    })?;
    identity.signer.self_made = true;
    Ok(identity)
}

/// Makes an identity and puts it at `path`, whole or not at all, readable for its user alone. When another program was
/// faster, its identity stays, unless `replace`.
fn keep(path: &Path, replace: bool) -> Result<(), CredentialsError> {
    let text = made().map_err(|error| CredentialsError::Folder { path: path.to_owned(), reason: error.to_string() })?;
    let attempt = || {
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let temporary = path.with_extension(format!("{}-{:08x}.tmp", std::process::id(), OsRng.next_u32()));
        let written = write_private(&temporary, text.as_bytes()).and_then(|()| match replace {
            true => fs::rename(&temporary, path),
            false => fs::hard_link(&temporary, path).or_else(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => Ok(()),
                _ => fs::rename(&temporary, path), // a file system without links
            }),
        });
        let _ = fs::remove_file(&temporary);
        written
    };
    attempt().map_err(|error| CredentialsError::Folder { path: path.to_owned(), reason: error.to_string() })
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A key and, behind it, its certificate and that of the authority that signed it.
fn made() -> Result<String, rcgen::Error> {
    let number = OsRng.next_u32();
    let authority = Key::new();
    let issuer = CertifiedIssuer::self_signed(authority_certificate(number, &authority), authority)?;
    let key = Key::new();
    let certificate = signing_certificate(number, &key).signed_by(&key, &issuer)?;
    let key = key.secret.to_pkcs8_pem(LineEnding::LF).map_err(|_| rcgen::Error::RemoteKeyError)?;
    Ok(format!("{}{}{}", *key, certificate.pem(), issuer.pem()))
}

fn authority_certificate(number: u32, key: &Key) -> CertificateParams {
    let mut params = certificate(&format!("RealFill authority {number:08x}"), key);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn signing_certificate(number: u32, key: &Key) -> CertificateParams {
    let mut params = certificate(&format!("RealFill user {number:08x}"), key);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::EmailProtection, ExtendedKeyUsagePurpose::Other(PURPOSE.to_vec())];
    params.use_authority_key_identifier_extension = true;
    params
}

fn certificate(name: &str, key: &Key) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.distinguished_name.push(DnType::OrganizationName, "Self-made identity, not verified");
    params.not_before = OffsetDateTime::now_utc() - Duration::hours(1);
    params.not_after = params.not_before + VALID_FOR;
    let mut serial = [0; 16];
    OsRng.fill_bytes(&mut serial);
    serial[0] &= 0x7F;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    // Any number that tells keys apart will do (RFC 5280, 4.2.1.2): the middle of the public key.
    params.key_identifier_method = KeyIdMethod::PreSpecified(key.public[1..21].to_vec());
    params
}

/// A P-256 key that `rcgen` can sign with.
struct Key {
    secret: SecretKey,
    public: Vec<u8>,
}

impl Key {
    fn new() -> Self {
        let secret = SecretKey::random(&mut OsRng);
        let public = secret.public_key().to_encoded_point(false).as_bytes().to_vec();
        Self { secret, public }
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature: DerSignature = SigningKey::from(&self.secret).sign(message);
        Ok(signature.as_bytes().to_vec())
    }
}
