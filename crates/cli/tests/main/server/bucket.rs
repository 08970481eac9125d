//! Scenes and jobs in a bucket: the same results as in a folder, nothing left of what is removed, and a worker that goes on
//! with what another one on another machine has begun. The S3-compatible server is `moto` (Python), where it is installed.

use super::client::{Server, Worker, form};
use super::killed::{ITERATIONS, made, uninterrupted};
use super::postgres::Postgres;
use super::{id, photos, png, request, scene};
use crate::material::{SIZE, mask};
use serde_json::json;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const STORAGE: [&str; 2] = ["--storage", "s3://photos/some/where"];

/// A running `moto_server` with a bucket.
struct Moto {
    process: Child,
    address: String,
    endpoint: String,
}

impl Moto {
    /// Starts one; `None`, with a word, where it is not installed. `REALFILL_MOTO` may say where it is.
    fn start() -> Option<Self> {
        let program = std::env::var_os("REALFILL_MOTO").unwrap_or_else(|| "moto_server".into());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(program);
        command.args(["--port", &port.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(process) = command.spawn() else {
            println!("passed over: moto_server is missing (pip install 'moto[s3]' flask flask-cors)");
            return None;
        };
        let address = format!("127.0.0.1:{port}");
        let moto = Self { process, endpoint: format!("http://{address}"), address };
        let clock = Instant::now();
        while TcpStream::connect(&moto.address).is_err() {
            assert!(clock.elapsed() < Duration::from_secs(60), "moto_server does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(moto.ask("PUT", "/photos").starts_with("HTTP/1.1 200"));
        Some(moto)
    }

    fn ask(&self, method: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let host = &self.address;
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// How many objects there are.
    fn count(&self) -> usize {
        self.ask("GET", "/photos?list-type=2").matches("<Key>").count()
    }

    fn variables(&self) -> [(&str, &str); 4] {
        [
            ("AWS_ENDPOINT_URL", &self.endpoint),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
        ]
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_bucket_gives_the_same_results_as_a_folder_and_keeps_nothing_that_was_removed() {
    let Some(moto) = Moto::start() else { return };
    let folder = TempDir::new().unwrap();
    let expected = uninterrupted(&folder.path().join("whole"));
    let data = folder.path().join("data");
    let server = Server::start_with(&data, &STORAGE, &moto.variables());
    let scene = id(&server.upload(&photos()));
    let send_mask = |content: &[u8]| {
        let sent = server.send("PUT", &format!("/v1/scenes/{scene}/mask"), &["Content-Type: image/png"], content);
        assert_eq!(sent.status, 200, "{}", sent.text());
    };
    let another = |x, _| image::Rgb([if x < 9 { 255 } else { 0 }; 3]);
    send_mask(&png(&image::RgbImage::from_fn(SIZE.0, SIZE.1, another)));
    send_mask(&png(&mask(SIZE)));
    assert_eq!(server.get(&format!("/v1/scenes/{scene}/photos/mask")).body, png(&mask(SIZE)));
    let part = server.send("GET", &format!("/v1/scenes/{scene}/photos/target"), &["Range: bytes=1-3"], b"");
    assert!(part.status == 206 && part.body == b"PNG", "{}", part.head);

    let job = id(&server.post("/v1/jobs", &request(&scene, ITERATIONS)));
    assert_eq!(server.rested(&job)["state"], "done");
    assert!(made(&server, &job) == expected, "the results differ from those in a folder");
    let mut more = request(&scene, ITERATIONS);
    more["adapter_of"] = json!(job);
    let more = id(&server.post("/v1/jobs", &more));
    assert_eq!(server.rested(&more)["state"], "done");
    assert_eq!(server.send("DELETE", &format!("/v1/scenes/{scene}"), &[], b"").status, 204);
    assert_eq!(moto.count(), 0, "{}", moto.ask("GET", "/photos?list-type=2"));
    for part in ["scenes", "jobs", "passing"] {
        assert_eq!(std::fs::read_dir(data.join(part)).unwrap().count(), 0, "{part}");
    }
}

#[test]
fn a_worker_on_another_machine_goes_on_from_the_last_checkpoint_in_the_bucket() {
    let (Some(moto), Some(postgres)) = (Moto::start(), Postgres::start()) else { return };
    let folder = TempDir::new().unwrap();
    let queue = postgres.url();
    let options = [&["--queue", queue.as_str()], &STORAGE[..]].concat();
    let server = Server::start_with(&folder.path().join("server"), &options, &moto.variables());
    let worker = |name: &str| Worker::start(&folder.path().join(name), &options, &moto.variables());
    let first = worker("first");
    let mut wanted = request(&scene(&server), 100_000);
    wanted["settings"]["tune"]["checkpoint_every"] = json!(5);
    let job = id(&server.post("/v1/jobs", &wanted));
    let (clock, mut most) = (Instant::now(), 0);
    while moto.count() >= most {
        most = most.max(moto.count()); // it falls when the queue knows of a checkpoint and an older one may go
        assert!(clock.elapsed() < Duration::from_secs(300), "no checkpoint takes the place of another");
    }
    first.kill();
    let killed_at = server.get(&format!("/v1/jobs/{job}")).json();
    let _second = worker("second");
    let going = server
        .until(&job, |job| job["changed"].as_i64() > killed_at["changed"].as_i64() && job["progress"]["loss"].is_f64());
    let step = going["progress"]["step"].as_u64().unwrap();
    assert!(step > 5, "it began anew: {going}; killed at {killed_at}");
    server.post(&format!("/v1/jobs/{job}/cancel"), &json!({}));
    assert_eq!(server.rested(&job)["state"], "stopped");
}

#[test]
fn storage_that_is_away_is_told_and_nothing_is_half_there() {
    let Some(mut moto) = Moto::start() else { return };
    let folder = TempDir::new().unwrap();
    let server = Server::start_with(folder.path(), &STORAGE, &moto.variables());
    moto.process.kill().unwrap();
    moto.process.wait().unwrap();
    let reply = server.send("POST", "/v1/scenes", &[&super::client::form_type()], &form(&super::whole_scene()));
    assert!(reply.status == 503 && reply.problem().contains("storage"), "{}", reply.text());
    assert_eq!(server.get("/v1/scenes").json(), json!([]));
    assert_eq!(server.get("/readyz").status, 503);
}
