//! Photos with metadata, and certificates of every kind, made for the tests.

use p256::ecdsa::signature::Signer;
use p256::elliptic_curve::rand_core::OsRng;
use p256::pkcs8::{EncodePrivateKey, LineEnding};
use rcgen::{
    CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyUsagePurpose,
    PublicKeyData, SerialNumber, SignatureAlgorithm, SigningKey,
};
use realfill_credentials::{Edit, ModelUsed, Region};
use realfill_vision::Photo;
use rsa::pkcs1::EncodeRsaPublicKey;
use rsa::signature::SignatureEncoding;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use time::{Duration, OffsetDateTime};

/// A key of one of the kinds that sign.
pub enum Key {
    P256(p256::ecdsa::SigningKey),
    P384(p384::ecdsa::SigningKey),
    Ed25519(ed25519_dalek::SigningKey),
    Rsa(Box<rsa::RsaPrivateKey>),
}

impl Key {
    pub fn p256() -> Self {
        Self::P256(p256::ecdsa::SigningKey::random(&mut OsRng))
    }

    pub fn pem(&self) -> String {
        match self {
            Self::P256(key) => key.to_pkcs8_pem(LineEnding::LF),
            Self::P384(key) => key.to_pkcs8_pem(LineEnding::LF),
            Self::Ed25519(key) => key.to_pkcs8_pem(LineEnding::LF),
            Self::Rsa(key) => key.to_pkcs8_pem(LineEnding::LF),
        }
        .unwrap()
        .to_string()
    }
}

/// The key as `rcgen` takes it.
pub struct Certified<'a>(&'a Key, Vec<u8>);

impl<'a> Certified<'a> {
    fn new(key: &'a Key) -> Self {
        let public = match key {
            Key::P256(key) => key.verifying_key().to_encoded_point(false).as_bytes().to_vec(),
            Key::P384(key) => key.verifying_key().to_encoded_point(false).as_bytes().to_vec(),
            Key::Ed25519(key) => key.verifying_key().as_bytes().to_vec(),
            Key::Rsa(key) => key.to_public_key().to_pkcs1_der().unwrap().as_bytes().to_vec(),
        };
        Self(key, public)
    }
}

impl PublicKeyData for Certified<'_> {
    fn der_bytes(&self) -> &[u8] {
        &self.1
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        match self.0 {
            Key::P256(_) => &rcgen::PKCS_ECDSA_P256_SHA256,
            Key::P384(_) => &rcgen::PKCS_ECDSA_P384_SHA384,
            Key::Ed25519(_) => &rcgen::PKCS_ED25519,
            Key::Rsa(_) => &rcgen::PKCS_RSA_SHA256,
        }
    }
}

impl SigningKey for Certified<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(match self.0 {
            Key::P256(key) => Signer::<p256::ecdsa::DerSignature>::sign(key, message).as_bytes().to_vec(),
            Key::P384(key) => Signer::<p384::ecdsa::DerSignature>::sign(key, message).as_bytes().to_vec(),
            Key::Ed25519(key) => key.sign(message).to_bytes().to_vec(),
            Key::Rsa(key) => {
                rsa::pkcs1v15::SigningKey::<rsa::sha2::Sha256>::new(key.as_ref().clone()).sign(message).to_vec()
            }
        })
    }
}

/// Certificate chain and key as files, and the authority's certificate.
pub struct Files {
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub authority: PathBuf,
}

/// A certificate for `key`, valid for `days` around now (negative: until so many days ago), for C2PA unless `purpose` says
/// otherwise.
pub fn certified(folder: &Path, key: &Key, days: i64, purpose: Option<ExtendedKeyUsagePurpose>) -> Files {
    let authority_key = Key::p256();
    let authority = params("Test authority", 1000, IsCa::Ca(rcgen::BasicConstraints::Unconstrained));
    let issuer = CertifiedIssuer::self_signed(authority, Certified::new(&authority_key)).unwrap();
    let mut leaf = params("Test signer", days, IsCa::ExplicitNoCa);
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![purpose.unwrap_or(ExtendedKeyUsagePurpose::EmailProtection)];
    leaf.use_authority_key_identifier_extension = true;
    let leaf = leaf.signed_by(&Certified::new(key), &issuer).unwrap();
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    Files {
        certificate: write("chain.pem", format!("{}{}", leaf.pem(), issuer.pem())),
        key: write("key.pem", key.pem()),
        authority: write("authority.pem", issuer.pem()),
    }
}

fn params(name: &str, days: i64, is_ca: IsCa) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.distinguished_name.push(DnType::OrganizationName, "Test organisation");
    params.not_before = OffsetDateTime::now_utc() - Duration::days(500);
    params.not_after = OffsetDateTime::now_utc() + Duration::days(days);
    params.serial_number = Some(SerialNumber::from_slice(&[7, name.len() as u8]));
    params.key_identifier_method = KeyIdMethod::PreSpecified(name.as_bytes().to_vec());
    if matches!(is_ca, IsCa::Ca(_)) {
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    }
    params.is_ca = is_ca;
    params
}

/// Display P3, made once: a profile says when it was made.
static PROFILE: LazyLock<Vec<u8>> = LazyLock::new(|| moxcms::ColorProfile::new_display_p3().encode().unwrap());

/// Saves a photo with EXIF, XMP and a profile where the format takes them, and returns its path.
pub fn photo(folder: &Path, name: &str, shift: u32) -> PathBuf {
    let pixels = image::RgbImage::from_fn(97, 61, |x, y| {
        image::Rgb([((x + shift) * 5 % 256) as u8, (y * 7 % 256) as u8, ((x * y + shift) % 251) as u8])
    });
    // An EXIF block with one entry: the maker, "abc".
    let exif = b"II*\0\x08\0\0\0\x01\0\x0F\x01\x02\0\x04\0\0\0abc\0\0\0\0\0".to_vec();
    let xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'/>\
        </x:xmpmeta>";
    let (icc, exif, xmp) = (Some(PROFILE.clone()), Some(exif), Some(xmp.to_vec()));
    let photo = Photo { icc, exif, xmp, ..Photo::from_pixels(pixels) };
    let path = folder.join(name);
    photo.save(&path).unwrap();
    path
}

/// A record of a change to `target` with two references.
pub fn edit(folder: &Path, target: &Path) -> Edit {
    Edit {
        version: "1.2.3".into(),
        target: target.to_owned(),
        references: vec![photo(folder, "first.png", 3), photo(folder, "second.jpg", 9)],
        keeps_credentials: true,
        regions: vec![Region { x: 10, y: 20, width: 30, height: 15 }, Region { x: 60, y: 5, width: 8, height: 9 }],
        model: ModelUsed { name: "embedded".into(), fingerprint: "abc123".into() },
        supported_share: Some(0.75),
    }
}
