//! The web page, built from `web/` and kept in `assets/`, and the readable form of the OpenAPI document. Both are part of
//! the program and ask no other host for anything.

use crate::problem::{Answer, Problem};
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// A built file.
macro_rules! built {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/", $name))
    };
}

/// Name, media type and content of what the page loads.
const ASSETS: [(&str, &str, &[u8]); 4] = [
    ("app.js", "text/javascript; charset=utf-8", built!("app.js")),
    ("app.css", "text/css; charset=utf-8", built!("app.css")),
    ("docs.css", "text/css; charset=utf-8", built!("docs.css")),
    ("icon.svg", "image/svg+xml", built!("icon.svg")),
];

/// The page.
pub async fn index(headers: HeaderMap) -> Response {
    send("text/html; charset=utf-8", built!("index.html"), &headers)
}

/// What it loads.
pub async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Answer<Response> {
    let found = ASSETS.iter().find(|(known, ..)| *known == name);
    found.map(|(_, kind, content)| send(kind, content, &headers)).ok_or_else(|| Problem::not_found("file of the page"))
}

/// The content, or 304 where the browser has it.
fn send(kind: &'static str, content: &'static [u8], headers: &HeaderMap) -> Response {
    let tag = format!("\"{}\"", &crate::access::hexadecimal(&Sha256::digest(content))[..32]);
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let about = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")];
    match known {
        true => (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response(),
        false => (about, [(header::ETAG, tag)], content).into_response(),
    }
}

/// A page of HTML.
pub async fn html(text: String) -> Response {
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response()
}

/// The OpenAPI document as a page for people.
pub fn readable(document: &Value) -> String {
    let mut body = String::new();
    let info = &document["info"];
    let _ = write!(body, "<h1>{} HTTP API</h1><p>{}</p>", text(&info["title"]), text(&info["description"]));
    let _ = write!(
        body,
        "<p><a href=\"/openapi.json\">openapi.json</a> is the same for programs. <a href=\"/\">The web page</a></p>"
    );
    for (path, methods) in entries(&document["paths"]) {
        for (method, operation) in entries(methods) {
            write_operation(&mut body, path, method, operation);
        }
    }
    body.push_str("<h2>Schemas</h2>");
    for (name, schema) in entries(&document["components"]["schemas"]) {
        write_schema(&mut body, name, schema);
    }
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>RealFill HTTP API</title><link rel=\"stylesheet\" href=\"/assets/docs.css\">\
         <link rel=\"icon\" href=\"/assets/icon.svg\"></head><body><main>{body}</main></body></html>"
    )
}

fn write_operation(body: &mut String, path: &str, method: &str, operation: &Value) {
    let (method, path) = (method.to_uppercase(), escaped(path));
    let _ = write!(body, "<section><h2><b>{method}</b> <code>{path}</code></h2><p>{}</p>", text(&operation["summary"]));
    if operation["description"].is_string() {
        let _ = write!(body, "<p>{}</p>", text(&operation["description"]));
    }
    let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    let rows = parameters.iter().map(|parameter| {
        let words = text(&parameter["description"]);
        (
            format!("{} ({})", text(&parameter["name"]), text(&parameter["in"])),
            format!("{} {words}", kind(&parameter["schema"])),
        )
    });
    write_table(body, "Parameters", rows);
    let bodies = entries(&operation["requestBody"]["content"]);
    write_table(body, "Body", bodies.map(|(media, content)| (escaped(media), kind(&content["schema"]))));
    let answers = entries(&operation["responses"]).map(|(status, answer)| {
        let kinds: Vec<String> = entries(&answer["content"]).map(|(_, content)| kind(&content["schema"])).collect();
        (escaped(status), format!("{} {}", kinds.join(", "), text(&answer["description"])))
    });
    write_table(body, "Answers", answers);
    body.push_str("</section>");
}

fn write_schema(body: &mut String, name: &str, schema: &Value) {
    let name = escaped(name);
    let _ = write!(
        body,
        "<section id=\"{name}\"><h3>{name}</h3><p>{} {}</p>",
        kind_of_simple(schema),
        text(&schema["description"])
    );
    let rows = entries(&schema["properties"])
        .map(|(name, value)| (escaped(name), format!("{} {}", kind(value), text(&value["description"]))));
    write_table(body, "Fields", rows);
    body.push_str("</section>");
}

fn write_table(body: &mut String, title: &str, rows: impl Iterator<Item = (String, String)>) {
    let rows: String =
        rows.map(|(name, words)| format!("<tr><th scope=\"row\">{name}</th><td>{words}</td></tr>")).collect();
    if !rows.is_empty() {
        let _ = write!(body, "<table><caption>{title}</caption>{rows}</table>");
    }
}

/// A schema's type in a few words, with links.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
        return format!("<a href=\"#{0}\">{0}</a>", escaped(name));
    }
    if let Some(choices) = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array()) {
        return choices.iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    match schema["type"].as_str() {
        Some("array") => format!("list of {}", kind(&schema["items"])),
        _ => kind_of_simple(schema),
    }
}

fn kind_of_simple(schema: &Value) -> String {
    if let Some(values) = schema["enum"].as_array() {
        return values.iter().map(|value| format!("<code>{}</code>", text(value))).collect::<Vec<_>>().join(", ");
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        return choices.iter().map(kind_of_simple).collect::<Vec<_>>().join(", ");
    }
    match &schema["type"] {
        Value::Array(kinds) => kinds.iter().map(text).collect::<Vec<_>>().join(" or "),
        one => text(one),
    }
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn text(value: &Value) -> String {
    escaped(value.as_str().unwrap_or_default())
}

/// Text as HTML, with `code` between backticks.
fn escaped(text: &str) -> String {
    let plain = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    let parts = plain.split('`').enumerate();
    parts.map(|(i, part)| if i % 2 == 1 { format!("<code>{part}</code>") } else { part.to_owned() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readable_page_shows_every_path_and_asks_no_other_host() {
        let document = crate::api::document();
        assert_eq!(document["openapi"], "3.1.0");
        assert!(!document.to_string().contains("null,") && !document.to_string().contains("null}"), "{document}");
        let page = readable(&document);
        for path in ["/v1/scenes/{id}/mask", "/v1/jobs/{id}/events", "/metrics", "Idempotency-Key", "JobRequest"] {
            assert!(page.contains(path), "{path}");
        }
        assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("<script"));
    }

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(escaped("<b a=\"1\"> `x<y`"), "&lt;b a=&quot;1&quot;&gt; <code>x&lt;y</code>");
    }
}
