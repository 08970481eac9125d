//! What the server has and how it is.

use crate::Shared;
use crate::access::Owner;
use crate::config::Offer;
use crate::problem::{Answer, Problem};
use crate::store::Job;
use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// A model or device that jobs may name.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OfferView {
    /// Its name in requests.
    pub name: String,
    /// A few words about it.
    pub words: String,
}

fn views(offers: &[Offer]) -> Json<Vec<OfferView>> {
    Json(offers.iter().map(|offer| OfferView { name: offer.name.clone(), words: offer.words.clone() }).collect())
}

/// Models that jobs may name; the first is the default
#[utoipa::path(get, path = "/v1/models", tag = "about", responses((status = 200, body = Vec<OfferView>), (status = 401, body = Problem)))]
pub async fn models(State(server): State<Shared>, _: Owner) -> Json<Vec<OfferView>> {
    views(&server.config.models)
}

/// Devices that jobs may name; the first is the default
#[utoipa::path(get, path = "/v1/devices", tag = "about", responses((status = 200, body = Vec<OfferView>), (status = 401, body = Problem)))]
pub async fn devices(State(server): State<Shared>, _: Owner) -> Json<Vec<OfferView>> {
    views(&server.config.devices)
}

/// Whether the process answers
#[utoipa::path(get, path = "/healthz", tag = "about", security(()), responses((status = 200, content_type = "text/plain", body = String)))]
pub async fn healthy() -> &'static str {
    "ok\n"
}

/// Whether jobs can be taken: the database answers, the data folder can be written to, and the storage answers
#[utoipa::path(
    get, path = "/readyz", tag = "about", security(()),
    responses((status = 200, content_type = "text/plain", body = String), (status = 503, body = Problem)),
)]
pub async fn ready(State(server): State<Shared>) -> Answer<&'static str> {
    server.store.run(Job::counts).await?;
    server.storage.try_it().await.map(|()| "ready\n")
}

/// Counters in Prometheus' text format
#[utoipa::path(
    get, path = "/metrics", tag = "about",
    responses((status = 200, content_type = "text/plain; version=0.0.4", body = String), (status = 401, body = Problem)),
)]
pub async fn metrics(State(server): State<Shared>, _: Owner) -> Answer<Response> {
    let jobs = server.store.run(Job::counts).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], server.metrics.text(&jobs)).into_response())
}
