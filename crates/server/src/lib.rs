//! The HTTP API, the queue behind it, and the web page.
//!
//! Requests become rows and files; a worker takes one job after another and has a process of its own run it. What a job
//! tells goes to a file and to everyone who listens. See `docs/server.md` for how to use it.

mod access;
mod api;
mod bucket;
mod config;
mod decoding;
mod drain;
mod example;
mod feed;
mod files;
mod folder;
mod form;
mod guard;
mod id;
mod listen;
mod metrics;
mod page;
mod patient;
mod pictures;
mod priority;
mod problem;
mod request;
mod storage;
mod store;
#[cfg(test)]
mod test_server;
mod upload;
mod worker;

pub use config::{Config, Limits, Offer, ServeError, without_password};

use access::Tokens;
use bucket::Bucket;
use feed::{Feed, Feeds};
use folder::DataFolder;
use guard::Names;
use id::Id;
use metrics::Metrics;
use problem::Answer;
use std::collections::HashMap;
use std::fs::File;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use storage::{Place, Storage};
use store::{Installation, Job, JobState, Store, StoreError, StoredScene, unix_now};
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore, watch};

/// Between two looks for scenes that were kept long enough.
const RETENTION_EVERY: Duration = Duration::from_secs(3600);

/// What all requests and the worker share.
struct Server {
    config: Config,
    names: Names,
    tokens: Tokens,
    store: Store,
    storage: Storage,
    feeds: Feeds,
    metrics: Metrics,
    /// Told when there is something new in the queue.
    wake: Notify,
    /// Jobs that run here, and how to tell each to stop.
    stops: Mutex<HashMap<Id, Arc<Notify>>>,
    /// Places for pictures to be decoded.
    decoding: Arc<Semaphore>,
    /// Whether the server is to end.
    ends: watch::Receiver<bool>,
    /// The name under which jobs are held, and what keeps others from having it.
    worker: Id,
    _worker_lock: File,
}

type Shared = Arc<Server>;

impl Server {
    async fn open(config: Config, ends: watch::Receiver<bool>) -> Result<Self, ServeError> {
        config.check()?;
        let folder = DataFolder::open(&config.data_folder, config.queue.is_some())?;
        let fail = |reason: String| ServeError::Folder { path: config.data_folder.clone(), reason };
        let (worker, lock) = folder.worker().map_err(|error| fail(error.to_string()))?;
        let store = open_store(&config, &folder).await?;
        let database = store.asked(Installation::of).await.map_err(|error| not_usable(&config, &error))?;
        let bucket = open_bucket(&config, &database).await?;
        let holder = config.queue.is_some().then(|| worker.to_string()); // without a shared queue nobody else holds any
        let given_back = store.asked(move |db| Job::give_back(db, holder.as_deref())).await;
        let given_back = given_back.map_err(|error| not_usable(&config, &error))?;
        if !given_back.is_empty() {
            tracing::info!(
                "an earlier run was cut off in {} job(s); they go on, unless that happened too often",
                given_back.len()
            );
        }
        let storage = Storage::new(folder, bucket, store.clone());
        storage.sweep(&database).await.map_err(|problem| fail(problem.detail))?;
        let server = Self {
            names: Names::new(config.address.ip(), &config.hosts),
            tokens: Tokens::new(&config.tokens),
            store,
            storage,
            feeds: Feeds::default(),
            metrics: Metrics::default(),
            wake: Notify::new(),
            stops: Mutex::default(),
            decoding: Arc::new(Semaphore::new(decoding::PLACES)),
            ends,
            worker,
            _worker_lock: lock,
            config,
        };
        for job in given_back {
            server.tell_state(&job.id, job.state, job.error.as_deref());
        }
        Ok(server)
    }

    /// Whether no other process takes jobs from the queue.
    fn is_alone(&self) -> bool {
        self.config.queue.is_none()
    }

    /// What a job tells, for whoever listens.
    async fn feed(&self, job: &Id) -> Answer<Arc<Feed>> {
        match self.store.keeps_events() {
            true => self.feeds.following(job, &self.store).await,
            false => Ok(self.feeds.of(job, &self.storage.folder.job(job))),
        }
    }

    /// Tells of a new state, where the database has not done so already.
    fn tell_state(&self, job: &Id, state: JobState, error: Option<&str>) {
        if !self.store.keeps_events() {
            self.feeds.of(job, &self.storage.folder.job(job)).tell_state(state.name(), error);
        }
    }

    /// Tells whoever listens to a job that is removed not to wait for more.
    fn tell_removed(&self, job: &Id) {
        if let Some(feed) = self.feeds.held(job) {
            feed.tell_state("stopped", None);
        }
    }

    /// Removes a scene, its jobs and all their files; `false` where it stays, since a job of it runs or it was used since
    /// `unused_since`.
    async fn remove_scene(&self, id: &Id, unused_since: Option<i64>) -> Answer<bool> {
        let scene = id.clone();
        let removing = self.store.run(move |db| StoredScene::remove(db, &scene, unused_since));
        let Some(jobs) = removing.await? else { return Ok(false) };
        for job in jobs {
            self.tell_removed(&job);
            self.storage.remove(&Place::Job(job)).await?;
        }
        self.storage.remove(&Place::Scene(id.clone())).await?;
        Ok(true)
    }

    /// Removes what was kept long enough, now and then.
    async fn retain(&self, keep: Duration) {
        loop {
            let before = unix_now() - keep.as_secs() as i64;
            let old = self.store.run(move |db| StoredScene::unused_since(db, before)).await.unwrap_or_default();
            for id in old {
                if let Err(problem) = self.remove_scene(&id, Some(before)).await {
                    tracing::warn!("the old scene {id} is not removed: {}", problem.detail);
                }
            }
            tokio::time::sleep(RETENTION_EVERY).await;
        }
    }
}

async fn open_store(config: &Config, folder: &DataFolder) -> Result<Store, ServeError> {
    match &config.queue {
        Some(url) => Store::connect(url).await,
        None => Store::open(&folder.database(), config.storage.is_some()),
    }
    .map_err(|error| not_usable(config, &error))
}

async fn open_bucket(config: &Config, database: &Installation) -> Result<Option<Bucket>, ServeError> {
    let Some(url) = &config.storage else { return Ok(None) };
    let fail = |reason| ServeError::Storage { url: url.clone(), reason };
    let bucket = Bucket::open(url, database.id.clone()).map_err(fail)?;
    bucket.try_it().await.map_err(fail)?;
    Ok(Some(bucket))
}

fn not_usable(config: &Config, error: &StoreError) -> ServeError {
    let reason = error.to_string();
    match &config.queue {
        Some(url) => ServeError::Queue { url: url.clone(), reason },
        None => ServeError::Folder { path: config.data_folder.clone(), reason: format!("its database: {reason}") },
    }
}

/// TLS by `rustls` with `ring`, for all connections that this process makes.
fn use_rustls() {
    let _ = rustls::crypto::ring::default_provider().install_default(); // an error says that it is installed already
}

/// Serves until SIGTERM or Ctrl-C; then parks the running job and ends within 10 seconds. `on_ready` hears the address,
/// whose port the system chose where 0 was asked for.
///
/// # Errors
/// [`ServeError`]: what cannot be had at the start.
pub fn serve(config: Config, on_ready: impl FnOnce(SocketAddr)) -> Result<(), ServeError> {
    in_runtime(run(config, on_ready))
}

/// Runs the jobs of a shared queue, one at a time, until SIGTERM or Ctrl-C; then parks the running one and ends within 10
/// seconds. `on_ready` is called when it begins to wait for jobs.
///
/// # Errors
/// [`ServeError`]: what cannot be had at the start.
pub fn work(config: Config, on_ready: impl FnOnce()) -> Result<(), ServeError> {
    if config.queue.is_none() {
        return Err(ServeError::NoQueue);
    }
    in_runtime(async {
        let (end, ends) = watch::channel(false);
        let server = Arc::new(Server::open(config, ends.clone()).await?);
        on_ready();
        let working = worker::work(server, ends);
        let ending = async {
            let asked = asked_to_end().await;
            tracing::info!("ending; a running job is parked and goes on with another worker");
            let _ = end.send(true);
            asked
        };
        let ((), asked) = tokio::join!(working, ending);
        Ok(asked?)
    })
}

fn in_runtime(work: impl Future<Output = Result<(), ServeError>>) -> Result<(), ServeError> {
    files::allow_many();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().on_thread_start(priority::giving_way()).build()?;
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(Duration::from_secs(1));
    done
}

async fn run(config: Config, on_ready: impl FnOnce(SocketAddr)) -> Result<(), ServeError> {
    let (end, ends) = watch::channel(false);
    let (address, keep) = (config.address, config.keep);
    let server = Arc::new(Server::open(config, ends.clone()).await?);
    let bind = |source| ServeError::Bind { address, source };
    let listener = TcpListener::bind(address).await.map_err(bind)?;
    on_ready(listener.local_addr()?);
    let router = api::router(server.clone());
    let listening = tokio::spawn(listen::listen(server.clone(), listener, router, ends.clone()));
    let working = async {
        if server.is_alone() {
            worker::work(server.clone(), ends).await;
        }
    };
    let retention = async {
        match keep {
            Some(keep) => server.retain(keep).await,
            None => std::future::pending().await,
        }
    };
    let ending = async {
        let asked = tokio::select! {
            asked = asked_to_end() => asked,
            () = retention => Ok(()),
        };
        tracing::info!("ending; a running job is parked and goes on at the next start");
        let _ = end.send(true);
        asked
    };
    let ((), asked) = tokio::join!(working, ending);
    let _ = listening.await;
    Ok(asked?)
}

/// SIGTERM or Ctrl-C.
#[cfg(unix)]
async fn asked_to_end() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

/// Ctrl-C.
#[cfg(not(unix))]
async fn asked_to_end() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_server::{put, server};

    #[tokio::test]
    async fn who_listens_to_a_job_hears_that_its_scene_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let server = server(root.path()).await;
        let (scene, job) = put(&server).await;
        let feed = server.feed(&job).await.unwrap();
        assert!(server.remove_scene(&scene, None).await.unwrap());
        assert!(feed.lines(0).last().unwrap().contains("stopped"), "{:?}", feed.lines(0));
    }

    #[tokio::test]
    async fn who_listens_to_a_job_hears_that_it_failed_at_a_start() {
        let root = tempfile::tempdir().unwrap();
        let lost = server(root.path()).await;
        let (_, job) = put(&lost).await;
        std::fs::create_dir(lost.storage.folder.job(&job)).unwrap();
        let taking = lost.store.run(|db| {
            for _ in 0..4 {
                Job::take(db, "lost", 60)?;
                Job::give_back(db, None)?;
            }
            Job::take(db, "lost", 60)
        });
        assert!(taking.await.unwrap().is_some());
        drop(lost);
        let feed = server(root.path()).await.feed(&job).await.unwrap();
        let told: Vec<_> = feed.lines(0).iter().map(|line| line.contains("the worker was lost")).collect();
        assert_eq!(told, [true], "{:?}", feed.lines(0));
    }
}
