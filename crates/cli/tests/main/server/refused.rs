//! What is refused, each with its status and a sentence that helps, and without leaving a file behind.

use super::client::{Server, form, form_type};
use super::{Field, id, photos, png, request, scene, whole_scene};
use crate::material::{SIZE, crc32, mask, photo, realfill};
use predicates::str::contains;
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;

fn nothing_left(data: &Path) {
    for part in ["scenes", "jobs", "passing"] {
        assert_eq!(std::fs::read_dir(data.join(part)).unwrap().count(), 0, "{part} has a file of what was refused");
    }
}

/// The photos with one field changed.
fn with(at: usize, name: &str, content: Vec<u8>) -> Vec<Field<'_>> {
    let mut fields = whole_scene();
    fields[at] = (fields[at].0, name, content);
    fields
}

/// A PNG whose header claims 30000 × 30000 pixels.
fn bomb() -> Vec<u8> {
    let mut bytes = png(&photo(SIZE, 0));
    bytes[16..24].copy_from_slice(&[0, 0, 0x75, 0x30, 0, 0, 0x75, 0x30]);
    let check = crc32(&bytes[12..29]).to_be_bytes();
    bytes[29..33].copy_from_slice(&check);
    bytes
}

/// An AVIF that claims 3000 × 2000 pixels and has fewer.
fn wide_avif() -> Vec<u8> {
    let mut bytes = include_bytes!("../../../../vision/src/photo/samples/lossless.avif").to_vec();
    let at = bytes.windows(4).position(|window| window == b"ispe").unwrap() + 8;
    bytes[at..at + 8].copy_from_slice(&[3000u32.to_be_bytes(), 2000u32.to_be_bytes()].concat());
    bytes
}

/// The header of a JPEG XL of 3000 × 2000 pixels, and nothing behind it (ISO/IEC 18181-1, annex D): the size, then a bit each
/// that says that all the rest is as usual.
fn wide_jpeg_xl() -> Vec<u8> {
    let fields: [(u64, u32); 8] = [(0, 1), (1, 2), (1999, 13), (0, 3), (1, 2), (2999, 13), (1, 1), (1, 1)];
    let add = |(bits, count): (u64, u32), &(value, length): &(u64, u32)| (bits | value << count, count + length);
    let (bits, _) = fields.iter().fold((0, 0), add);
    [b"\xFF\x0A", &bits.to_le_bytes()[..]].concat()
}

#[test]
fn scenes_that_cannot_be_used_are_refused_with_the_reason() {
    let data = TempDir::new().unwrap();
    let server = Server::start(data.path(), &["--max-megapixels", "1", "--max-file-mb", "1"]);
    let whole = png(&photo(SIZE, 0));
    let mut polyglot = b"<script>alert(1)</script>".to_vec();
    polyglot.extend(&whole);
    let mut second_target = whole_scene();
    second_target.push(("target", "again.png", whole.clone()));
    let mut six = photos();
    six.extend((0..4).map(|_| ("reference", "more.png", whole.clone())));
    let most = vec![0; (1 << 20) - 4096];
    let mut large = vec![("target", "1.png", most.clone())];
    large.extend((2..6).map(|_| ("reference", "more.png", most.clone())));
    let mut unknown = photos();
    unknown.push(("picture", "x.png", whole.clone()));
    let cases: Vec<(Vec<Field>, u16, &str)> = vec![
        (with(0, "cut.png", whole[..whole.len() / 2].to_vec()), 422, "cut.png cannot be decoded"),
        (with(0, "letter.jpg", b"this is a letter".to_vec()), 422, "letter.jpg is not a picture"),
        (with(1, "empty.png", Vec::new()), 422, "empty.png is empty"),
        (with(1, "page.png", polyglot), 422, "page.png is not a picture"),
        (with(2, "moving.gif", b"GIF89a\x01\x00\x01\x00\x00\x00\x00;".to_vec()), 422, "a picture in the format Gif"),
        (with(0, "bomb.png", bomb()), 413, "bomb.png is 30000×30000, 900 megapixels, and this server takes 1"),
        (with(0, "wide.png", png(&photo((1200, 900), 0))), 413, "wide.png"),
        (with(0, "wide.avif", wide_avif()), 413, "wide.avif is 3000×2000, 6 megapixels, and this server takes 1"),
        (with(1, "wide.jxl", wide_jpeg_xl()), 413, "wide.jxl is 3000×2000, 6 megapixels, and this server takes 1"),
        (with(0, "big.png", vec![0; 3 << 20]), 413, "big.png is too large; this server takes 1 MB"),
        (large, 413, "the photos are too large together; this server takes 4 MB in one upload"),
        (with(3, "small.png", png(&mask((40, 30)))), 422, "small.png is 40×30 but house.png is 80×64"),
        (with(3, "black.png", png(&image::RgbImage::new(SIZE.0, SIZE.1))), 422, "black.png marks nothing"),
        (photos()[..1].to_vec(), 422, "no reference photos"),
        (photos()[1..].to_vec(), 422, "no target"),
        (six, 422, "6 reference photos"),
        (second_target, 422, "two fields `target`"),
        (unknown, 422, "`picture` is no field"),
        (with(0, "../../../../tmp/house.png", b"no picture".to_vec()), 422, "house.png is not a picture"),
    ];
    for (fields, status, words) in cases {
        let reply = server.upload(&fields);
        assert!(
            reply.status == status && reply.problem().contains(words),
            "{words}: {} {}",
            reply.status,
            reply.text()
        );
        assert!(!reply.text().contains(data.path().to_str().unwrap()), "{}", reply.text());
    }
    let whole_form = form(&whole_scene());
    for (headers, body, status) in [
        (vec!["Content-Type: text/plain".to_owned()], whole_form.clone(), 415),
        (vec!["Content-Type: multipart/form-data".to_owned()], whole_form.clone(), 415),
        (vec![form_type()], whole_form[..whole_form.len() / 2].to_vec(), 400),
        (vec![form_type(), "Idempotency-Key: ".to_owned()], whole_form.clone(), 400),
    ] {
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let reply = server.send("POST", "/v1/scenes", &headers, &body);
        assert!(
            reply.status == status && !reply.problem().is_empty(),
            "{headers:?}: {} {}",
            reply.status,
            reply.text()
        );
    }
    nothing_left(data.path());
}

#[test]
fn names_from_outside_are_for_people_and_never_paths() {
    let data = TempDir::new().unwrap();
    let server = Server::start(data.path(), &[]);
    let mut fields = with(0, "../../../evil.png", png(&photo(SIZE, 0)));
    fields.push(("name", "", b"../../up".to_vec()));
    let scene = server.upload(&fields).json();
    assert_eq!((&scene["name"], &scene["photos"][0]["name"]), (&json!("up"), &json!("evil.png")));
    let id = scene["id"].as_str().unwrap();
    for name in ["..%2Ftarget.png", "../target", "%2e%2e%2f%2e%2e%2frealfill.sqlite", "lock", "target.png", "%00"] {
        assert_eq!(server.get(&format!("/v1/scenes/{id}/photos/{name}")).status, 404, "{name}");
        assert_eq!(server.get(&format!("/v1/scenes/{id}/previews/{name}")).status, 404, "{name}");
        assert_eq!(server.get(&format!("/v1/scenes/{name}")).status, 404, "{name}");
        assert_eq!(server.get(&format!("/assets/{name}")).status, 404, "{name}");
    }
    let job = super::id(&server.post("/v1/jobs", &request(id, 0)));
    assert_eq!(server.rested(&job)["state"], "done");
    for name in [
        "..%2Fsettings.toml",
        ".realfill.lock",
        "previews%2F0.jpg",
        "adapter%2F..%2Freport.json",
        "..%2F..%2F..%2Frealfill.sqlite",
    ] {
        assert_eq!(server.get(&format!("/v1/jobs/{job}/files/{name}")).status, 404, "{name}");
    }
    for name in ["..%2Fout%2Freport", "-1", "01", "guide%2F..%2F0", "+1"] {
        assert_eq!(server.get(&format!("/v1/jobs/{job}/previews/{name}")).status, 404, "{name}");
    }
}

#[test]
fn jobs_that_cannot_be_are_refused_with_the_reason() {
    let data = TempDir::new().unwrap();
    let server = Server::start(data.path(), &[]);
    let (scene, unmarked) = (scene(&server), id(&server.upload(&photos())));
    let with = |more: Value| {
        let mut body = json!({ "scene": scene });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let stranger = "0123456789abcdef0123456789abcdef";
    for (body, status, words) in [
        (json!({}), 422, "missing field `scene`"),
        (json!({ "scene": "../.." }), 422, "`../..` is no id"),
        (json!({ "scene": stranger }), 404, "no such scene"),
        (json!({ "scene": unmarked }), 422, "nothing of house.png is marked"),
        (with(json!({ "modle": "x" })), 422, "unknown field `modle`"),
        (with(json!({ "model": "/etc/passwd" })), 422, "there is no model `/etc/passwd`; this server has embedded"),
        (with(json!({ "device": "abacus" })), 422, "there is no device `abacus`; this server has cpu"),
        (with(json!({ "preset": "slow" })), 422, "unknown variant `slow`"),
        (with(json!({ "priority": 1000 })), 422, "priority is 1000"),
        (with(json!({ "expand": "leftwards" })), 422, "write left=20%"),
        (with(json!({ "expand": "left=900%" })), 422, "the canvas would be 800×64"),
        (with(json!({ "expand": "left=5px", "aspect": "16:9" })), 422, "exclude each other"),
        (with(json!({ "settings": { "candidates": 0 } })), 422, "candidates is 0"),
        (with(json!({ "settings": { "tune": { "batches": 1 } } })), 422, "unknown field `batches`"),
        (with(json!({ "adapter_of": stranger })), 404, "no such job"),
        (with(json!({ "mask_of": stranger })), 404, "no such job"),
    ] {
        let reply = server.post("/v1/jobs", &body);
        assert!(reply.status == status && reply.problem().contains(words), "{body}: {} {}", reply.status, reply.text());
    }
    let json = "Content-Type: application/json";
    for (headers, body, status, words) in [
        (vec![json], b"{\"scene\": ".to_vec(), 400, "not JSON"),
        (vec!["Content-Type: text/plain"], b"{}".to_vec(), 415, "application/json"),
        (vec![], b"{}".to_vec(), 415, "application/json"),
        (vec![json], vec![b' '; 300 << 10], 413, "longer than"),
    ] {
        let reply = server.send("POST", "/v1/jobs", &headers, &body);
        assert!(
            reply.status == status && reply.problem().contains(words),
            "{words}: {} {}",
            reply.status,
            reply.text()
        );
    }
    assert_eq!(std::fs::read_dir(data.path().join("jobs")).unwrap().count(), 0);
}

#[test]
fn wrong_methods_paths_and_queries_are_told_as_problems() {
    let data = TempDir::new().unwrap();
    let server = Server::start(data.path(), &[]);
    for (method, path, status) in [
        ("PATCH", "/v1/scenes", 405),
        ("POST", "/healthz", 405),
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/jobs/xyz", 404),
        ("GET", "/v1/jobs?scen=1", 400),
        ("GET", "/v1/jobs?scene=1", 400),
        ("DELETE", "/v1/scenes/0123456789abcdef0123456789abcdef", 404),
    ] {
        let reply = server.send(method, path, &[], b"");
        assert!(
            reply.status == status && !reply.problem().is_empty(),
            "{method} {path}: {} {}",
            reply.status,
            reply.text()
        );
        assert!(status != 405 || reply.head.to_ascii_lowercase().contains("allow: "), "{}", reply.head);
    }
}

#[test]
fn foreign_hosts_and_origins_are_refused() {
    let data = TempDir::new().unwrap();
    let server = Server::start(data.path(), &[]);
    let ask = |host: &str, more: &str| {
        server.raw(format!("GET /v1/scenes HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n").as_bytes())
    };
    let here = server.address.clone();
    assert_eq!(ask(&here, "").status, 200);
    assert_eq!(ask(&here, &format!("Origin: http://{here}\r\n")).status, 200);
    assert_eq!(ask("evil.example", "").status, 421);
    assert_eq!(ask(&here, "Origin: http://evil.example\r\n").status, 403);
    assert_eq!(ask(&here, "Origin: null\r\n").status, 403);
    assert_eq!(ask(&here, "Sec-Fetch-Site: cross-site\r\n").status, 403);
    let link = ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"];
    assert_eq!(server.send("GET", "/", &link, b"").status, 200, "a link that is followed");
    assert_eq!(server.send("POST", "/v1/scenes/example", &link, b"").status, 403, "a form of another site");
    for more in [&link[..1], &link[..2], &[link[0], link[1], "Sec-Fetch-Dest: iframe"][..]] {
        assert_eq!(server.send("GET", "/", more, b"").status, 403, "{more:?}");
    }
    let foreign = [link[0], link[1], link[2], "Origin: http://evil.example"];
    assert_eq!(server.send("GET", "/", &foreign, b"").status, 403);
    let refused = ask("evil.example", "");
    assert!(refused.problem().contains("--allow-host") && !refused.head.contains("access-control"), "{}", refused.head);
}

#[test]
fn a_token_sees_its_own_scenes_alone() {
    let data = TempDir::new().unwrap();
    let file = data.path().join("tokens");
    std::fs::write(&file, "the-first-of-two-tokens\nthe-second-of-two-tokens\n").unwrap();
    let mut server = Server::start(&data.path().join("data"), &["--token-file", file.to_str().unwrap()]);
    for path in ["/v1/scenes", "/v1/models", "/metrics"] {
        let reply = server.get(path);
        assert!(reply.status == 401 && reply.problem().contains("no token was given"), "{path}: {}", reply.text());
        assert!(reply.head.to_ascii_lowercase().contains("www-authenticate: bearer"), "{}", reply.head);
    }
    assert_eq!(server.get("/healthz").status, 200);
    server.with_token("not-one-of-the-tokens");
    assert!(server.get("/v1/scenes").problem().contains("not known"));
    server.with_token("the-first-of-two-tokens");
    let scene = scene(&server);
    let job = id(&server.post("/v1/jobs", &request(&scene, 0)));
    server.rested(&job);
    server.with_token("the-second-of-two-tokens");
    assert_eq!(server.get("/v1/scenes").json(), json!([]));
    let paths = ["", "/events", "/results", "/files/report.json", "/previews/0", "/adapter", "/candidates"];
    for path in paths.map(|end| format!("/v1/jobs/{job}{end}")) {
        assert_eq!(server.get(&path).status, 404, "{path}");
    }
    for (method, path) in [
        ("GET", format!("/v1/scenes/{scene}")),
        ("GET", format!("/v1/scenes/{scene}/photos/target")),
        ("DELETE", format!("/v1/scenes/{scene}")),
        ("DELETE", format!("/v1/jobs/{job}")),
        ("POST", format!("/v1/jobs/{job}/resume")),
        ("POST", format!("/v1/jobs/{job}/cancel")),
        ("PUT", format!("/v1/scenes/{scene}/mask")),
    ] {
        assert_eq!(server.send(method, &path, &[], b"").status, 404, "{method} {path}");
    }
    assert_eq!(server.post("/v1/jobs", &request(&scene, 0)).status, 404);
}

#[test]
fn limits_on_scenes_and_jobs_are_told() {
    let data = TempDir::new().unwrap();
    let server = Server::start(data.path(), &["--max-jobs", "1", "--max-scenes", "1"]);
    let scene = scene(&server);
    let reply = server.upload(&whole_scene());
    assert!(reply.status == 429 && reply.problem().contains("1 scenes already"), "{}", reply.text());
    let job = id(&server.post("/v1/jobs", &request(&scene, 100_000)));
    let reply = server.post("/v1/jobs", &request(&scene, 0));
    assert!(reply.status == 429 && reply.head.to_ascii_lowercase().contains("retry-after"), "{}", reply.head);
    server.post(&format!("/v1/jobs/{job}/cancel"), &json!({}));
    server.rested(&job);
}

#[test]
fn requests_at_the_same_moment_pass_no_limit_together() {
    let data = TempDir::new().unwrap();
    let server = Server::start(data.path(), &["--max-scenes", "1"]);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let uploads: Vec<_> = (0..4).map(|_| scope.spawn(|| server.upload(&whole_scene()).status)).collect();
        uploads.into_iter().map(|upload| upload.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 3, "{statuses:?}");
    assert_eq!(std::fs::read_dir(data.path().join("scenes")).unwrap().count(), 1, "files of what was refused are left");
}

#[test]
fn an_open_address_needs_tokens_and_a_folder_has_one_server() {
    let data = TempDir::new().unwrap();
    let refuses = |options: &[&str], words: &str| {
        realfill()
            .args(["serve", "--port", "0", "--data-dir"])
            .arg(data.path())
            .args(options)
            .assert()
            .code(2)
            .stderr(contains(words));
    };
    refuses(&["--host", "0.0.0.0"], "tokens are needed: give --token-file");
    let file = data.path().join("tokens");
    std::fs::write(&file, "short\n").unwrap();
    refuses(&["--host", "0.0.0.0", "--token-file", file.to_str().unwrap()], "a token has 5 characters");
    let _server = Server::start(data.path(), &[]);
    refuses(&[], "another server uses the data folder");
}

#[test]
fn jobs_that_could_not_sign_keep_servers_and_workers_from_starting() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "in the way").unwrap();
    let refused = |words: &[&str], variables: &[(&str, &str)], sentence: &str| {
        let mut command = realfill();
        command.args(words).arg("--data-dir").arg(folder.path().join("data")).env_remove("REALFILL_QUEUE");
        command.env("REALFILL_DATA", file.join("identity")).envs(variables.iter().copied());
        command.assert().code(2).stderr(contains(sentence));
    };
    for words in [&["serve", "--port", "0"][..], &["worker", "--queue", "postgres://127.0.0.1:9/realfill"]] {
        refused(words, &[], "cannot keep an identity to sign with in");
    }
    refused(&["worker"], &[("REALFILL_NO_CREDENTIALS", "1")], "a worker needs the queue of its server");
    let files = [("REALFILL_SIGN_CERT", "x.pem"), ("REALFILL_SIGN_KEY", "x.pem")];
    refused(&["serve", "--port", "0"], &files, "cannot read x.pem");
}
