//! Who may sign, and the identity that is made on first use.

use crate::material::{Files, Key, certified, edit, photo};
use p256::elliptic_curve::rand_core::OsRng;
use rcgen::ExtendedKeyUsagePurpose;
use realfill_credentials::{CredentialsError, Identity, State, sign, verify};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

fn identity(files: &Files) -> Result<Identity, CredentialsError> {
    Identity::from_files(&files.certificate, &files.key)
}

/// The message has every one of `words`.
fn refuses(result: Result<Identity, CredentialsError>, words: &[&str]) {
    let message = result.unwrap_err().to_string();
    words.iter().for_each(|word| assert!(message.contains(word), "`{word}` is not in: {message}"));
}

#[test]
fn keys_of_every_kind_sign() {
    let keys = [
        Key::p256(),
        Key::P384(p384::ecdsa::SigningKey::random(&mut OsRng)),
        Key::Ed25519(ed25519_dalek::SigningKey::from_bytes(&[7; 32])),
        Key::Rsa(Box::new(rsa::RsaPrivateKey::new(&mut OsRng, 2048).unwrap())),
    ];
    for key in keys {
        let folder = TempDir::new().unwrap();
        let files = certified(folder.path(), &key, 100, None);
        let identity = identity(&files).unwrap();
        assert_eq!((identity.signer().name.as_str(), identity.signer().self_made), ("Test signer", false));
        let completed = photo(folder.path(), "completed.jpg", 1);
        sign(&completed, &edit(folder.path(), &completed), &identity).unwrap();
        let verdict = verify(&completed, None).unwrap();
        assert_eq!((verdict.state, verdict.trusted), (State::Intact, false), "{verdict}");
        assert_eq!(verdict.organisation.as_deref(), Some("Test organisation"));
        let trusting = verify(&completed, Some(&files.authority)).unwrap();
        assert_eq!((trusting.state, trusting.trusted), (State::Intact, true), "{trusting}");
        assert!(trusting.to_string().contains("by a trusted signer"));
    }
}

#[test]
fn a_certificate_that_is_not_valid_now_is_refused_with_its_dates() {
    let folder = TempDir::new().unwrap();
    let files = certified(folder.path(), &Key::p256(), -3, None);
    refuses(identity(&files), &["Test signer", "chain.pem", "is valid from", "--no-credentials"]);
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    for other in [Key::p256(), Key::Ed25519(ed25519_dalek::SigningKey::from_bytes(&[9; 32]))] {
        let folder = TempDir::new().unwrap();
        let files = certified(folder.path(), &Key::p256(), 100, None);
        fs::write(&files.key, other.pem()).unwrap();
        refuses(identity(&files), &["key.pem does not match the certificate in", "chain.pem"]);
    }
}

#[test]
fn a_certificate_for_other_purposes_is_refused() {
    let folder = TempDir::new().unwrap();
    let files = certified(folder.path(), &Key::p256(), 100, Some(ExtendedKeyUsagePurpose::ServerAuth));
    refuses(identity(&files), &["cannot sign content credentials", "extended key usage"]);
}

#[test]
fn files_that_hold_something_else_are_named() {
    let folder = TempDir::new().unwrap();
    let files = certified(folder.path(), &Key::p256(), 100, None);
    refuses(Identity::from_files(Path::new("nowhere.pem"), &files.key), &["cannot read nowhere.pem"]);
    refuses(Identity::from_files(&files.certificate, Path::new("nowhere.pem")), &["cannot read nowhere.pem"]);
    refuses(Identity::from_files(&files.key, &files.key), &["key.pem holds no certificate"]);
    refuses(Identity::from_files(&files.certificate, &files.certificate), &["chain.pem holds a CERTIFICATE", "PKCS#8"]);
}

#[test]
fn an_identity_is_made_once_and_kept_for_its_user_alone() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("new/data");
    let first = Identity::in_folder(&data).unwrap();
    assert!(first.signer().self_made);
    let kept = fs::read(data.join("identity.pem")).unwrap();
    assert_eq!(Identity::in_folder(&data).unwrap().signer(), first.signer());
    assert_eq!(fs::read(data.join("identity.pem")).unwrap(), kept);
    assert_eq!(fs::read_dir(&data).unwrap().count(), 1, "something else is left behind");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(data.join("identity.pem")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn programs_that_start_together_share_one_identity() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let started: Vec<_> = (0..6)
        .map(|_| {
            let data = data.clone();
            std::thread::spawn(move || Identity::in_folder(&data).unwrap().signer().clone())
        })
        .collect();
    let signers: Vec<_> = started.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert!(signers.iter().all(|signer| *signer == signers[0]), "{signers:?}");
}

#[test]
fn an_old_identity_is_replaced_and_a_damaged_one_named() {
    let folder = TempDir::new().unwrap();
    let files = certified(folder.path(), &Key::p256(), -3, None);
    let text = [fs::read_to_string(&files.key).unwrap(), fs::read_to_string(&files.certificate).unwrap()].concat();
    let kept = folder.path().join("identity.pem");
    fs::write(&kept, text).unwrap();
    assert!(Identity::in_folder(folder.path()).unwrap().signer().name.starts_with("RealFill user"));
    fs::write(&kept, "words").unwrap();
    refuses(Identity::in_folder(folder.path()), &["identity.pem is damaged", "delete it"]);
}

#[test]
fn a_folder_that_cannot_be_written_to_is_named() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "in the way").unwrap();
    refuses(Identity::in_folder(&file.join("data")), &["file", "--no-credentials", "REALFILL_DATA"]);
}
