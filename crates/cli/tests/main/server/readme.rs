//! The clients that the README shows, run as they stand there.

use super::client::Server;
use crate::material::{SIZE, scene};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Whether a program is there; a test that needs it is passed over where it is not.
fn has(program: &str) -> bool {
    let is_there = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !is_there {
        println!("passed over: {program} is missing");
    }
    is_there
}

const SHORT: &str =
    r#"{"guide": false, "view_px": 64, "candidates": 1, "sampler": {"steps": 1}, "tune": {"iterations": 0}}"#;

fn is_completed(path: &Path) {
    let picture = image::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!((picture.width(), picture.height()), SIZE);
}

#[test]
fn the_python_client_completes_a_photo() {
    if !has("python3") {
        return;
    }
    let (data, photos) = (TempDir::new().unwrap(), scene());
    let server = Server::start(data.path(), &[]);
    let scene = photos.path().join("scene");
    let output = Command::new("python3")
        .arg(root().join("examples/client.py"))
        .args(["--server", &format!("http://{}", server.address), "--settings", SHORT])
        .arg("--target")
        .arg(scene.join("target/target.png"))
        .arg("--mask")
        .arg(scene.join("target/mask.png"))
        .arg("--output")
        .arg(photos.path().join("completed.v1"))
        .args([scene.join("ref/0.png"), scene.join("ref/1.png")])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("done"), "{told}");
    is_completed(&photos.path().join("completed.v1.png"));
}

#[test]
fn the_python_client_says_that_no_server_answers() {
    if !has("python3") {
        return;
    }
    let photos = scene();
    let photo = photos.path().join("scene/target/target.png");
    let mut command = Command::new("python3");
    command.arg(root().join("examples/client.py")).args(["--server", "http://127.0.0.1:9", "--output", "completed"]);
    let output = command.arg("--target").arg(&photo).arg("--mask").arg(&photo).arg(&photo).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.starts_with("http://127.0.0.1:9 does not answer"), "{told}");
}

/// The commands of the README's block that begins with `server=`.
fn curl_commands() -> String {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let block = readme.split("```sh\n").find(|block| block.starts_with("server=")).expect("README.md shows curl");
    block.split("```").next().unwrap().to_owned()
}

#[test]
fn the_curl_commands_complete_a_photo() {
    if !has("curl") || !has("bash") {
        return;
    }
    let (data, photos) = (TempDir::new().unwrap(), scene());
    let server = Server::start(data.path(), &[]);
    let scene = photos.path().join("scene");
    for (name, path) in [("photo", "target/target"), ("hole", "target/mask"), ("a", "ref/0"), ("b", "ref/1")] {
        std::fs::copy(scene.join(path).with_extension("png"), photos.path().join(name).with_extension("png")).unwrap();
    }
    let commands = curl_commands()
        .replace("http://127.0.0.1:7878", &format!("http://{}", server.address))
        .replace("\"candidates\": 4", &SHORT[1..SHORT.len() - 1])
        .replace(".jpg", ".png");
    let output =
        Command::new("bash").args(["-euo", "pipefail", "-c", &commands]).current_dir(photos.path()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{commands}\n{told}");
    is_completed(&photos.path().join("completed.png"));
}
