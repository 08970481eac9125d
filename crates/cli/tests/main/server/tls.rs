//! A database over TLS: whose certificate is believed. The certificates are made by `openssl`, where it is installed.

use super::client::Server;
use super::postgres::Postgres;
use crate::material::realfill;
use predicates::str::contains;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// What the certificates say (`man x509v3_config`).
const EXTENSIONS: &str = "[req]\ndistinguished_name = name\n[name]\n\
    [authority]\nbasicConstraints = critical, CA:TRUE\n\
    [server]\nbasicConstraints = CA:FALSE\nsubjectAltName = DNS:localhost\n";

/// Makes a certificate and its key, of a section of `EXTENSIONS`, signed by itself or by an authority; `false`, with a word, where
/// there is no `openssl`.
fn certificate(folder: &Path, name: &str, section: &str, authority: Option<&str>) -> bool {
    let file = |name: &str, extension: &str| folder.join(format!("{name}.{extension}"));
    std::fs::write(file("extensions", "cnf"), EXTENSIONS).unwrap();
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]);
    command.arg("-subj").arg(format!("/CN={name}")).args(["-extensions", section]);
    command.arg("-config").arg(file("extensions", "cnf"));
    command.arg("-out").arg(file(name, "pem")).arg("-keyout").arg(file(name, "key"));
    if let Some(authority) = authority {
        command.arg("-CA").arg(file(authority, "pem")).arg("-CAkey").arg(file(authority, "key"));
    }
    let Ok(made) = command.output() else {
        println!("passed over: openssl is missing");
        return false;
    };
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    true
}

#[test]
fn a_database_is_believed_over_tls_when_who_signed_its_certificate_is_named() {
    let (files, folder) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let path = files.path();
    let made = certificate(path, "ours", "authority", None)
        && certificate(path, "strangers", "authority", None)
        && certificate(path, "server", "server", Some("ours"));
    if !made {
        return;
    }
    let [ours, strangers] = ["ours.pem", "strangers.pem"].map(|name| folder.path().join(name));
    std::fs::copy(path.join("ours.pem"), &ours).unwrap();
    std::fs::copy(path.join("strangers.pem"), &strangers).unwrap();
    let Some(postgres) = Postgres::start_with_tls(files) else { return };
    let refused = |url: &str, trusted: Option<&Path>, words: &str| {
        let mut command = realfill();
        command.args(["serve", "--port", "0", "--queue", url, "--data-dir"]).arg(folder.path().join("refused"));
        match trusted {
            Some(file) => command.env("PGSSLROOTCERT", file),
            None => command.env_remove("PGSSLROOTCERT"),
        };
        command.assert().code(2).stderr(contains(words));
    };
    for parameters in ["", "?sslmode=require"] {
        let url = postgres.tls_url("localhost", parameters);
        refused(&url, None, "UnknownIssuer");
        refused(&url, Some(&strangers), "UnknownIssuer");
        refused(&url, Some(&folder.path().join("missing.pem")), "missing.pem");
        refused(&postgres.tls_url("127.0.0.1", parameters), Some(&ours), "not valid for name");
        let options = ["--queue", url.as_str()];
        let trusting = [("PGSSLROOTCERT", ours.to_str().unwrap())];
        let server = Server::start_with(&folder.path().join("trusting"), &options, &trusting);
        assert_eq!(server.get("/readyz").status, 200);
        let connections = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                           WHERE application_name = 'realfill'";
        assert_eq!(postgres.ask(connections), "t", "a connection is not encrypted");
    }
    let plain = postgres.tls_url("localhost", "?sslmode=disable");
    let server = Server::start_with(&folder.path().join("plain"), &["--queue", &plain], &[]);
    assert_eq!(server.get("/readyz").status, 200);
}
