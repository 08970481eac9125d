//! A PostgreSQL server of the test's own: its files in a temporary folder, reached by a socket there and by nobody else, or over
//! TLS on this machine too.

use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The port that names its socket, where it has none of its own.
const PORT: u16 = 5432;

/// A running database.
pub struct Postgres {
    process: Child,
    folder: TempDir,
    port: Option<u16>,
}

impl Postgres {
    /// Makes and starts one; `None`, with a word, where PostgreSQL is not installed.
    pub fn start() -> Option<Self> {
        Self::start_in(TempDir::new().unwrap(), None)
    }

    /// The same on a port as well, with TLS: `server.pem` and `server.key` in the folder are its certificate and key.
    pub fn start_with_tls(folder: TempDir) -> Option<Self> {
        let port = TcpListener::bind("localhost:0").unwrap().local_addr().unwrap().port();
        Self::start_in(folder, Some(port))
    }

    fn start_in(folder: TempDir, port: Option<u16>) -> Option<Self> {
        let Some(programs) = programs() else {
            println!("passed over: PostgreSQL's initdb and postgres are missing");
            return None;
        };
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o777)).unwrap();
        let data = folder.path().join("data");
        let made = as_nobody_special(&programs.join("initdb"))
            .args(["--username=realfill", "--auth=trust", "--no-sync", "--pgdata"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        if port.is_some() {
            let (key, owner) = (folder.path().join("server.key"), std::fs::metadata(&data).unwrap().uid());
            std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
            std::os::unix::fs::chown(&key, Some(owner), None).unwrap(); // it takes no other's key
        }
        Some(Self { process: started(&programs, folder.path(), port), folder, port }).inspect(Self::wait)
    }

    /// What `--queue` is given.
    pub fn url(&self) -> String {
        format!(
            "postgres://realfill@/postgres?host={}&port={}",
            self.folder.path().display(),
            self.port.unwrap_or(PORT)
        )
    }

    /// The same over TLS, by a name of this machine and with more parameters.
    pub fn tls_url(&self, host: &str, parameters: &str) -> String {
        format!("postgres://realfill@{host}:{}/postgres{parameters}", self.port.expect("a port"))
    }

    /// What a query answers, as text.
    pub fn ask(&self, query: &str) -> String {
        let program = programs().unwrap().join("psql");
        let answer = Command::new(program).args(["-At", "-c", query, &self.url()]).output().unwrap();
        assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
        String::from_utf8(answer.stdout).unwrap().trim().to_owned()
    }

    /// Ends it at once and starts it again after a while, as a failure of its machine would.
    pub fn fail_for(&mut self, time: Duration) {
        interrupt(&self.process, "-QUIT");
        self.process.wait().unwrap();
        std::thread::sleep(time);
        self.process = started(&programs().unwrap(), self.folder.path(), self.port);
        self.wait();
    }

    fn wait(&self) {
        let clock = Instant::now();
        let socket = format!(".s.PGSQL.{}", self.port.unwrap_or(PORT));
        while std::os::unix::net::UnixStream::connect(self.folder.path().join(&socket)).is_err() {
            assert!(clock.elapsed() < Duration::from_secs(60), "PostgreSQL does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        interrupt(&self.process, "-QUIT");
        let _ = self.process.wait();
    }
}

fn started(programs: &Path, folder: &Path, port: Option<u16>) -> Child {
    let mut command = as_nobody_special(&programs.join("postgres"));
    command.arg("-D").arg(folder.join("data")).arg("-k").arg(folder).args(["-c", "fsync=off"]);
    match port {
        None => command.args(["-h", ""]),
        Some(port) => {
            let [certificate, key] = [("cert", "server.pem"), ("key", "server.key")]
                .map(|(kind, file)| format!("ssl_{kind}_file={}", folder.join(file).display()));
            command.args(["-h", "localhost", "-p", &port.to_string(), "-c", "ssl=on", "-c", &certificate, "-c", &key])
        }
    };
    command.stderr(Stdio::null()).spawn().unwrap()
}

fn interrupt(process: &Child, signal: &str) {
    let _ = Command::new("kill").args([signal, &process.id().to_string()]).status();
}

/// PostgreSQL refuses to run as root, so that its programs are run as its own user there.
fn as_nobody_special(program: &Path) -> Command {
    let id = Command::new("id").arg("-u").output().map(|output| output.stdout).unwrap_or_default();
    if id != b"0\n" {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program);
    command.current_dir("/");
    command
}

/// The folder of PostgreSQL's programs: Debian keeps them out of the way, one for each version.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    found.sort();
    found.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    found.into_iter().find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
}
