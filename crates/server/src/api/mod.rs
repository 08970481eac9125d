//! The routes under `/v1` and beside it. One module a resource; each handler carries its own part of the OpenAPI document.

mod about;
mod creation;
mod events;
mod jobs;
mod read;
mod results;
mod scenes;

use crate::Shared;
use crate::guard::guard;
use crate::page;
use crate::problem::{MEDIA_TYPE, Problem};
use axum::extract::{DefaultBodyLimit, State};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The frame of the OpenAPI document; the routes add themselves.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "RealFill",
        description = "Completes a photo with what its reference photos show was really there. Upload a scene, create a job, \
                       listen to its events, fetch its results. Errors are problem documents (RFC 9457). Where the server \
                       has tokens, every request to /v1 carries one.",
    ),
    security((), ("token" = [])),
    modifiers(&Bearer),
    components(schemas(Problem)),
)]
struct Frame;

struct Bearer;

/// The media type of server-sent events.
const EVENTS: &str = "text/event-stream";

impl Modify for Bearer {
    fn modify(&self, document: &mut Document) {
        let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        document.components.get_or_insert_default().add_security_scheme("token", scheme);
    }
}

/// The OpenAPI document and the routes, which say the same since they come from the same place.
fn documented() -> (Router<Shared>, Value) {
    let (routes, document) = OpenApiRouter::with_openapi(Frame::openapi())
        .routes(routes!(scenes::list, scenes::create))
        .routes(routes!(scenes::create_example))
        .routes(routes!(scenes::read, scenes::remove))
        .routes(routes!(scenes::put_mask, scenes::remove_mask))
        .routes(routes!(scenes::photo))
        .routes(routes!(scenes::preview))
        .routes(routes!(jobs::list, jobs::create))
        .routes(routes!(jobs::read, jobs::remove))
        .routes(routes!(jobs::cancel))
        .routes(routes!(jobs::resume))
        .routes(routes!(events::events))
        .routes(routes!(events::preview))
        .routes(routes!(results::read))
        .routes(routes!(results::candidates))
        .routes(routes!(results::adapter))
        .routes(routes!(results::archive))
        .routes(routes!(results::file))
        .routes(routes!(about::models))
        .routes(routes!(about::devices))
        .routes(routes!(about::healthy))
        .routes(routes!(about::ready))
        .routes(routes!(about::metrics))
        .split_for_parts();
    let mut document = serde_json::to_value(document).unwrap_or_default();
    for operation in operations(&mut document) {
        finish(operation);
    }
    (routes, document)
}

/// Every operation of a document.
fn operations(document: &mut Value) -> impl Iterator<Item = &mut Value> {
    let paths = document["paths"].as_object_mut().into_iter().flat_map(Map::values_mut);
    paths.filter_map(Value::as_object_mut).flat_map(Map::values_mut)
}

/// What all operations have in common: refusals are problem documents, any more of them too; and a stream of events has no
/// schema as a whole.
fn finish(operation: &mut Value) {
    let problem = json!({ "$ref": "#/components/schemas/Problem" });
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    for (status, response) in responses.iter_mut() {
        let Some(content) = response.get_mut("content").and_then(Value::as_object_mut) else { continue };
        if status.starts_with(['4', '5'])
            && let Some(body) = content.remove("application/json")
        {
            content.insert(MEDIA_TYPE.into(), body);
        }
        if content.contains_key(EVENTS) {
            content.insert(EVENTS.into(), json!({}));
        }
    }
    let other = json!({ "description": "Any other refusal", "content": { MEDIA_TYPE: { "schema": problem } } });
    responses.insert("default".into(), other);
}

/// The OpenAPI document.
#[cfg(test)]
pub fn document() -> Value {
    documented().1
}

/// Everything that is served.
pub fn router(server: Shared) -> Router {
    let (routes, document) = documented();
    let readable = page::readable(&document);
    routes
        .route("/openapi.json", get(move || std::future::ready(Json(document))))
        .route("/docs", get(move || page::html(readable)))
        .route("/", get(page::index))
        .route("/assets/{name}", get(page::asset))
        .fallback(nothing)
        .layer(DefaultBodyLimit::disable()) // uploads have limits of their own, and so has JSON
        .layer(from_fn_with_state(server.clone(), guard))
        .with_state(server)
}

async fn nothing(State(_): State<Shared>) -> Problem {
    Problem::not_found("path; /docs lists what there is")
}

/// The `Response` of a file, with a name for saving it.
type FileResponse = Response;
