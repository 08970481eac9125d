//! The plainest HTTP client: one request a connection.

use anyhow::{Context, Result, bail, ensure};
use realfill_vision::Photo;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Longest time that an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

const KIND: &str = "multipart/form-data; boundary=between-the-fields";

/// A server's address.
pub struct Server(pub String);

impl Server {
    /// A request with a JSON body or none; the answer's JSON, or null.
    pub fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let body = body.map(|body| body.to_string().into_bytes());
        self.send(method, path, body.as_ref().map(|body| ("application/json", body)))
    }

    /// A request with a body of a kind.
    pub fn send(&self, method: &str, path: &str, body: Option<(&str, &Vec<u8>)>) -> Result<Value> {
        let answer = self.answer(method, path, body)?;
        if answer.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_slice(&answer)?) }
    }

    /// An answer that is text.
    pub fn text(&self, path: &str) -> Result<String> {
        Ok(String::from_utf8(self.answer("GET", path, None)?)?)
    }

    fn answer(&self, method: &str, path: &str, body: Option<(&str, &Vec<u8>)>) -> Result<Vec<u8>> {
        let mut stream = self.ask(method, path, body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).with_context(|| format!("{method} {path}"))?;
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").context("no headers")?;
        let body = answer.split_off(end + 4);
        let status = std::str::from_utf8(&answer)?.split(' ').nth(1).unwrap_or_default().to_owned();
        ensure!(status.starts_with('2'), "{method} {path}: {status} {}", String::from_utf8_lossy(&body));
        Ok(body)
    }

    /// Reads a stream of events for as long as `go_on` says so.
    pub fn listen(&self, path: &str, go_on: impl Fn() -> bool) -> Result<()> {
        let mut lines = BufReader::new(self.ask("GET", path, None)?).lines();
        let first = lines.next().context("no answer")??;
        ensure!(first.contains(" 200 "), "{path}: {first}");
        for line in lines {
            line?;
            if !go_on() {
                return Ok(());
            }
        }
        bail!("{path} ended while its job runs")
    }

    fn ask(&self, method: &str, path: &str, body: Option<(&str, &Vec<u8>)>) -> Result<TcpStream> {
        let mut stream = TcpStream::connect(&self.0).with_context(|| format!("nothing listens on {}", self.0))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let kind = body.map(|(kind, _)| format!("Content-Type: {kind}\r\n")).unwrap_or_default();
        let content = body.map(|(_, content)| content.as_slice()).unwrap_or_default();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{kind}Content-Length: {}\r\n\r\n",
            self.0,
            content.len()
        );
        stream.write_all(&[head.as_bytes(), content].concat())?;
        Ok(stream)
    }
}

/// A small scene as a form: its media type and content.
pub fn form() -> (&'static str, Vec<u8>) {
    let folder =
        std::env::temp_dir().join(format!("realfill-load-{}-{:?}", std::process::id(), std::thread::current().id()));
    let picture = |shift: u32| {
        let pixel = |x: u32, y: u32| [(x * 7 + shift) as u8, (y * 5) as u8, (x * y) as u8].into();
        let path = folder.join("picture.png");
        let saved = Photo::from_pixels(image::RgbImage::from_fn(160, 120, pixel)).save(&path);
        saved.ok().and_then(|()| std::fs::read(&path).ok()).unwrap_or_default()
    };
    let _ = std::fs::create_dir_all(&folder);
    let mut body = Vec::new();
    for (name, shift) in [("target", 0), ("reference", 3)] {
        let head = format!(
            "--between-the-fields\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{name}.png\"\r\n\r\n"
        );
        body.extend([head.as_bytes(), &picture(shift), b"\r\n"].concat());
    }
    let _ = std::fs::remove_dir_all(&folder);
    body.extend(b"--between-the-fields--\r\n");
    (KIND, body)
}
