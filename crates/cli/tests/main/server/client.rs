//! A server in a process of its own, and the plainest client: one request a connection, as bytes.

use super::Field;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest time that any job of a test takes, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(300);

const BOUNDARY: &str = "a-boundary-that-no-picture-has";

/// A running `realfill worker`.
pub struct Worker {
    process: Child,
}

impl Worker {
    /// Starts one and waits until it takes jobs.
    pub fn start(data: &Path, options: &[&str], variables: &[(&str, &str)]) -> Self {
        let (process, _) = started("worker", data, options, variables, "takes jobs");
        Self { process }
    }

    /// Ends it without a word.
    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Starts a command and waits for the line that says it is ready.
fn started(command: &str, data: &Path, options: &[&str], variables: &[(&str, &str)], ready: &str) -> (Child, String) {
    let mut process = Command::new(assert_cmd::cargo::cargo_bin("realfill"))
        .args([command, "--data-dir"])
        .arg(data)
        .args(options)
        .envs(variables.iter().copied())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
    let mut before = Vec::new();
    let line = lines.find(|line| {
        before.push(line.clone());
        line.contains(ready)
    });
    let line = line.unwrap_or_else(|| panic!("the {command} does not start: {before:?}"));
    let name = format!("{command} {}", process.id());
    std::thread::spawn(move || lines.for_each(|line| println!("{name}: {line}")));
    (process, line)
}

/// A running `realfill serve`.
pub struct Server {
    process: Child,
    /// `127.0.0.1:PORT`.
    pub address: String,
    token: Option<String>,
}

/// An answer.
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {} {}", self.head, self.text()))
    }

    /// The sentence of a problem document, after checking that it is one.
    pub fn problem(&self) -> String {
        assert!(self.head.contains("application/problem+json"), "{} {}", self.head, self.text());
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        problem["detail"].as_str().expect("a sentence").to_owned()
    }
}

impl Server {
    /// Starts one on a free port and waits until it says where it is.
    pub fn start(data: &Path, options: &[&str]) -> Self {
        Self::start_with(data, options, &[])
    }

    /// The same with variables of the environment.
    pub fn start_with(data: &Path, options: &[&str], variables: &[(&str, &str)]) -> Self {
        let options = [&["--port", "0"], options].concat();
        let (process, line) = started("serve", data, &options, variables, "is at http://");
        let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next()).unwrap().to_owned();
        Self { process, address, token: None }
    }

    /// Sends this token from now on.
    pub fn with_token(&mut self, token: &str) {
        self.token = Some(token.to_owned());
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Ends it without a word.
    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Asks it to end, and returns how long that took and whether it ended well.
    pub fn terminate(mut self) -> (Duration, bool) {
        let clock = Instant::now();
        assert!(Command::new("kill").arg(self.process.id().to_string()).status().unwrap().success());
        let status = self.process.wait().unwrap();
        (clock.elapsed(), status.success())
    }

    /// Sends bytes as they are and reads the answer to its end.
    pub fn raw(&self, request: &[u8]) -> Reply {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let _ = stream.write_all(request); // a refusal may come before all is read
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        parse(&answer)
    }

    /// A request with these header lines.
    pub fn send(&self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Reply {
        let token = self.token.as_ref().map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let more: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{token}{more}Content-Length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        self.raw(&[head.as_bytes(), body].concat())
    }

    pub fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], b"")
    }

    pub fn post(&self, path: &str, body: &Value) -> Reply {
        self.send("POST", path, &["Content-Type: application/json"], body.to_string().as_bytes())
    }

    pub fn upload(&self, fields: &[Field]) -> Reply {
        self.send("POST", "/v1/scenes", &[&form_type()], &form(fields))
    }

    /// Waits until a job rests, and returns it.
    pub fn rested(&self, job: &str) -> Value {
        self.until(job, |job| ["done", "failed", "stopped"].contains(&job["state"].as_str().unwrap_or_default()))
    }

    /// Waits until a job is so.
    pub fn until(&self, job: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let clock = Instant::now();
        loop {
            let found = self.get(&format!("/v1/jobs/{job}")).json();
            if is_so(&found) {
                return found;
            }
            assert!(clock.elapsed() < PATIENCE, "{found}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// All events of a job until the stream ends.
    pub fn events(&self, job: &str) -> Vec<Value> {
        let text = self.get(&format!("/v1/jobs/{job}/events")).text();
        let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
        data.map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The header line of a form.
pub fn form_type() -> String {
    format!("Content-Type: multipart/form-data; boundary={BOUNDARY}")
}

/// A form (RFC 7578).
pub fn form(fields: &[Field]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, file, content) in fields {
        let file = if file.is_empty() { String::new() } else { format!("; filename=\"{file}\"") };
        let head = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n");
        body.extend([head.as_bytes(), content, b"\r\n"].concat());
    }
    body.extend(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}

fn parse(answer: &[u8]) -> Reply {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(answer.len());
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no answer: {head}"));
    let rest = answer.get(end + 4..).unwrap_or_default();
    let is_chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    Reply { status, body: if is_chunked { joined(rest) } else { rest.to_vec() }, head }
}

/// The chunks of a body (RFC 9112, 7.1) put together.
fn joined(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap_or_default(), 16).unwrap_or(0);
        let Some(chunk) = rest.get(end + 2..end + 2 + size).filter(|_| size > 0) else { break };
        body.extend_from_slice(chunk);
        rest = rest.get(end + 4 + size..).unwrap_or_default();
    }
    body
}
