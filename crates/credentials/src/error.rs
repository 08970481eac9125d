//! What can go wrong with credentials, in words that say what to do.

use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Why credentials could not be written or read.
#[derive(Debug, Error)]
pub enum CredentialsError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}; give {wanted}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What it should be.
        wanted: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A file holds no certificate.
    #[error(
        "{} {found}; give a PEM file with the signing certificate first and the ones that vouch for it behind it",
        path.display()
    )]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What it holds instead.
        found: String,
    },
    /// A file holds no private key that can be used.
    #[error(
        "{} {found}; give an unencrypted PKCS#8 PEM file with a P-256, P-384, P-521, RSA or Ed25519 key \
         (`openssl pkcs8 -topk8 -nodes -in OLD.pem -out KEY.pem` makes one from other forms)",
        path.display()
    )]
    Key {
        /// The file.
        path: PathBuf,
        /// What it holds instead.
        found: String,
    },
    /// The certificate is not valid now.
    #[error(
        "the certificate of {subject} in {} is valid from {from} to {until}, and now it is {now}; give one that is valid, \
         or --no-credentials",
        path.display()
    )]
    NotValidNow {
        /// The file.
        path: PathBuf,
        /// Whose certificate it is.
        subject: String,
        /// When it begins to be valid.
        from: String,
        /// When it ceases to be valid.
        until: String,
        /// The time of this machine.
        now: String,
    },
    /// Certificate and key do not belong together.
    #[error(
        "the key in {} does not match the certificate in {}; give the key that the first certificate in the file was made for",
        key.display(), certificate.display()
    )]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The certificate is valid, but not for this.
    #[error(
        "the certificate in {} cannot sign content credentials ({reason}); it must be an end-entity certificate, not \
         self-signed, for digital signatures, with an extended key usage such as C2PA's claim signing \
         (1.3.6.1.4.1.62558.2.1), e-mail protection or document signing",
        path.display()
    )]
    Refused {
        /// The file.
        path: PathBuf,
        /// What a trial showed.
        reason: String,
    },
    /// The self-made identity cannot be kept.
    #[error(
        "cannot keep an identity to sign with in {}: {reason}; set {} to a folder that can be written to, give --sign-cert \
         and --sign-key, or --no-credentials",
        path.display(), crate::DATA_FOLDER_VARIABLE
    )]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The self-made identity's file is damaged.
    #[error("the identity in {} is damaged ({reason}); delete it, and a new one is made", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A photo is there but could not be signed.
    #[error("{} is complete but has no content credentials: {reason}", path.display())]
    Sign {
        /// The photo.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// A file is no picture whose credentials can be read.
    #[error("{} is {found}; content credentials are read from JPEG, PNG, WebP, TIFF, AVIF, JPEG XL, GIF and HEIC files", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        found: String,
    },
    /// The list of trusted certificates cannot be used.
    #[error("{} holds no list of trusted certificates ({reason}); give a PEM file, such as C2PA's trust list", path.display())]
    TrustList {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}
