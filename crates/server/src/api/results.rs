//! What a finished job has made.

use super::FileResponse;
use super::jobs::find;
use super::read::{At, send_file};
use crate::Shared;
use crate::access::Owner;
use crate::id::Id;
use crate::problem::{Answer, Problem};
use crate::store::{Job, JobState};
use crate::worker::OUTPUT;
use axum::Json;
use axum::extract::{Request, State};
use realfill::pipeline::Report;
use serde::Serialize;
use serde_json::Value;
use std::path::{Path, PathBuf};
use utoipa::ToSchema;

/// Folders in a job's output whose files are results.
const FOLDERS: [&str; 3] = ["candidates", "completions", "adapter"];

/// Files at the top of a job's output that are results, beside `completed.*`.
const FILES: [&str; 3] = ["fidelity.png", "sheet.png", "report.json"];

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
    /// Every file: the completed photo, `fidelity.png`, `sheet.png`, `report.json`, and those of candidates, completions
    /// (the photo as every other candidate would complete it) and adapter.
    pub files: Vec<FileView>,
    /// All settings, seeds, versions, timings, losses and scores: `report.json`.
    #[schema(value_type = Object)]
    pub report: Value,
}

/// A candidate.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CandidateView {
    /// 1 for the best.
    pub rank: usize,
    /// Its seed.
    pub seed: u64,
    /// Higher is better.
    pub score: f64,
    /// Verified correspondences with the references, as a share: 0 to 1.
    pub correspondences: f64,
    /// How many there are.
    pub verified: usize,
    /// Step across the hole's edge over that beside it; about 1 is invisible.
    pub seam: f64,
    /// Mean difference from what the guide trusts, 0 to 1.
    pub guide: f64,
    /// Distance from the candidates' mean, 0 to 1.
    pub apart: f64,
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
    results(&server, &job).map(Json)
}

/// Candidates of a job, best first
#[utoipa::path(
    get, path = "/v1/jobs/{id}/candidates", tag = "results", params(("id" = Id, Path)),
    responses((status = 200, body = Vec<CandidateView>), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)),
)]
pub async fn candidates(State(server): State<Shared>, owner: Owner, at: At) -> Answer<Json<Vec<CandidateView>>> {
    let job = finished(&server, &owner, &at.id).await?;
    Ok(Json(results(&server, &job)?.candidates))
}

/// Files of what a job has learnt about the scene
#[utoipa::path(
    get, path = "/v1/jobs/{id}/adapter", tag = "results", params(("id" = Id, Path)),
    responses((status = 200, body = Vec<FileView>), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)),
)]
pub async fn adapter(State(server): State<Shared>, owner: Owner, at: At) -> Answer<Json<Vec<FileView>>> {
    let job = finished(&server, &owner, &at.id).await?;
    let mut files = listed(&server, &job);
    files.retain(|file| file.name.starts_with("adapter/"));
    Ok(Json(files))
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
    let known = listed(&server, &job).into_iter().find(|file| file.name == at.last);
    let name = known.ok_or_else(|| Problem::not_found("file among the results"))?.name;
    let path = output(&server, &job).join(&name);
    send_file(&path, &name.replace('/', "-"), request).await
}

async fn finished(server: &Shared, owner: &Owner, id: &Id) -> Answer<Job> {
    let job = find(server, owner, id).await?;
    match job.state {
        JobState::Done => Ok(job),
        other => Err(Problem::conflict(format!("the job is {}, so there are no results yet", other.name()))),
    }
}

fn output(server: &Shared, job: &Job) -> PathBuf {
    server.folder.job(&job.id).join(OUTPUT)
}

fn results(server: &Shared, job: &Job) -> Answer<Results> {
    let text = std::fs::read(output(server, job).join("report.json"))?;
    let value: Value = serde_json::from_slice(&text).map_err(Problem::ours)?;
    let report: Report = serde_json::from_value(value.clone()).map_err(Problem::ours)?;
    let files = listed(server, job);
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
fn listed(server: &Shared, job: &Job) -> Vec<FileView> {
    let root = output(server, job);
    let mut found = Vec::new();
    walk(&root, "", 0, &mut found);
    let is_result = |name: &str| match name.split_once('/') {
        None => FILES.contains(&name) || name.starts_with("completed."),
        Some((folder, _)) => FOLDERS.contains(&folder),
    };
    found.retain(|(name, _)| is_result(name) && !name.ends_with(".tmp"));
    found.sort();
    let view = |(name, bytes): (String, u64)| {
        let href = format!("/v1/jobs/{}/files/{}", job.id, name.replace('/', "%2F"));
        FileView { name, bytes, href }
    };
    found.into_iter().map(view).collect()
}

/// Names and sizes of the files in a folder and those in it, two deep.
fn walk(folder: &Path, before: &str, depth: usize, found: &mut Vec<(String, u64)>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let (Ok(about), Ok(name)) = (entry.metadata(), entry.file_name().into_string()) else { continue };
        let name = format!("{before}{name}");
        match about.is_dir() {
            true if depth < 2 => walk(&entry.path(), &format!("{name}/"), depth + 1, found),
            true => {}
            false => found.push((name, about.len())),
        }
    }
}
