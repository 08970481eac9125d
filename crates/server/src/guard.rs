//! What every request passes: it must have come to a name of ours and from a page of ours (against DNS rebinding and
//! foreign pages), and every answer carries the headers that keep the page to itself.

use crate::problem::{MEDIA_TYPE, Problem};
use crate::{Shared, drain};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;

/// No script, style or picture but the page's own, no other host, no frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; \
                      form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// By which names the server may be called.
#[derive(Clone, Debug)]
pub struct Names {
    hosts: Vec<String>,
    loopback_only: bool,
}

impl Names {
    /// Of a server that listens on `address` and goes by `hosts` too.
    pub fn new(address: IpAddr, hosts: &[String]) -> Self {
        let hosts = hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
        Self { hosts, loopback_only: address.is_loopback() }
    }

    /// Whether `Host` may be so. A page that rebinds its own name to our address sends that name; an address cannot be
    /// rebound.
    fn knows(&self, authority: &str) -> bool {
        let host = host_of(authority).to_ascii_lowercase();
        if host == "localhost" || self.hosts.contains(&host) {
            return true;
        }
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        address.is_ok_and(|address| !self.loopback_only || address.is_loopback())
    }

    /// What is wrong with where a request comes from or goes to. Whoever follows a link on another site's page may visit: that page sees
    /// nothing of it.
    fn refuse(&self, method: &Method, headers: &HeaderMap) -> Option<Problem> {
        let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
        let Some(host) = text(header::HOST).filter(|host| self.knows(host)) else {
            let detail = "this server does not go by the name in `Host`; call it by its address, or start it with --allow-host NAME";
            return Some(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail));
        };
        let is_foreign = text(header::ORIGIN).is_some_and(|origin| !is_of_host(origin, host));
        let fetch = |name: &'static str| text(HeaderName::from_static(name)).unwrap_or_default();
        let crosses = fetch("sec-fetch-site") == "cross-site";
        let is_visit =
            method == Method::GET && fetch("sec-fetch-mode") == "navigate" && fetch("sec-fetch-dest") == "document";
        (is_foreign || crosses && !is_visit).then(|| {
            Problem::new(
                StatusCode::FORBIDDEN,
                "this request comes from another site's page, and only the server's own may ask",
            )
        })
    }
}

/// The host of `host:port`.
fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port))
            if port.bytes().all(|c| c.is_ascii_digit()) && (!host.contains(':') || host.ends_with(']')) =>
        {
            host
        }
        _ => authority,
    }
}

fn is_of_host(origin: &str, host: &str) -> bool {
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}

/// Refuses requests from elsewhere, counts, and dresses the answers.
pub async fn guard(State(server): State<Shared>, request: Request, next: Next) -> Response {
    let is_api = request.uri().path().starts_with("/v1");
    let waits_for_leave = request.headers().contains_key(header::EXPECT);
    let (parts, body) = request.into_parts();
    let body = drain::Shared::new(body);
    let mut response = match server.names.refuse(&parts.method, &parts.headers) {
        Some(problem) => problem.into_response(),
        None => as_problem(next.run(Request::from_parts(parts, Body::new(body.clone()))).await),
    };
    let is_refused = response.status().is_client_error() || response.status().is_server_error();
    if is_refused && !waits_for_leave {
        body.drain().await;
    }
    server.metrics.answered(response.status());
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if is_api {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// The framework's own refusals (wrong method, no such path, broken multipart) as problem documents too.
fn as_problem(response: Response) -> Response {
    let status = response.status();
    let is_told =
        response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes() == MEDIA_TYPE.as_bytes());
    if !(status.is_client_error() || status.is_server_error()) || is_told {
        return response;
    }
    let detail = match status {
        StatusCode::METHOD_NOT_ALLOWED => "this path does not take that method; the header Allow says which it takes",
        StatusCode::NOT_FOUND => "there is nothing at this path; /docs lists what there is",
        StatusCode::RANGE_NOT_SATISFIABLE => "the file has no such range",
        _ => "the request cannot be understood; /docs says what it should look like",
    };
    let mut told = Problem::new(status, detail).into_response();
    for name in [header::ALLOW, header::CONTENT_RANGE] {
        if let Some(value) = response.headers().get(&name) {
            told.headers_mut().insert(name, value.clone());
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::router;
    use crate::test_server::server;
    use futures_util::{StreamExt, stream};
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::Relaxed;
    use tower_service::Service;

    #[tokio::test]
    async fn an_upload_is_read_to_its_end_where_the_server_fails() {
        let root = tempfile::tempdir().unwrap();
        let server = server(root.path()).await;
        std::fs::remove_dir_all(root.path().join("data/passing")).unwrap(); // nothing can be put down
        let read = Arc::new(AtomicUsize::new(0));
        let counter = read.clone();
        let pieces = stream::iter(["one", "two", "three"]).map(move |piece| {
            counter.fetch_add(1, Relaxed);
            Ok::<_, Infallible>(piece)
        });
        let request = axum::http::Request::post("/v1/scenes")
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "multipart/form-data; boundary=b");
        let request = request.body(Body::from_stream(pieces)).unwrap();
        let answer = router(server).call(request).await.unwrap();
        assert_eq!((answer.status(), read.load(Relaxed)), (StatusCode::INTERNAL_SERVER_ERROR, 3));
    }

    #[test]
    fn only_own_names_and_addresses_are_known() {
        let local = Names::new("127.0.0.1".parse().unwrap(), &[]);
        for host in ["localhost", "LOCALHOST:7878", "127.0.0.1:1", "[::1]:7878", "[::1]"] {
            assert!(local.knows(host), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example:7878", "192.0.2.1", "", "127.0.0.1.evil.example"] {
            assert!(!local.knows(host), "{host}");
        }
        let open = Names::new("0.0.0.0".parse().unwrap(), &["photos.example".into()]);
        assert!(open.knows("192.0.2.1:7878") && open.knows("Photos.Example") && !open.knows("evil.example"));
    }

    #[test]
    fn an_origin_is_ours_only_with_host_and_port() {
        assert!(is_of_host("http://localhost:7878", "localhost:7878"));
        for origin in ["http://localhost:1", "http://evil.example", "null", "ftp://localhost:7878"] {
            assert!(!is_of_host(origin, "localhost:7878"), "{origin}");
        }
    }
}
