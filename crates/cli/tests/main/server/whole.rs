//! From an upload to the completed photo.

use super::client::{Server, form, form_type};
use super::{Field, id, photos, png, request, scene, whole_scene};
use crate::material::{SIZE, mask, photo};
use serde_json::{Value, json};
use tempfile::TempDir;

fn pixels(content: &[u8]) -> image::RgbImage {
    image::load_from_memory(content).expect("a picture").to_rgb8()
}

#[test]
fn a_scene_becomes_a_photo_and_more_candidates_come_from_what_was_learnt() {
    let data = TempDir::new().unwrap();
    let server = Server::start(data.path(), &[]);
    let scene = id(&server.upload(&photos()));
    let sent = server.send("PUT", &format!("/v1/scenes/{scene}/mask"), &["Content-Type: image/png"], &png(&mask(SIZE)));
    assert_eq!(sent.status, 200, "{}", sent.text());

    let job = id(&server.post("/v1/jobs", &request(&scene, 2)));
    let events = server.events(&job);
    let count = |name: &str| events.iter().filter(|event| event["event"] == name).count();
    assert_eq!(events.last().unwrap()["state"], "done", "{events:?}");
    assert!(count("stage") >= 3 && count("progress") >= 4, "{events:?}");
    assert_eq!(count("preview"), 2, "{events:?}");
    assert!(
        events.iter().any(|event| event["loss"].is_f64() && event["remaining_secs"] == Value::Null
            || event["remaining_secs"].is_f64())
    );
    assert_eq!(server.get(&format!("/v1/jobs/{job}/previews/0")).status, 200);

    let results = server.get(&format!("/v1/jobs/{job}/results")).json();
    let completed = pixels(&server.get(results["completed"].as_str().unwrap()).body);
    let (before, hole) = (photo(SIZE, 0), mask(SIZE));
    let differ = |after: &image::RgbImage, in_hole: bool| {
        let there = hole.enumerate_pixels().filter(|(_, _, pixel)| (pixel[0] > 127) == in_hole);
        there.filter(|(x, y, _)| before.get_pixel(*x, *y) != after.get_pixel(*x, *y)).count()
    };
    assert!(differ(&completed, false) == 0 && differ(&completed, true) > 0);
    for candidate in results["candidates"].as_array().unwrap() {
        assert_eq!(pixels(&server.get(candidate["photo"].as_str().unwrap()).body).dimensions(), SIZE);
    }
    let adapter = server.get(&format!("/v1/jobs/{job}/adapter")).json();
    assert!(adapter.as_array().unwrap().iter().any(|file| file["name"] == "adapter/realfill.json"), "{adapter}");

    let archive = server.get(&format!("/v1/jobs/{job}/adapter.tar"));
    let holds = |name: &str| archive.body.windows(name.len()).any(|bytes| bytes == name.as_bytes());
    assert!(archive.head.contains("application/x-tar") && archive.body.len().is_multiple_of(512), "{}", archive.head);
    assert!(holds("adapter/realfill.json") && holds("adapter/embedded.safetensors"));

    let elsewhere = png(&image::imageops::flip_horizontal(&hole));
    let sent = server.send("PUT", &format!("/v1/scenes/{scene}/mask"), &["Content-Type: image/png"], &elsewhere);
    assert_eq!(sent.status, 200, "{}", sent.text());
    let mut more = request(&scene, 2);
    more["adapter_of"] = json!(job);
    more["mask_of"] = json!(job);
    more["settings"]["seed"] = json!(2);
    let more = id(&server.post("/v1/jobs", &more));
    assert_eq!(server.rested(&more)["state"], "done");
    let results = server.get(&format!("/v1/jobs/{more}/results")).json();
    assert_eq!(results["report"]["losses"], json!([]), "it was tuned again");
    let more = pixels(&server.get(results["completed"].as_str().unwrap()).body);
    assert!(differ(&more, false) == 0 && differ(&more, true) > 0, "it fills another hole than the job it continues");

    let metrics = server.get("/metrics").text();
    assert!(metrics.contains("realfill_jobs{state=\"done\"} 2"), "{metrics}");
    assert_eq!(server.send("DELETE", &format!("/v1/scenes/{scene}"), &[], b"").status, 204);
    assert_eq!(server.get(&format!("/v1/jobs/{job}")).status, 404);
    for part in ["scenes", "jobs", "passing"] {
        let left = std::fs::read_dir(data.path().join(part)).unwrap().count();
        assert_eq!(left, 0, "{part} has files of a scene that was deleted");
    }
}

#[test]
fn widening_needs_no_mask_and_gives_a_wider_photo() {
    let data = TempDir::new().unwrap();
    let server = Server::start(data.path(), &[]);
    let scene = id(&server.upload(&photos()));
    let mut wider = request(&scene, 0);
    wider["expand"] = json!("left=20px");
    let job = id(&server.post("/v1/jobs", &wider));
    assert_eq!(server.rested(&job)["state"], "done");
    let results = server.get(&format!("/v1/jobs/{job}/results")).json();
    let completed = pixels(&server.get(results["completed"].as_str().unwrap()).body);
    assert_eq!(completed.dimensions(), (SIZE.0 + 20, SIZE.1));
}

#[test]
fn the_hole_of_another_job_is_taken_from_the_same_scene_and_where_there_is_one() {
    let data = TempDir::new().unwrap();
    let server = Server::start(data.path(), &[]);
    let [scene, other] = [(); 2].map(|()| id(&server.upload(&photos())));
    let with = |scene: &str, more: Value| {
        let mut body = request(scene, 0);
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        server.post("/v1/jobs", &body)
    };
    let wider = id(&with(&scene, json!({ "expand": "left=20px" })));
    for (scene, status, words) in [(&other, 409, "a job of the same scene"), (&scene, 422, "has no mask")] {
        let reply = with(scene, json!({ "mask_of": wider }));
        assert!(reply.status == status && reply.problem().contains(words), "{} {}", reply.status, reply.text());
    }
    assert_eq!(with(&scene, json!({ "mask_of": wider, "expand": "left=20px" })).status, 201);
}

#[test]
fn a_creation_that_is_sent_again_with_its_key_makes_nothing_new() {
    let data = TempDir::new().unwrap();
    let server = Server::start(data.path(), &[]);
    let create =
        |fields: &[Field]| server.send("POST", "/v1/scenes", &[&form_type(), "Idempotency-Key: one"], &form(fields));
    let scene = id(&create(&whole_scene()));
    assert_eq!(id(&create(&whole_scene())), scene);
    let other = create(&photos());
    assert!(other.status == 422 && other.problem().contains("another content"), "{}", other.text());
    assert_eq!(server.get("/v1/scenes").json().as_array().unwrap().len(), 1);

    let job = |seed: u64| {
        let mut body = request(&scene, 0);
        body["settings"]["seed"] = json!(seed);
        let headers = ["Content-Type: application/json", "Idempotency-Key: two"];
        server.send("POST", "/v1/jobs", &headers, body.to_string().as_bytes())
    };
    let first = id(&job(1));
    assert_eq!(id(&job(1)), first);
    assert_eq!(job(2).status, 422);
    assert_eq!(server.get("/v1/jobs").json().as_array().unwrap().len(), 1);
    server.rested(&first);
}

#[test]
fn a_stopped_job_goes_on_where_it_was_and_waiting_ones_come_by_priority() {
    let data = TempDir::new().unwrap();
    let server = Server::start(data.path(), &[]);
    let scene = scene(&server);
    let long = id(&server.post("/v1/jobs", &request(&scene, 100_000)));
    server.until(&long, |job| job["progress"]["loss"].is_f64());
    let mut urgent = request(&scene, 0);
    let later = id(&server.post("/v1/jobs", &urgent));
    urgent["priority"] = json!(5);
    let urgent = id(&server.post("/v1/jobs", &urgent));
    assert_eq!(server.get(&format!("/v1/jobs/{later}")).json()["ahead"], 2);
    assert_eq!(server.get(&format!("/v1/jobs/{urgent}")).json()["ahead"], 1);
    assert_eq!(server.send("DELETE", &format!("/v1/jobs/{long}"), &[], b"").status, 409);
    assert_eq!(server.get(&format!("/v1/jobs/{long}/results")).status, 409);

    let at = server.get(&format!("/v1/jobs/{long}")).json()["progress"]["step"].as_u64().unwrap();
    assert_eq!(server.post(&format!("/v1/jobs/{long}/cancel"), &json!({})).status, 202);
    assert_eq!(server.rested(&long)["state"], "stopped");
    server.rested(&later);
    let done = |job: &str| server.get(&format!("/v1/jobs/{job}")).json()["changed"].as_i64();
    assert!(done(&urgent) <= done(&later));
    assert_eq!(server.post(&format!("/v1/jobs/{later}/cancel"), &json!({})).status, 409);

    assert_eq!(server.post(&format!("/v1/jobs/{long}/resume"), &json!({})).status, 202);
    let going = server.until(&long, |job| job["progress"]["loss"].is_f64());
    assert!(going["progress"]["step"].as_u64().unwrap() > at, "it began anew: {going}, stopped at {at}");
    assert_eq!(server.post(&format!("/v1/jobs/{long}/resume"), &json!({})).status, 409);
    server.post(&format!("/v1/jobs/{long}/cancel"), &json!({}));
    server.rested(&long);
    assert_eq!(server.send("DELETE", &format!("/v1/jobs/{long}"), &[], b"").status, 204);
}

#[test]
fn the_page_the_documents_and_the_example_are_in_the_program() {
    let data = TempDir::new().unwrap();
    let server = Server::start(data.path(), &[]);
    let page = server.get("/");
    assert!(page.head.contains("content-security-policy: default-src 'none'"), "{}", page.head);
    assert!(page.text().contains("/assets/app.js") && server.get("/assets/app.js").body.len() > 10_000);
    let document = server.get("/openapi.json").json();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["paths"]["/v1/jobs/{id}/events"]["get"].is_object());
    assert!(server.get("/docs").text().contains("/v1/jobs/{id}/events"));
    for (path, words) in [("/healthz", "ok"), ("/readyz", "ready"), ("/v1/models", "embedded"), ("/v1/devices", "cpu")]
    {
        let reply = server.get(path);
        assert!(reply.status == 200 && reply.text().contains(words), "{path}: {}", reply.text());
    }
    let example = server.post("/v1/scenes/example", &json!({}));
    let scene = id(&example);
    assert_eq!(example.json()["photos"].as_array().unwrap().len(), 5);
    let preview = server.get(&format!("/v1/scenes/{scene}/previews/ref-1"));
    assert!(pixels(&preview.body).width() <= 640 && preview.head.contains("image/jpeg"));
    let kept = server.send("GET", "/", &[&format!("If-None-Match: {}", tag(&page.head))], b"");
    assert_eq!(kept.status, 304);
}

fn tag(head: &str) -> &str {
    head.lines().find_map(|line| line.strip_prefix("etag: ")).expect("a tag")
}
