//! A server and workers that share a PostgreSQL queue: whichever of them dies and whenever, every job ends, once, with what it
//! makes when nothing interrupts it. The same for a server alone, with SQLite.

use super::client::{Server, Worker};
use super::killed::{ITERATIONS, made, uninterrupted};
use super::postgres::Postgres;
use super::{id, request, scene};
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

/// Moments at which something is killed.
const MOMENTS: usize = 10;

/// Random numbers that come again with the same seed (Marsaglia's xorshift).
pub struct Random(u64);

impl Random {
    /// With a seed of the clock's, which is told.
    pub fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64 | 1;
        println!("seed of the random moments: {now}");
        Self(now)
    }

    /// From 0 to below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// A server, and two workers where there is a queue to share.
struct Fleet<'a> {
    folder: &'a Path,
    options: Vec<String>,
    server: Option<Server>,
    workers: [Option<Worker>; 2],
}

impl<'a> Fleet<'a> {
    fn start(folder: &'a Path, queue: Option<&str>) -> Self {
        let options = queue.into_iter().flat_map(|queue| ["--queue".to_owned(), queue.to_owned()]).collect();
        let mut fleet = Self { folder, options, server: None, workers: [None, None] };
        fleet.start_server();
        if queue.is_some() {
            [0, 1].into_iter().for_each(|i| fleet.start_worker(i));
        }
        fleet
    }

    /// Processes that can be killed.
    fn count(&self) -> u64 {
        1 + self.workers.iter().flatten().count() as u64
    }

    fn options(&self) -> Vec<&str> {
        self.options.iter().map(String::as_str).collect()
    }

    fn start_server(&mut self) {
        self.server = Some(Server::start(&self.folder.join("data"), &self.options()));
    }

    fn start_worker(&mut self, i: usize) {
        self.workers[i] = Some(Worker::start(&self.folder.join("data"), &self.options(), &[]));
    }

    fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// Kills one of them without a word, and starts it again.
    fn kill(&mut self, which: u64) {
        match which {
            0 => {
                self.server.take().unwrap().kill();
                self.start_server();
            }
            _ => {
                let i = which as usize - 1;
                self.workers[i].take().unwrap().kill();
                self.start_worker(i);
            }
        }
    }
}

#[test]
fn whatever_is_killed_at_random_moments_every_job_ends_once_with_the_same_bytes() {
    let Some(postgres) = Postgres::start() else { return };
    survives_random_moments(Some(&postgres.url()));
}

#[test]
fn a_server_alone_that_is_killed_at_random_moments_ends_every_job_once_with_the_same_bytes() {
    survives_random_moments(None);
}

fn survives_random_moments(queue: Option<&str>) {
    let folder = TempDir::new().unwrap();
    let expected = uninterrupted(&folder.path().join("whole"));
    let mut fleet = Fleet::start(folder.path(), queue);
    let mut random = Random::new();
    let (scene, clock) = (scene(fleet.server()), Instant::now());
    let new_job = |server: &Server| id(&server.post("/v1/jobs", &request(&scene, ITERATIONS)));
    let mut jobs = Vec::new();
    for moment in 0..MOMENTS {
        jobs.extend((0..fleet.count().min(2)).map(|_| new_job(fleet.server())));
        std::thread::sleep(Duration::from_millis(random.below(2500)));
        let which = random.below(fleet.count());
        println!("moment {moment}: {which} is killed");
        fleet.kill(which);
        let busy = |job: &String| !fleet.server().get(&format!("/v1/jobs/{job}")).json()["state"].eq("done");
        while jobs.iter().filter(|job| busy(job)).count() > 2 {
            std::thread::sleep(Duration::from_millis(200));
        }
    }
    for job in &jobs {
        assert_eq!(fleet.server().rested(job)["state"], "done");
        assert!(made(fleet.server(), job) == expected, "{job} differs from an uninterrupted job");
        let events = fleet.server().events(job);
        assert_eq!(events.iter().filter(|event| event["state"] == "done").count(), 1, "{events:?}");
    }
    assert_eq!(fleet.server().get("/v1/jobs").json().as_array().unwrap().len(), jobs.len());
    println!("{} jobs and {MOMENTS} kills in {:.0?}", jobs.len(), clock.elapsed());
}

#[test]
fn a_worker_elsewhere_is_heard_stopped_and_gone_on_with() {
    let Some(postgres) = Postgres::start() else { return };
    let folder = TempDir::new().unwrap();
    let fleet = Fleet::start(folder.path(), Some(&postgres.url()));
    let (server, scene) = (fleet.server(), scene(fleet.server()));
    let job = id(&server.post("/v1/jobs", &request(&scene, 2)));
    let events = server.events(&job);
    let count = |name: &str| events.iter().filter(|event| event["event"] == name).count();
    assert_eq!(events.last().unwrap()["state"], "done", "{events:?}");
    assert!(count("stage") >= 3 && count("progress") >= 4 && count("preview") == 2, "{events:?}");
    assert_eq!(server.get(&format!("/v1/jobs/{job}/previews/0")).status, 200);

    let long = id(&server.post("/v1/jobs", &request(&scene, 100_000)));
    let at = server.until(&long, |job| job["progress"]["loss"].is_f64())["progress"]["step"].as_u64();
    server.post(&format!("/v1/jobs/{long}/cancel"), &json!({}));
    assert_eq!(server.rested(&long)["state"], "stopped");
    assert_eq!(server.post(&format!("/v1/jobs/{long}/resume"), &json!({})).status, 202);
    let going = server.until(&long, |job| job["progress"]["loss"].is_f64());
    assert!(going["progress"]["step"].as_u64() >= at, "it began anew: {going}, stopped at {at:?}");
    server.post(&format!("/v1/jobs/{long}/cancel"), &json!({}));
    server.rested(&long);
    assert_eq!(server.send("DELETE", &format!("/v1/scenes/{scene}"), &[], b"").status, 204);
    for part in ["scenes", "jobs", "passing"] {
        assert_eq!(std::fs::read_dir(folder.path().join("data").join(part)).unwrap().count(), 0, "{part}");
    }
}

#[test]
fn while_the_database_is_gone_requests_are_told_so_and_jobs_go_on_when_it_is_back() {
    let Some(mut postgres) = Postgres::start() else { return };
    let folder = TempDir::new().unwrap();
    let fleet = Fleet::start(folder.path(), Some(&postgres.url()));
    let (server, scene) = (fleet.server(), scene(fleet.server()));
    let job = id(&server.post("/v1/jobs", &request(&scene, 20)));
    server.until(&job, |job| job["progress"]["loss"].is_f64());
    std::thread::scope(|scope| {
        let away = scope.spawn(|| postgres.fail_for(Duration::from_secs(3)));
        let clock = Instant::now();
        let refused = loop {
            let reply = server.get("/readyz");
            if reply.status != 200 {
                break reply;
            }
            assert!(clock.elapsed() < Duration::from_secs(30));
        };
        assert!(refused.status == 503 && refused.problem().contains("database"), "{}", refused.text());
        away.join().unwrap();
    });
    let clock = Instant::now();
    while server.get("/readyz").status != 200 {
        assert!(clock.elapsed() < Duration::from_secs(30));
    }
    assert_eq!(server.rested(&job)["state"], "done");
}
