//! Jobs: created, watched, stopped, gone on with.

use super::creation::Creation;
use super::read::{At, Body, key_in};
use super::scenes;
use crate::Shared;
use crate::access::{Owner, hexadecimal};
use crate::decoding::decode;
use crate::feed::{Standing, locked};
use crate::id::Id;
use crate::pictures;
use crate::problem::{Answer, Problem, to_its_end};
use crate::request::JobRequest;
use crate::storage::{Local, Place};
use crate::store::{Job, JobState, NewJob, ScenePhoto, StoredScene};
use crate::worker::{MASK, OUTPUT, SETTINGS};
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use image::ImageFormat;
use realfill_vision::Photo;
use realfill_vision::canvas::CanvasError;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use tempfile::TempDir;
use utoipa::{IntoParams, ToSchema};

/// A job.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct JobView {
    /// Its name in paths.
    pub id: Id,
    /// The scene it completes.
    pub scene: Id,
    /// Where it stands.
    pub state: JobState,
    /// Whether it was asked to stop and has not yet.
    pub stopping: bool,
    /// When it was made, in seconds since 1970.
    pub created: i64,
    /// When its state changed.
    pub changed: i64,
    /// What was asked for.
    pub request: JobRequest,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Jobs that come before it, while it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ahead: Option<u64>,
    /// How far it is, while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<Standing>,
}

/// Which jobs to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct Which {
    /// Those of this scene only.
    pub scene: Option<Id>,
}

async fn view(server: &Shared, job: Job) -> Answer<JobView> {
    let ahead = match job.state {
        JobState::Waiting => {
            let id = job.id.clone();
            Some(server.store.run(move |db| Job::ahead(db, &id)).await?)
        }
        _ => None,
    };
    Ok(JobView {
        progress: standing(server, &job),
        request: serde_json::from_str(&job.request).map_err(Problem::ours)?,
        stopping: job.state == JobState::Running && job.to_stop,
        ahead,
        id: job.id,
        scene: job.scene,
        state: job.state,
        created: job.created,
        changed: job.changed,
        error: job.error,
    })
}

/// How far a running job is: its worker tells the database, or is in this process.
fn standing(server: &Shared, job: &Job) -> Option<Standing> {
    match server.store.keeps_events() {
        _ if job.state != JobState::Running => None,
        true => serde_json::from_str(job.standing.as_deref()?).ok(),
        false => server.feeds.held(&job.id)?.standing(),
    }
}

/// The job of an id, if it is this owner's.
///
/// # Errors
/// 404.
pub async fn find(server: &Shared, owner: &Owner, id: &Id) -> Answer<Job> {
    let (name, id) = (owner.0.clone(), id.clone());
    server.store.run(move |db| Job::find(db, &name, &id)).await?.ok_or_else(|| Problem::not_found("job"))
}

/// Jobs, the newest first, at most 1000
#[utoipa::path(
    get, path = "/v1/jobs", tag = "jobs", params(Which),
    responses((status = 200, body = Vec<JobView>), (status = 400, body = Problem), (status = 401, body = Problem)),
)]
pub async fn list(
    State(server): State<Shared>,
    owner: Owner,
    which: Result<Query<Which>, QueryRejection>,
) -> Answer<Json<Vec<JobView>>> {
    let Query(Which { scene }) = which.map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error.body_text()))?;
    let jobs = server.store.run(move |db| Job::list(db, &owner.0, scene.as_ref())).await?;
    let mut views = Vec::with_capacity(jobs.len());
    for job in jobs {
        views.push(view(&server, job).await?);
    }
    Ok(Json(views))
}

/// Create a job
#[utoipa::path(
    post, path = "/v1/jobs", tag = "jobs",
    params(("Idempotency-Key" = Option<String>, Header, description = "Sent again with the same content, it makes nothing new")),
    request_body = JobRequest,
    responses(
        (status = 201, body = JobView), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem), (status = 413, body = Problem),
        (status = 415, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem), (status = 503, body = Problem),
    ),
)]
pub async fn create(
    State(server): State<Shared>,
    owner: Owner,
    headers: HeaderMap,
    Body(request): Body<JobRequest>,
) -> Answer<Response> {
    let key = key_in(&headers)?;
    let text = serde_json::to_string(&request).map_err(Problem::ours)?;
    let content = format!("job {}", hexadecimal(&Sha256::digest(&text)));
    let creation = Creation::new(&owner, key, content);
    let id = match creation.made(&server).await? {
        Some(id) => id,
        None => create_new(&server, &owner, creation, &request, text).await?,
    };
    let job = find(&server, &owner, &id).await?;
    Ok((StatusCode::CREATED, Json(view(&server, job).await?)).into_response())
}

async fn create_new(
    server: &Shared,
    owner: &Owner,
    creation: Creation,
    request: &JobRequest,
    text: String,
) -> Answer<Id> {
    request.check(&server.config)?;
    let scene = scenes::find(server, owner, &request.scene).await?;
    let mask = mask_for(server, owner, &scene, request).await?;
    check_fits(server, owner, &scene, request, mask.is_some()).await?;
    check_room(server, owner).await?;
    let made = prepared(server, request, mask.as_ref())?;
    check_losses(server, &scene, request, mask.is_some().then(|| made.path().join(MASK))).await?;
    let (id, owner, priority) = (Id::random(), owner.0.clone(), request.priority);
    let place = Place::Job(id.clone());
    let new = NewJob { id, owner, scene: scene.id, request: text, priority, files: None };
    let most = server.config.limits.jobs;
    let keeping = creation.keep(server, made, place, move |db, files| {
        db.alone()?;
        Job::check_room(db, &new.owner, most)?;
        Job::insert(db, &NewJob { files, ..new })
    });
    let kept = keeping.await;
    server.wake.notify_one();
    kept
}

/// The mask of a job to be: the scene's as it is now, or that of the job which `mask_of` names.
async fn mask_for(server: &Shared, owner: &Owner, scene: &StoredScene, request: &JobRequest) -> Answer<Option<Local>> {
    let Some(other) = &request.mask_of else {
        return match scene.photo("mask") {
            Some(mask) => picture(server, scene, mask).await.map(Some),
            None => Ok(None),
        };
    };
    if find(server, owner, other).await?.scene != scene.id {
        return Err(Problem::conflict("mask_of must be a job of the same scene"));
    }
    let mask = server.storage.file(&Place::Job(other.clone()), MASK).await?;
    if mask.is_none() {
        find(server, owner, other).await?; // it may have been deleted meanwhile, which is not the same as having none
    }
    Ok(mask)
}

/// Checks what only the scene can tell: that there is something to fill, the canvas's size and whether the format has room for it, and the adapter.
async fn check_fits(
    server: &Shared,
    owner: &Owner,
    scene: &StoredScene,
    request: &JobRequest,
    has_mask: bool,
) -> Answer<()> {
    let target = scene.photo("target").ok_or_else(|| Problem::ours("a scene without a target"))?;
    let canvas = request.canvas_request()?;
    let mut size = (target.width, target.height);
    if let Some(canvas) = &canvas {
        let grown = canvas.check(size);
        size = grown.map_err(|error| Problem::unusable(of_photo(error, &target.name).to_string()))?;
    }
    if let Some(format) = request.format {
        pictures::check_sides(size, &target.name, format)?;
    }
    if canvas.is_none() && !has_mask && !scene.has_hole {
        return Err(nothing_to_fill(scene, &target.name, request.mask_of.as_ref()));
    }
    let Some(other) = &request.adapter_of else { return Ok(()) };
    let job = find(server, owner, other).await?;
    let (files, adapter) = (server.storage.files(&Place::Job(other.clone())).await?, format!("{OUTPUT}/adapter/"));
    let has_adapter = files.iter().any(|(name, _)| name.starts_with(&adapter));
    match job.scene == scene.id && job.state == JobState::Done && has_adapter {
        true => Ok(()),
        false => {
            Err(Problem::conflict("adapter_of must be a job of the same scene that is done and has learnt something"))
        }
    }
}

/// 422: neither a mask, nor transparency, nor a wider canvas.
fn nothing_to_fill(scene: &StoredScene, target: &str, mask_of: Option<&Id>) -> Problem {
    Problem::unusable(match mask_of {
        Some(job) => format!(
            "job {job} has no mask, so nothing of {target} is marked to be filled; leave `mask_of` out to fill the scene's mask, \
             or ask for a wider photo with `expand`"
        ),
        None => format!(
            "nothing of {target} is marked to be filled; send a mask to /v1/scenes/{}/mask, or ask for a wider photo with `expand`",
            scene.id
        ),
    })
}

/// The error with the photo's name.
fn of_photo(mut error: CanvasError, name: &str) -> CanvasError {
    match &mut error {
        CanvasError::Nothing { photo, .. }
        | CanvasError::Elsewhere { photo, .. }
        | CanvasError::TooLarge { photo, .. } => *photo = name.into(),
        _ => {}
    }
    error
}

/// Checks that the format holds all of the target, unless it need not. Whether it does is told by the pixels, so they are decoded
/// where the target's own format leaves room for doubt.
async fn check_losses(server: &Shared, scene: &StoredScene, request: &JobRequest, mask: Option<PathBuf>) -> Answer<()> {
    let Some(format) = request.format.filter(|_| !request.lossy_ok) else { return Ok(()) };
    let about = scene.photo("target").ok_or_else(|| Problem::ours("a scene without a target"))?;
    let own = ImageFormat::from_extension(&about.extension);
    if own == Some(ImageFormat::Jpeg) || own == Some(format.image()) {
        return Ok(()); // 8 bits without alpha go into every format
    }
    let target = picture(server, scene, about).await?;
    let name = about.name.clone();
    let checking = decode(server, move || {
        let open = |path: &PathBuf| Photo::open(path).map_err(Problem::ours);
        let (target, mask) = (open(&target.path)?, mask.as_ref().map(open).transpose()?);
        pictures::check_losses(&target, mask.as_ref(), &name, format)
    });
    checking.await
}

/// A picture's file.
async fn picture(server: &Shared, scene: &StoredScene, photo: &ScenePhoto) -> Answer<Local> {
    let (place, name) = (Place::Scene(scene.id.clone()), format!("{}.{}", photo.role, photo.extension));
    server.storage.file(&place, &name).await?.ok_or_else(|| Problem::not_found(&photo.role))
}

/// 429 before anything is prepared; what is added by others meanwhile is counted when the row is.
async fn check_room(server: &Shared, owner: &Owner) -> Answer<()> {
    let (name, most) = (owner.0.clone(), server.config.limits.jobs);
    server.store.run(move |db| Job::check_room(db, &name, most)).await
}

/// A job's folder: its settings in full, and a mask of its own.
fn prepared(server: &Shared, request: &JobRequest, mask: Option<&Local>) -> Answer<TempDir> {
    let made = server.storage.folder.passing()?;
    let settings = toml::to_string_pretty(&request.settings()?).map_err(Problem::ours)?;
    std::fs::write(made.path().join(SETTINGS), settings)?;
    if let Some(mask) = mask {
        std::fs::copy(&mask.path, made.path().join(MASK))?;
    }
    Ok(made)
}

/// One job
#[utoipa::path(
    get, path = "/v1/jobs/{id}", tag = "jobs", params(("id" = Id, Path)),
    responses((status = 200, body = JobView), (status = 401, body = Problem), (status = 404, body = Problem)),
)]
pub async fn read(State(server): State<Shared>, owner: Owner, at: At) -> Answer<Json<JobView>> {
    let job = find(&server, &owner, &at.id).await?;
    Ok(Json(view(&server, job).await?))
}

/// Remove a job and its results
#[utoipa::path(
    delete, path = "/v1/jobs/{id}", tag = "jobs", params(("id" = Id, Path)),
    responses(
        (status = 204), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "It runs, or a job that waits or runs takes what it has learnt"),
    ),
)]
pub async fn remove(State(server): State<Shared>, owner: Owner, at: At) -> Answer<StatusCode> {
    find(&server, &owner, &at.id).await?;
    to_its_end(async move { remove_whole(&server, at.id).await }).await.map(|()| StatusCode::NO_CONTENT)
}

/// Removes a job's row and files.
async fn remove_whole(server: &Shared, job: Id) -> Answer<()> {
    let id = job.clone();
    let removing = server.store.run(move |db| match Job::needed_by(db, &id)? {
        Some(other) => Ok(Err(other)),
        None => Job::remove(db, &id).map(Ok),
    });
    match removing.await? {
        Ok(true) => {}
        Ok(false) => return Err(Problem::conflict("the job runs; stop it first")),
        Err(other) => {
            let detail = format!("job {other} waits or runs, and takes what this job has learnt; stop that one first");
            return Err(Problem::conflict(detail));
        }
    }
    server.tell_removed(&job);
    server.storage.remove(&Place::Job(job)).await
}

/// Stop a job
///
/// A running one stops after its step, or in the middle of a dear one, and keeps its last checkpoint: see `resume`.
#[utoipa::path(
    post, path = "/v1/jobs/{id}/cancel", tag = "jobs", params(("id" = Id, Path)),
    responses(
        (status = 202, body = JobView), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "It has ended already"),
    ),
)]
pub async fn cancel(State(server): State<Shared>, owner: Owner, at: At) -> Answer<Response> {
    let before = find(&server, &owner, &at.id).await?;
    if before.state.rests() {
        return Err(Problem::conflict(format!("the job is {} and cannot be stopped", before.state.name())));
    }
    let id = at.id.clone();
    if server.store.run(move |db| Job::stop(db, &id)).await? == JobState::Stopped {
        server.tell_state(&at.id, JobState::Stopped, None);
    }
    if let Some(stop) = locked(&server.stops).get(&at.id) {
        stop.notify_one();
    }
    let job = find(&server, &owner, &at.id).await?;
    Ok((StatusCode::ACCEPTED, Json(view(&server, job).await?)).into_response())
}

/// Go on with a stopped or failed job from its checkpoint
#[utoipa::path(
    post, path = "/v1/jobs/{id}/resume", tag = "jobs", params(("id" = Id, Path)),
    responses(
        (status = 202, body = JobView), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "It is neither stopped nor failed"), (status = 429, body = Problem),
    ),
)]
pub async fn resume(State(server): State<Shared>, owner: Owner, at: At) -> Answer<Response> {
    let before = find(&server, &owner, &at.id).await?;
    let (id, most) = (at.id.clone(), server.config.limits.jobs);
    if !server.store.run(move |db| Job::resume(db, &id, most)).await? {
        return Err(Problem::conflict(format!(
            "the job is {}; only a stopped or failed one can be resumed",
            before.state.name()
        )));
    }
    server.tell_state(&at.id, JobState::Waiting, None);
    server.wake.notify_one();
    let job = find(&server, &owner, &at.id).await?;
    Ok((StatusCode::ACCEPTED, Json(view(&server, job).await?)).into_response())
}
