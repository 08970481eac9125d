//! A PostgreSQL server of the test's own: its files in a temporary folder, reached by a socket there and by nobody else.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A running database.
pub struct Postgres {
    process: Child,
    folder: TempDir,
}

impl Postgres {
    /// Makes and starts one; `None`, with a word, where PostgreSQL is not installed.
    pub fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            println!("passed over: PostgreSQL's initdb and postgres are missing");
            return None;
        };
        let folder = TempDir::new().unwrap();
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o777)).unwrap();
        let data = folder.path().join("data");
        let made = as_nobody_special(&programs.join("initdb"))
            .args(["--username=realfill", "--auth=trust", "--no-sync", "--pgdata"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Some(Self { process: started(&programs, folder.path()), folder }).inspect(Self::wait)
    }

    /// What `--queue` is given.
    pub fn url(&self) -> String {
        format!("postgres://realfill@/postgres?host={}", self.folder.path().display())
    }

    /// Ends it at once and starts it again after a while, as a failure of its machine would.
    pub fn fail_for(&mut self, time: Duration) {
        interrupt(&self.process, "-QUIT");
        self.process.wait().unwrap();
        std::thread::sleep(time);
        self.process = started(&programs().unwrap(), self.folder.path());
        self.wait();
    }

    fn wait(&self) {
        let clock = Instant::now();
        while std::os::unix::net::UnixStream::connect(self.folder.path().join(".s.PGSQL.5432")).is_err() {
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

fn started(programs: &Path, folder: &Path) -> Child {
    as_nobody_special(&programs.join("postgres"))
        .arg("-D")
        .arg(folder.join("data"))
        .arg("-k")
        .arg(folder)
        .args(["-h", "", "-c", "fsync=off"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
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
