//! Scenes: what photos a job works on.

use super::FileResponse;
use super::creation::Creation;
use super::read::{At, key_in, send_file};
use crate::Shared;
use crate::access::Owner;
use crate::decoding::decode;
use crate::example;
use crate::form::{Form, MORE_BYTES};
use crate::id::Id;
use crate::pictures::{check, check_mask};
use crate::problem::{Answer, Problem, to_its_end};
use crate::storage::Place;
use crate::store::{ScenePhoto, StoredScene, unix_now};
use crate::upload::{Received, broken_off, check_scene, receive, receive_scene, too_large};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::sync::atomic::Ordering::Relaxed;
use utoipa::ToSchema;

/// A scene.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SceneView {
    /// Its name in paths and requests.
    pub id: Id,
    /// What people call it.
    pub name: String,
    /// When it was made, in seconds since 1970.
    pub created: i64,
    /// Whether the target's own transparency marks a hole, so that no mask is needed.
    pub has_hole: bool,
    /// Its pictures: the target first.
    pub photos: Vec<ScenePhoto>,
}

impl From<StoredScene> for SceneView {
    fn from(scene: StoredScene) -> Self {
        let StoredScene { id, name, created, has_hole, photos, .. } = scene;
        Self { id, name, created, has_hole, photos }
    }
}

/// The form of a new scene.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only its description is used")]
pub struct SceneForm {
    /// The photo to complete: JPEG, PNG, WebP, TIFF, AVIF, JPEG XL or BMP.
    #[schema(value_type = String, format = Binary)]
    target: Vec<u8>,
    /// What is missing: white = fill, at the target's size. May be sent later, or left out where the photo is widened or
    /// has transparent parts.
    #[schema(value_type = Option<String>, format = Binary)]
    mask: Option<Vec<u8>>,
    /// Other photos of the same place, one to five: one field each.
    #[schema(value_type = Vec<String>, format = Binary)]
    reference: Vec<Vec<u8>>,
    /// What to call the scene.
    name: Option<String>,
}

/// The scene of an id, if it is this owner's; it is used then.
///
/// # Errors
/// 404.
pub async fn find(server: &Shared, owner: &Owner, id: &Id) -> Answer<StoredScene> {
    let (name, id) = (owner.0.clone(), id.clone());
    let finding = server.store.run(move |db| {
        let found = StoredScene::find(db, &name, &id)?;
        if found.is_some() {
            StoredScene::touch(db, &id)?;
        }
        Ok(found)
    });
    finding.await?.ok_or_else(|| Problem::not_found("scene"))
}

/// All scenes, the newest first
#[utoipa::path(get, path = "/v1/scenes", tag = "scenes", responses((status = 200, body = Vec<SceneView>), (status = 401, body = Problem)))]
pub async fn list(State(server): State<Shared>, owner: Owner) -> Answer<Json<Vec<SceneView>>> {
    let scenes = server.store.run(move |db| StoredScene::list(db, &owner.0)).await?;
    Ok(Json(scenes.into_iter().map(SceneView::from).collect()))
}

/// Upload a scene
#[utoipa::path(
    post, path = "/v1/scenes", tag = "scenes",
    params(("Idempotency-Key" = Option<String>, Header, description = "Sent again with the same content, it makes nothing new")),
    request_body(content = SceneForm, content_type = "multipart/form-data"),
    responses(
        (status = 201, body = SceneView), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 408, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem),
        (status = 422, body = Problem), (status = 429, body = Problem), (status = 503, body = Problem),
    ),
)]
pub async fn create(
    State(server): State<Shared>,
    owner: Owner,
    headers: HeaderMap,
    request: Request,
) -> Answer<Response> {
    let (key, most) = (key_in(&headers)?, server.config.limits.upload_bytes);
    let form = Form::of(request, most).await.map_err(|_| {
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "a scene is sent as multipart/form-data with a boundary")
    })?;
    check_length(&headers, most)?;
    check_room(&server, &owner).await?;
    let received = receive_scene(form, &server).await?;
    keep(server, owner, key, received).await
}

/// Make a scene of the built-in example photos
#[utoipa::path(
    post, path = "/v1/scenes/example", tag = "scenes",
    responses((status = 201, body = SceneView), (status = 401, body = Problem), (status = 429, body = Problem)),
)]
pub async fn create_example(State(server): State<Shared>, owner: Owner) -> Answer<Response> {
    check_room(&server, &owner).await?;
    let mut received = Received::begin(&server)?;
    example::fill(&mut received)?;
    keep(server, owner, None, received).await
}

/// 413 before anything is read, where the length is known to be too much.
fn check_length(headers: &HeaderMap, most: u64) -> Answer<()> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    match length {
        Some(length) if length > most + MORE_BYTES => {
            Err(Problem::too_large(format!("the upload is {} MB; this server takes {}", length >> 20, most >> 20)))
        }
        _ => Ok(()),
    }
}

/// 429 before anything is read; what is added by others meanwhile is counted when the row is.
async fn check_room(server: &Shared, owner: &Owner) -> Answer<()> {
    let (name, most) = (owner.0.clone(), server.config.limits.scenes);
    server.store.run(move |db| StoredScene::check_room(db, &name, most)).await
}

/// Checks what came, and keeps it.
async fn keep(server: Shared, owner: Owner, key: Option<String>, received: Received) -> Answer<Response> {
    let creation = Creation::new(&owner, key, format!("scene {}", received.content));
    let id = match creation.made(&server).await? {
        Some(id) => id,
        None => keep_new(&server, &owner, creation, received).await?,
    };
    let scene = find(&server, &owner, &id).await?;
    Ok((StatusCode::CREATED, Json(SceneView::from(scene))).into_response())
}

async fn keep_new(server: &Shared, owner: &Owner, creation: Creation, received: Received) -> Answer<Id> {
    let shared = server.clone();
    let checking = decode(server, move || check_scene(&received, &shared).map(|found| (received, found)));
    let (received, (photos, has_hole)) = checking.await?;
    let name = received.name.clone().unwrap_or_else(|| photos[0].name.clone());
    let bytes = photos.iter().map(|photo| photo.bytes).sum::<u64>();
    let scene = StoredScene { id: Id::random(), owner: owner.0.clone(), name, created: unix_now(), has_hole, photos };
    let (id, place, most) = (scene.id.clone(), Place::Scene(scene.id.clone()), server.config.limits.scenes);
    let keeping = creation.keep(server, received.folder, place, move |db, files| {
        db.alone()?;
        StoredScene::check_room(db, &scene.owner, most)?;
        scene.insert(db, files.as_ref())
    });
    let made = keeping.await?;
    if made == id {
        server.metrics.uploaded_bytes.fetch_add(bytes, Relaxed);
    }
    Ok(made)
}

/// One scene
#[utoipa::path(
    get, path = "/v1/scenes/{id}", tag = "scenes", params(("id" = Id, Path)),
    responses((status = 200, body = SceneView), (status = 401, body = Problem), (status = 404, body = Problem)),
)]
pub async fn read(State(server): State<Shared>, owner: Owner, at: At) -> Answer<Json<SceneView>> {
    Ok(Json(find(&server, &owner, &at.id).await?.into()))
}

/// Remove a scene with its jobs and results
#[utoipa::path(
    delete, path = "/v1/scenes/{id}", tag = "scenes", params(("id" = Id, Path)),
    responses(
        (status = 204), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "One of its jobs runs"),
    ),
)]
pub async fn remove(State(server): State<Shared>, owner: Owner, at: At) -> Answer<StatusCode> {
    find(&server, &owner, &at.id).await?;
    match to_its_end(async move { server.remove_scene(&at.id, None).await }).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::conflict("a job of this scene runs; stop it first")),
    }
}

/// Send the mask of a scene, in place of one that it has
///
/// White = fill. Jobs that exist already keep the mask that they were made with.
#[utoipa::path(
    put, path = "/v1/scenes/{id}/mask", tag = "scenes", params(("id" = Id, Path)),
    request_body(content = Vec<u8>, content_type = "image/png", description = "A picture of the target's size"),
    responses(
        (status = 200, body = SceneView), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 408, body = Problem), (status = 413, body = Problem), (status = 422, body = Problem),
    ),
)]
pub async fn put_mask(State(server): State<Shared>, owner: Owner, at: At, request: Request) -> Answer<Json<SceneView>> {
    let mut scene = find(&server, &owner, &at.id).await?;
    let limits = server.config.limits;
    check_length(request.headers(), limits.file_bytes)?;
    let passing = server.storage.folder.passing()?;
    let path = passing.path().join("mask");
    let pieces = request.into_body().into_data_stream().map(|piece| piece.map_err(|_| broken_off()));
    let mut hash = Sha256::new();
    let refusal = too_large("the mask", limits.file_bytes);
    let receiving = receive(pieces, &path, limits.file_bytes, refusal, &mut hash, &server);
    tokio::time::timeout(limits.upload, receiving).await.map_err(|_| crate::upload::too_slow())??;
    let target = scene.photo("target").cloned().ok_or_else(|| Problem::ours("a scene without a target"))?;
    let checking = decode(&server, move || {
        let checked = check(&path, "mask", "the mask", &limits)?;
        check_mask(&checked.photo, &target).map(|()| checked.about)
    });
    let about = checking.await?;
    let keeping = async move {
        let file = format!("mask.{}", about.extension);
        server.storage.put(&scene.id, &file, &passing.path().join(&file)).await?;
        scene.photos.retain(|photo| photo.role != "mask");
        scene.photos.insert(1, about);
        let (id, photos) = (scene.id.clone(), scene.photos.clone());
        server.store.run(move |db| StoredScene::set_photos(db, &id, &photos)).await?;
        Ok::<_, Problem>(Json(SceneView::from(scene)))
    };
    to_its_end(keeping).await
}

/// Remove the mask of a scene, to widen the photo only
#[utoipa::path(
    delete, path = "/v1/scenes/{id}/mask", tag = "scenes", params(("id" = Id, Path)),
    responses((status = 204), (status = 401, body = Problem), (status = 404, body = Problem)),
)]
pub async fn remove_mask(State(server): State<Shared>, owner: Owner, at: At) -> Answer<StatusCode> {
    let scene = find(&server, &owner, &at.id).await?;
    let mask = scene.photo("mask").ok_or_else(|| Problem::not_found("mask"))?;
    let file = format!("mask.{}", mask.extension);
    let photos: Vec<ScenePhoto> = scene.photos.iter().filter(|photo| photo.role != "mask").cloned().collect();
    let taking = async move {
        let id = scene.id.clone();
        server.store.run(move |db| StoredScene::set_photos(db, &id, &photos)).await?;
        server.storage.take(&scene.id, &file).await
    };
    to_its_end(taking).await.map(|()| StatusCode::NO_CONTENT)
}

/// A picture of a scene as it was uploaded
#[utoipa::path(
    get, path = "/v1/scenes/{id}/photos/{role}", tag = "scenes",
    params(("id" = Id, Path), ("role" = String, Path, description = "`target`, `mask`, or `ref-1` to `ref-5`")),
    responses((status = 200, content_type = "image/*", body = Vec<u8>), (status = 401, body = Problem), (status = 404, body = Problem)),
)]
pub async fn photo(State(server): State<Shared>, owner: Owner, at: At, request: Request) -> Answer<FileResponse> {
    let scene = find(&server, &owner, &at.id).await?;
    let photo = scene.photo(&at.last).ok_or_else(|| Problem::not_found("photo"))?;
    let file = format!("{}.{}", photo.role, photo.extension);
    send_file(&server, &Place::Scene(at.id), &file, &photo.name, request).await
}

/// A picture of a scene as a small upright JPEG
///
/// The target's longest side is 2048 pixels at most, a reference's 640.
#[utoipa::path(
    get, path = "/v1/scenes/{id}/previews/{role}", tag = "scenes",
    params(("id" = Id, Path), ("role" = String, Path, description = "`target`, or `ref-1` to `ref-5`")),
    responses((status = 200, content_type = "image/jpeg", body = Vec<u8>), (status = 401, body = Problem), (status = 404, body = Problem)),
)]
pub async fn preview(State(server): State<Shared>, owner: Owner, at: At, request: Request) -> Answer<FileResponse> {
    let scene = find(&server, &owner, &at.id).await?;
    let photo = scene.photo(&at.last).ok_or_else(|| Problem::not_found("photo"))?;
    let name = format!("preview-{}.jpg", photo.role);
    send_file(&server, &Place::Scene(at.id), &name, &name, request).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::router;
    use crate::test_server::{put, server};
    use axum::body::Body;
    use futures_util::stream;
    use std::io::Error;
    use tower_service::Service;

    #[tokio::test]
    async fn a_mask_that_breaks_off_is_to_be_sent_again() {
        let root = tempfile::tempdir().unwrap();
        let server = server(root.path()).await;
        let (scene, _) = put(&server).await;
        let pieces = stream::iter([Ok("half of it"), Err(Error::other("the network is gone"))]);
        let request = axum::http::Request::put(format!("/v1/scenes/{scene}/mask")).header(header::HOST, "localhost");
        let answer = router(server).call(request.body(Body::from_stream(pieces)).unwrap()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::REQUEST_TIMEOUT);
    }
}
