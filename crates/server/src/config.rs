//! What the server is told once, when it starts.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// How to serve.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen. Anything but a loopback address needs `tokens`.
    pub address: SocketAddr,
    /// Where scenes, jobs and the queue are kept.
    pub data_folder: PathBuf,
    /// The URL of a PostgreSQL database in place of the queue in the data folder. Jobs are then run by [`crate::work`].
    pub queue: Option<String>,
    /// The URL of a bucket (`s3://BUCKET/PREFIX`) in place of the data folder, for scenes and jobs.
    pub storage: Option<String>,
    /// Who may use it: one bearer token a person. Empty: everybody who reaches the (loopback) address.
    pub tokens: Vec<String>,
    /// Names, beside addresses and `localhost`, by which the server may be called (`Host`).
    pub hosts: Vec<String>,
    /// The program that runs jobs: `realfill` itself.
    pub program: PathBuf,
    /// Models that jobs may name; the first is the default.
    pub models: Vec<Offer>,
    /// Devices that jobs may name; the first is the default.
    pub devices: Vec<Offer>,
    /// What is too much.
    pub limits: Limits,
    /// Scenes that nothing was done with for so long are removed; `None` keeps them.
    pub keep: Option<Duration>,
}

/// A model or device that jobs may name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The name in requests.
    pub name: String,
    /// What the command line is given for it.
    pub argument: String,
    /// A few words for a person.
    pub words: String,
}

/// What one request or person may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one photo.
    pub file_bytes: u64,
    /// Bytes of a whole upload.
    pub upload_bytes: u64,
    /// Megapixels of one photo.
    pub megapixels: u64,
    /// Scenes that one person keeps.
    pub scenes: u64,
    /// Jobs of one person that wait or run.
    pub jobs: u64,
    /// Connections at a time.
    pub connections: usize,
    /// Time between two pieces of an upload.
    pub idle: Duration,
    /// Time for a whole upload.
    pub upload: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: 64 << 20,
            upload_bytes: 256 << 20,
            megapixels: 60,
            scenes: 200,
            jobs: 20,
            connections: 1024,
            idle: Duration::from_secs(15),
            upload: Duration::from_secs(300),
        }
    }
}

/// Why the server did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An open address without tokens.
    #[error(
        "{0} can be reached from other machines, so tokens are needed: give --token-file FILE with a token of 16 or more \
         characters on each line, or leave out --host to serve this machine only"
    )]
    NoTokens(IpAddr),
    /// A token that could be guessed.
    #[error("a token has {0} characters; give each at least 16, such as the output of `openssl rand -hex 24`")]
    ShortToken(usize),
    /// The address cannot be had.
    #[error("cannot listen on {address}: {source}; choose another --port")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The data folder cannot be used.
    #[error("cannot use the data folder {}: {reason}; name another with --data-dir", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Another server has it.
    #[error("another server uses the data folder {}; stop that one, or name another with --data-dir", .0.display())]
    InUse(PathBuf),
    /// The queue's database cannot be used.
    #[error("cannot use the queue {}: {reason}; --queue needs a URL such as postgres://user:password@host/name", without_password(.url))]
    Queue {
        /// Its URL.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// The bucket cannot be used.
    #[error(
        "cannot use the storage {url}: {reason}; --storage needs a URL such as s3://bucket/prefix, and AWS_ACCESS_KEY_ID, \
         AWS_SECRET_ACCESS_KEY, AWS_REGION and, for a server other than Amazon's, AWS_ENDPOINT_URL"
    )]
    Storage {
        /// Its URL.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// A worker without a queue that it could share.
    #[error("a worker needs the queue of its server; give both the same --queue postgres://…")]
    NoQueue,
    /// The system failed.
    #[error("the server cannot go on: {0}")]
    System(#[from] std::io::Error),
}

/// Shortest token.
const SHORTEST_TOKEN: usize = 16;

/// A URL for people: what is between `:` and `@` is nobody's business.
pub fn without_password(url: &str) -> String {
    let whole = || Some((url.split_once("://")?, url.rsplit_once('@')?));
    match whole() {
        Some(((scheme, rest), (_, place))) => {
            let user = rest.split([':', '@']).next().unwrap_or_default();
            format!("{scheme}://{user}@{place}")
        }
        None => url.to_owned(),
    }
}

impl Config {
    /// Checks what must not be so.
    ///
    /// # Errors
    /// An open address without tokens, or a token that is too short.
    pub fn check(&self) -> Result<(), ServeError> {
        if self.tokens.is_empty() && !self.address.ip().is_loopback() {
            return Err(ServeError::NoTokens(self.address.ip()));
        }
        match self.tokens.iter().find(|token| token.len() < SHORTEST_TOKEN) {
            Some(token) => Err(ServeError::ShortToken(token.len())),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_told() {
        for (url, told) in [
            ("postgres://me:secr@t@db.example/queue", "postgres://me@db.example/queue"),
            ("postgres://me@db.example/queue", "postgres://me@db.example/queue"),
            ("postgres://db.example/queue", "postgres://db.example/queue"),
            ("nonsense", "nonsense"),
        ] {
            assert_eq!(without_password(url), told);
        }
    }
}
