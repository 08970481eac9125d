//! A server that ends in the middle of a job, one way or the other: the next one goes on with it, and the job ends once,
//! with the pixels and the adapter's bytes that it would have had.

use super::client::Server;
use super::{id, request, scene};
use realfill_vision::Photo;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// Steps of the job.
pub const ITERATIONS: usize = 6;

/// The completed photo's pixels and the adapter of a job: the photo's credentials say when they were signed, so its file differs.
pub fn made(server: &Server, job: &str) -> [Vec<u8>; 2] {
    let results = server.get(&format!("/v1/jobs/{job}/results")).json();
    let completed = server.get(results["completed"].as_str().unwrap_or_else(|| panic!("{results}"))).body;
    let pixels = Photo::from_bytes(&completed, "completed").expect("a picture").pixels.into_bytes();
    [pixels, server.get(&format!("/v1/jobs/{job}/files/adapter%2Fembedded.safetensors")).body]
}

/// What a job makes that nothing interrupts.
pub fn uninterrupted(folder: &Path) -> [Vec<u8>; 2] {
    let server = Server::start(folder, &[]);
    let job = id(&server.post("/v1/jobs", &request(&scene(&server), ITERATIONS)));
    assert_eq!(server.rested(&job)["state"], "done");
    made(&server, &job)
}

/// Starts the same job and waits until it is at a step.
fn begun(folder: &Path, is_there: impl Fn(&Value) -> bool) -> (Server, String) {
    let server = Server::start(folder, &[]);
    let job = id(&server.post("/v1/jobs", &request(&scene(&server), ITERATIONS)));
    server.until(&job, is_there);
    (server, job)
}

/// Checks that a new server ends the job, once, with the same bytes.
fn ends_once_with(folder: &Path, job: &str, expected: &[Vec<u8>; 2]) {
    let server = Server::start(folder, &[]);
    assert_eq!(server.rested(job)["state"], "done");
    assert!(made(&server, job) == *expected, "the results differ from those of an uninterrupted job");
    let events = server.events(job);
    assert_eq!(events.iter().filter(|event| event["state"] == "done").count(), 1, "{events:?}");
    assert_eq!(server.get("/v1/jobs").json().as_array().unwrap().len(), 1);
}

#[test]
fn a_killed_server_loses_nothing_and_does_nothing_twice() {
    let folder = TempDir::new().unwrap();
    let expected = uninterrupted(&folder.path().join("whole"));
    let moments: [&dyn Fn(&Value) -> bool; 3] = [
        &|job| job["state"] == "running",
        &|job| job["progress"]["loss"].is_f64() && job["progress"]["step"].as_u64() >= Some(2),
        &|job| job["progress"]["stage"] != "tune" && job["progress"]["stage"].is_string(),
    ];
    for (i, moment) in moments.iter().enumerate() {
        let data = folder.path().join(format!("killed-{i}"));
        let (server, job) = begun(&data, moment);
        server.kill();
        ends_once_with(&data, &job, &expected);
    }
}

#[test]
fn sigterm_parks_the_job_within_ten_seconds_and_the_next_start_ends_it() {
    let folder = TempDir::new().unwrap();
    let expected = uninterrupted(&folder.path().join("whole"));
    let data = folder.path().join("parked");
    let (server, job) = begun(&data, |job| job["progress"]["loss"].is_f64());
    let (time, went_well) = server.terminate();
    assert!(went_well && time < Duration::from_secs(10), "{time:?}");
    ends_once_with(&data, &job, &expected);
}

/// The process that runs the server's job; Linux tells.
fn process_of_the_job(server: &Server) -> Option<String> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.id())).ok()?;
    let children = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    children.flat_map(|ids| ids.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).next()
}

#[test]
fn a_job_whose_process_dies_is_taken_again_and_the_server_stays() {
    let folder = TempDir::new().unwrap();
    let expected = uninterrupted(&folder.path().join("whole"));
    let (server, job) = begun(&folder.path().join("data"), |job| job["progress"]["loss"].is_f64());
    let Some(process) = process_of_the_job(&server) else {
        println!("passed over: this system does not tell a process's children");
        return;
    };
    assert!(std::process::Command::new("kill").args(["-KILL", &process]).status().unwrap().success());
    assert_eq!(server.rested(&job)["state"], "done");
    assert!(made(&server, &job) == expected, "the results differ from those of an uninterrupted job");
    let events = server.events(&job);
    let crashed = |event: &Value| event["error"].as_str().is_some_and(|why| why.contains("without a word"));
    assert_eq!(events.iter().filter(|event| crashed(event)).count(), 1, "{events:?}");
}

/// The niceness of each thread of a process (`man proc_pid_stat`, field 19), its first thread's first.
fn niceness(process: &str) -> Vec<i32> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).unwrap().flatten();
    let mut threads: Vec<_> = threads.map(|thread| thread.path()).collect();
    threads.sort_by_key(|path| !path.ends_with(process));
    let stat = threads.iter().filter_map(|path| std::fs::read_to_string(path.join("stat")).ok()); // others have ended
    stat.map(|stat| stat.rsplit(") ").next().unwrap().split(' ').nth(16).unwrap().parse().unwrap()).collect()
}

#[test]
#[cfg(target_os = "linux")]
fn the_servers_threads_give_way_to_the_job() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(folder.path(), &[]);
    let job = id(&server.post("/v1/jobs", &request(&scene(&server), 100_000)));
    server.until(&job, |job| job["progress"]["loss"].is_f64());
    let own = niceness(&server.id().to_string());
    assert!(own.len() > 2 && own[1..].iter().all(|other| *other == (own[0] + 10).min(19)), "{own:?}");
    let process = process_of_the_job(&server).expect("Linux tells");
    assert!(niceness(&process).iter().all(|thread| *thread == own[0]), "{:?} beside {own:?}", niceness(&process));
    server.post(&format!("/v1/jobs/{job}/cancel"), &json!({}));
    server.rested(&job);
}

#[test]
fn what_was_cut_off_in_the_making_is_gone_after_the_next_start() {
    let folder = TempDir::new().unwrap();
    drop(Server::start(folder.path(), &[])); // from now on it is this database's
    let id = "0123456789abcdef0123456789abcdef";
    let ours = ["passing/passing-abc123".to_owned(), format!("scenes/{id}"), format!("jobs/{id}")];
    let others = ["passing/upload", "scenes/still-life", "jobs/strange"];
    let place = |part: &str| folder.path().join(part);
    ours.iter().for_each(|part| std::fs::create_dir_all(place(part)).unwrap());
    others.iter().for_each(|part| std::fs::create_dir_all(place(part)).unwrap());
    let _server = Server::start(folder.path(), &[]);
    assert!(ours.iter().all(|part| !place(part).exists()), "what we began is gone");
    assert!(others.iter().all(|part| place(part).exists()), "what has other names is not ours");
}

#[test]
fn a_folder_of_scenes_that_are_not_the_databases_keeps_them() {
    let folder = TempDir::new().unwrap();
    let scene = folder.path().join("scenes/0123456789abcdef0123456789abcdef");
    std::fs::create_dir_all(&scene).unwrap();
    let _server = Server::start(folder.path(), &[]);
    assert!(scene.exists());
}
