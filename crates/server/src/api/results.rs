//! What a finished job has made.

use super::FileResponse;
use super::jobs::find;
use super::read::{At, send_file, send_path};
use crate::Shared;
use crate::access::Owner;
use crate::id::Id;
use crate::problem::{Answer, Problem};
use crate::storage::{Local, Place};
use crate::store::{Job, JobState, StoredScene};
use crate::worker::OUTPUT;
use axum::Json;
use axum::extract::{Request, State};
use realfill::pipeline::Report;
use serde::Serialize;
use serde_json::Value;
use std::fs::File;
use std::path::Path;
use utoipa::ToSchema;

/// Folders in a job's output whose files are results.
const FOLDERS: [&str; 3] = ["candidates", "completions", "adapter"];

/// Files at the top of a job's output that are results, beside `completed.*`.
const FILES: [&str; 4] = ["fidelity.png", "fidelity.json", "sheet.png", "report.json"];

/// A finished job's results.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Results {
    /// The completed photo's place.
    #[schema(example = "/v1/jobs/0123456789abcdef0123456789abcdef/files/completed.jpg")]
    pub completed: String,
    /// Share of the hole that a reference supports, 0 to 1.
    pub supported_share: f64,
    /// The candidates, best first.
    pub candidates: Vec<CandidateView>,
    /// Every file: the completed photo, `fidelity.png`, `fidelity.json`, `sheet.png`, `report.json`, and those of candidates, completions
    /// (the photo as every other candidate would complete it) and adapter.
    pub files: Vec<FileView>,
    /// The model's settings, device and precision, seeds, versions, timings, losses and scores: `report.json`.
    #[schema(value_type = Object)]
    pub report: Value,
}

/// A candidate; what is no number, where the model drew none, is null.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CandidateView {
    /// 1 for the best.
    pub rank: usize,
    /// Its seed.
    pub seed: u64,
    /// Higher is better.
    pub score: Option<f64>,
    /// Verified correspondences with the references, as a share: 0 to 1.
    pub correspondences: f64,
    /// How many there are.
    pub verified: usize,
    /// Step across the hole's edge over that beside it; about 1 is invisible.
    pub seam: Option<f64>,
    /// Mean difference from what the guide trusts, 0 to 1.
    pub guide: Option<f64>,
    /// Distance from the candidates' mean, 0 to 1.
    pub apart: Option<f64>,
    /// Its picture at working size.
    pub picture: String,
    /// The photo as it would complete it, at the photo's own size.
    pub photo: Option<String>,
}

/// A file among the results.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FileView {
    /// Its name, with its folder.
    #[schema(example = "adapter/embedded.safetensors")]
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Where it is.
    pub href: String,
}

/// Results of a job
#[utoipa::path(
    get, path = "/v1/jobs/{id}/results", tag = "results", params(("id" = Id, Path)),
    responses(
        (status = 200, body = Results), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "It is not done"),
    ),
)]
pub async fn read(State(server): State<Shared>, owner: Owner, at: At) -> Answer<Json<Results>> {
    let job = finished(&server, &owner, &at.id).await?;
    results(&server, &job).await.map(Json)
}

/// Candidates of a job, best first
#[utoipa::path(
    get, path = "/v1/jobs/{id}/candidates", tag = "results", params(("id" = Id, Path)),
    responses((status = 200, body = Vec<CandidateView>), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)),
)]
pub async fn candidates(State(server): State<Shared>, owner: Owner, at: At) -> Answer<Json<Vec<CandidateView>>> {
    let job = finished(&server, &owner, &at.id).await?;
    Ok(Json(results(&server, &job).await?.candidates))
}

/// Files of what a job has learnt about the scene
#[utoipa::path(
    get, path = "/v1/jobs/{id}/adapter", tag = "results", params(("id" = Id, Path)),
    responses((status = 200, body = Vec<FileView>), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)),
)]
pub async fn adapter(State(server): State<Shared>, owner: Owner, at: At) -> Answer<Json<Vec<FileView>>> {
    let job = finished(&server, &owner, &at.id).await?;
    let mut files = listed(&server, &job).await?;
    files.retain(|file| file.name.starts_with("adapter/"));
    Ok(Json(files))
}

/// What a job has learnt about the scene as one file (tar)
///
/// Unpacked, its folder `adapter` is what `realfill sample --adapter` takes.
#[utoipa::path(
    get, path = "/v1/jobs/{id}/adapter.tar", tag = "results", params(("id" = Id, Path)),
    responses((status = 200, content_type = "application/x-tar", body = Vec<u8>), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)),
)]
pub async fn archive(State(server): State<Shared>, owner: Owner, at: At, request: Request) -> Answer<FileResponse> {
    let job = finished(&server, &owner, &at.id).await?;
    let mut files = Vec::new();
    for FileView { name, .. } in listed(&server, &job).await? {
        if name.starts_with("adapter/")
            && let Some(file) = server.storage.file(&Place::Job(job.id.clone()), &format!("{OUTPUT}/{name}")).await?
        {
            files.push((name, file));
        }
    }
    if files.is_empty() {
        return Err(Problem::not_found("adapter"));
    }
    let made = server.storage.folder.passing()?;
    let path = made.path().join("adapter.tar");
    let packing = path.clone();
    tokio::task::spawn_blocking(move || packed(&packing, &files)).await.map_err(Problem::ours)??;
    send_path(&path, "adapter.tar", request).await
}

/// Puts files into an archive; the same files give the same bytes.
fn packed(path: &Path, files: &[(String, Local)]) -> std::io::Result<()> {
    let mut archive = tar::Builder::new(File::create(path)?);
    archive.mode(tar::HeaderMode::Deterministic);
    for (name, file) in files {
        archive.append_path_with_name(&file.path, name)?;
    }
    archive.finish()
}

/// One file of the results
///
/// Only names that the results list are found; no name becomes a path.
#[utoipa::path(
    get, path = "/v1/jobs/{id}/files/{name}", tag = "results",
    params(("id" = Id, Path), ("name" = String, Path, description = "A name of the results' `files`, its `/` as `%2F`")),
    responses((status = 200, content_type = "application/octet-stream", body = Vec<u8>), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)),
)]
pub async fn file(State(server): State<Shared>, owner: Owner, at: At, request: Request) -> Answer<FileResponse> {
    let job = finished(&server, &owner, &at.id).await?;
    let known = listed(&server, &job).await?.into_iter().find(|file| file.name == at.last);
    let name = known.ok_or_else(|| Problem::not_found("file among the results"))?.name;
    send_file(&server, &Place::Job(job.id), &format!("{OUTPUT}/{name}"), &name.replace('/', "-"), request).await
}

/// A job whose results are there; its scene is used then.
async fn finished(server: &Shared, owner: &Owner, id: &Id) -> Answer<Job> {
    let job = find(server, owner, id).await?;
    if job.state != JobState::Done {
        let state = job.state.name();
        return Err(Problem::conflict(format!("the job is {state}, so there are no results yet")));
    }
    let scene = job.scene.clone();
    server.store.run(move |db| StoredScene::touch(db, &scene)).await?;
    Ok(job)
}

async fn results(server: &Shared, job: &Job) -> Answer<Results> {
    let report = server.storage.file(&Place::Job(job.id.clone()), &format!("{OUTPUT}/report.json")).await?;
    let text = std::fs::read(report.ok_or_else(|| Problem::ours("a finished job without its report"))?.path)?;
    let value: Value = serde_json::from_slice(&text).map_err(Problem::ours)?;
    let report: Report = serde_json::from_value(value.clone()).map_err(Problem::ours)?;
    let files = listed(server, job).await?;
    let href = |start: &str| files.iter().find(|file| file.name.starts_with(start)).map(|file| file.href.clone());
    let completed = href("completed.").ok_or_else(|| Problem::ours("a finished job without its photo"))?;
    let candidates = (1..).zip(&report.candidates).map(|(rank, judged)| CandidateView {
        rank,
        seed: judged.seed,
        score: judged.score,
        correspondences: judged.correspondences,
        verified: judged.verified,
        seam: judged.seam,
        guide: judged.guide,
        apart: judged.apart,
        picture: href(&format!("candidates/{rank:03}-")).unwrap_or_default(),
        photo: if rank == 1 { Some(completed.clone()) } else { href(&format!("completions/{rank:03}-")) },
    });
    let candidates = candidates.collect();
    Ok(Results { completed, supported_share: report.supported_share, candidates, files, report: value })
}

/// Every result that is there, by name.
async fn listed(server: &Shared, job: &Job) -> Answer<Vec<FileView>> {
    let is_result = |name: &str| match name.split_once('/') {
        None => FILES.contains(&name) || name.starts_with("completed."),
        Some((folder, _)) => FOLDERS.contains(&folder),
    };
    let all = server.storage.files(&Place::Job(job.id.clone())).await?;
    let output = format!("{OUTPUT}/");
    let found = all.into_iter().filter_map(|(name, bytes)| Some((name.strip_prefix(&output)?.to_owned(), bytes)));
    let found = found.filter(|(name, _)| is_result(name) && !name.ends_with(".tmp"));
    let view = |(name, bytes): (String, u64)| {
        let href = format!("/v1/jobs/{}/files/{}", job.id, name.replace('/', "%2F"));
        FileView { name, bytes, href }
    };
    Ok(found.map(view).collect())
}
