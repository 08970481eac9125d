//! With what credentials are signed: a certificate and key that were given, or a self-made identity.

mod keys;
mod own;
mod trial;

use crate::{CredentialsError, folders};
use c2pa::{BoxedSigner, SigningAlg, create_signer};
use p256::pkcs8::{Document, LineEnding};
use std::fs;
use std::path::{Path, PathBuf};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use x509_parser::certificate::X509Certificate;
use x509_parser::pem::Pem;

const LABEL: &str = "CERTIFICATE";

/// A certificate chain with the key of its first certificate, tried out.
#[derive(Clone)]
pub struct Identity {
    chain: Vec<u8>,
    key: String,
    algorithm: SigningAlg,
    signer: Signer,
}

/// Who signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// The certificate's common name, or all of its subject where there is none.
    pub name: String,
    /// Whether the certificate is self-made, so that nobody vouches for the name.
    pub self_made: bool,
}

/// A signer that asks for no more room than it needs. `c2pa` reserves 10 kB for a time stamp; that would be 10 kB of padding in
/// each file, and bytes of padding are the only ones that can change unnoticed.
struct Tight(BoxedSigner);

/// Room for the signature, its head, and numbers: 512 bytes are the longest signature, of an RSA key of 4096 bits.
const SIGNATURE_BYTES: usize = 1024;

impl c2pa::Signer for Tight {
    fn sign(&self, data: &[u8]) -> c2pa::Result<Vec<u8>> {
        self.0.sign(data)
    }

    fn alg(&self) -> SigningAlg {
        self.0.alg()
    }

    fn certs(&self) -> c2pa::Result<Vec<Vec<u8>>> {
        self.0.certs()
    }

    fn reserve_size(&self) -> usize {
        SIGNATURE_BYTES + self.0.certs().unwrap_or_default().iter().map(Vec::len).sum::<usize>()
    }
}

/// The certificate's and the key's files, for messages.
struct Files<'a> {
    certificate: &'a Path,
    key: &'a Path,
}

impl Identity {
    /// From PEM files: the signing certificate and those that vouch for it, and the PKCS#8 key. The algorithm is the key's.
    /// A picture in memory is signed and read back, so that what cannot sign is found before the work starts.
    ///
    /// # Errors
    /// Files that cannot be read or hold something else; a certificate that is not valid now, does not match the key, or may
    /// not sign credentials.
    pub fn from_files(certificate: &Path, key: &Path) -> Result<Self, CredentialsError> {
        let read = |path: &Path, wanted| {
            fs::read(path).map_err(|source| CredentialsError::Read { path: path.to_owned(), wanted, source })
        };
        let chain = read(certificate, "a PEM file with the signing certificate")?;
        let key_text = read(key, "a PEM file with the private key")?;
        Self::checked(&chain, &key_text, &Files { certificate, key })
    }

    /// The self-made identity of this user, made on first use. Verifiers will call it untrusted.
    ///
    /// # Errors
    /// It cannot be kept, or what was kept is damaged.
    pub fn of_user() -> Result<Self, CredentialsError> {
        own::of_folder(&folders::identity_folder()?)
    }

    /// As [`Identity::of_user`], kept in `folder`.
    ///
    /// # Errors
    /// As [`Identity::of_user`].
    pub fn in_folder(folder: &Path) -> Result<Self, CredentialsError> {
        own::of_folder(folder)
    }

    /// Who signs.
    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    pub(crate) fn to_c2pa(&self) -> c2pa::Result<impl c2pa::Signer> {
        create_signer::from_keys(&self.chain, self.key.as_bytes(), self.algorithm, None).map(Tight)
    }

    fn checked(chain: &[u8], key: &[u8], files: &Files) -> Result<Self, CredentialsError> {
        let (name, chain) = checked_certificates(chain, files.certificate)?;
        let signer = Signer { name, self_made: false };
        let found = |found| CredentialsError::Key { path: files.key.to_owned(), found };
        let key = keys::pkcs8(key).map_err(found)?;
        let identity = Self { chain, algorithm: key.algorithm, key: key.pem, signer };
        trial::run(&identity, files)?;
        Ok(identity)
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("signer", &self.signer)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// Checks that every certificate can be read and is valid now; the name in the first, and all of them as PEM.
fn checked_certificates(text: &[u8], path: &Path) -> Result<(String, Vec<u8>), CredentialsError> {
    let wrong = |found: String| CredentialsError::Certificate { path: path.to_owned(), found };
    let blocks = Pem::iter_from_buffer(text).collect::<Result<Vec<_>, _>>();
    let blocks = blocks.map_err(|error| wrong(format!("is no PEM file ({error})")))?;
    let (mut first, mut chain) = (None, String::new());
    for block in blocks.iter().filter(|block| block.label == LABEL) {
        let broken = |error: &dyn std::fmt::Display| wrong(format!("holds a broken certificate ({error})"));
        let certificate = block.parse_x509().map_err(|error| broken(&error))?;
        check_validity(&certificate, path)?;
        first.get_or_insert_with(|| name_of(&certificate));
        let document = Document::try_from(block.contents.as_slice()).map_err(|error| broken(&error))?;
        chain += &document.to_pem(LABEL, LineEnding::LF).map_err(|error| broken(&error))?;
    }
    let name = first.ok_or_else(|| wrong("holds no certificate".into()))?;
    Ok((name, chain.into_bytes()))
}

fn check_validity(certificate: &X509Certificate, path: &Path) -> Result<(), CredentialsError> {
    let (validity, now) = (certificate.validity(), OffsetDateTime::now_utc());
    let told = |time: OffsetDateTime| time.replace_nanosecond(0).unwrap_or(time).format(&Rfc3339).unwrap_or_default();
    let (from, until) = (validity.not_before.to_datetime(), validity.not_after.to_datetime());
    if (from..=until).contains(&now) {
        return Ok(());
    }
    let [from, until, now] = [from, until, now].map(told);
    Err(CredentialsError::NotValidNow { path: PathBuf::from(path), subject: name_of(certificate), from, until, now })
}

fn name_of(certificate: &X509Certificate) -> String {
    let common = certificate.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
    common.map_or_else(|| certificate.subject().to_string(), str::to_owned)
}
