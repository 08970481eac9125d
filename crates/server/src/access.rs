//! Who asks: a bearer token, compared in constant time, tells whose scenes are seen. Without tokens everybody is one.

use crate::Shared;
use crate::problem::Problem;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The tokens' hashes: the tokens themselves are kept nowhere.
#[derive(Clone, Debug)]
pub struct Tokens(Vec<[u8; 32]>);

/// Whom a scene or job belongs to: `all` without tokens, else the token's hash in hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner(pub String);

/// The one owner where there are no tokens.
const EVERYBODY: &str = "all";

impl Tokens {
    /// Of these tokens.
    pub fn new(tokens: &[String]) -> Self {
        Self(tokens.iter().map(|token| hash(token.as_bytes())).collect())
    }

    /// Who the header's value says it is. All tokens are compared, so that the time tells nothing.
    pub fn owner(&self, authorization: Option<&str>) -> Option<Owner> {
        if self.0.is_empty() {
            return Some(Owner(EVERYBODY.into()));
        }
        let (scheme, token) = authorization?.split_once(' ')?;
        let given = hash(token.trim().as_bytes());
        let matches = self.0.iter().fold(0, |found, known| found | known.ct_eq(&given).unwrap_u8());
        (scheme.eq_ignore_ascii_case("bearer") && matches == 1).then(|| Owner(hexadecimal(&given)))
    }
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Bytes as hexadecimal digits.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl FromRequestParts<Shared> for Owner {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, server: &Shared) -> Result<Self, Problem> {
        let given = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        server.tokens.owner(given).ok_or_else(|| {
            let what = if given.is_some() { "this token is not known" } else { "no token was given" };
            Problem::new(
                StatusCode::UNAUTHORIZED,
                format!("{what}; send `Authorization: Bearer TOKEN` with a token of the server's --token-file"),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_known_token_is_somebody() {
        let tokens = Tokens::new(&["first-token-of-two".into(), "second-token-of-two".into()]);
        let first = tokens.owner(Some("Bearer first-token-of-two")).unwrap();
        assert_eq!(tokens.owner(Some("bearer first-token-of-two")), Some(first.clone()));
        assert_ne!(tokens.owner(Some("Bearer second-token-of-two")), Some(first));
        for wrong in [None, Some(""), Some("Bearer"), Some("Bearer x"), Some("Basic first-token-of-two")] {
            assert_eq!(tokens.owner(wrong), None, "{wrong:?}");
        }
        assert_eq!(Tokens::new(&[]).owner(None), Some(Owner(EVERYBODY.into())));
    }
}
