//! The HTTP API, the queue behind it, and the web page.
//!
//! Requests become rows and files; a worker takes one job after another and has a process of its own run it. What a job
//! tells goes to a file and to everyone who listens. See `docs/server.md` for how to use it.

mod access;
mod api;
mod config;
mod drain;
mod example;
mod feed;
mod folder;
mod guard;
mod id;
mod listen;
mod metrics;
mod page;
mod pictures;
mod problem;
mod request;
mod store;
mod upload;
mod worker;

pub use config::{Config, Limits, Offer, ServeError};

use access::Tokens;
use feed::Feeds;
use folder::DataFolder;
use guard::Names;
use id::Id;
use metrics::Metrics;
use problem::Answer;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use store::{Job, Store, StoredScene, unix_now};
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore, watch};

/// Pictures that are decoded at a time: each may take its megapixels times 12 bytes.
const DECODERS: usize = 2;

/// Between two looks for scenes that were kept long enough.
const RETENTION_EVERY: Duration = Duration::from_secs(3600);

/// What all requests and the worker share.
struct Server {
    config: Config,
    names: Names,
    tokens: Tokens,
    store: Store,
    folder: DataFolder,
    feeds: Feeds,
    metrics: Metrics,
    /// Told when there is something new in the queue.
    wake: Notify,
    /// Jobs that run here, and how to tell each to stop.
    stops: Mutex<HashMap<Id, Arc<Notify>>>,
    decoding: Semaphore,
    /// Whether the server is to end.
    ends: watch::Receiver<bool>,
}

type Shared = Arc<Server>;

impl Server {
    fn open(config: Config, ends: watch::Receiver<bool>) -> Result<Self, ServeError> {
        config.check()?;
        let folder = DataFolder::open(&config.data_folder)?;
        let fail = |reason: String| ServeError::Folder { path: config.data_folder.clone(), reason };
        let store = Store::open(&folder.database()).map_err(|error| fail(format!("its database: {error}")))?;
        let known = store.now(|db| Ok((Job::give_back_all(db)?, StoredScene::all(db)?, Job::all(db)?)));
        let (given_back, scenes, jobs) = known.map_err(|error| fail(format!("its database: {error}")))?;
        folder.sweep(&scenes, &jobs).map_err(|error| fail(error.to_string()))?;
        if given_back > 0 {
            tracing::info!("{given_back} job(s) go on from where an earlier run ended");
        }
        Ok(Self {
            names: Names::new(config.address.ip(), &config.hosts),
            tokens: Tokens::new(&config.tokens),
            store,
            folder,
            feeds: Feeds::default(),
            metrics: Metrics::default(),
            wake: Notify::new(),
            stops: Mutex::default(),
            decoding: Semaphore::new(DECODERS),
            ends,
            config,
        })
    }

    /// Removes a scene, its jobs and all their files; `false` where a job of it runs.
    async fn remove_scene(&self, id: &Id) -> Answer<bool> {
        let scene = id.clone();
        let Some(jobs) = self.store.run(move |db| StoredScene::remove(db, &scene)).await? else { return Ok(false) };
        jobs.iter().try_for_each(|job| self.folder.remove(&self.folder.job(job)))?;
        self.folder.remove(&self.folder.scene(id))?;
        Ok(true)
    }

    /// Removes what was kept long enough, now and then.
    async fn retain(&self, keep: Duration) {
        loop {
            let before = unix_now() - keep.as_secs() as i64;
            let old = self.store.run(move |db| StoredScene::unused_since(db, before)).await.unwrap_or_default();
            for id in old {
                if let Err(problem) = self.remove_scene(&id).await {
                    tracing::warn!("the old scene {id} is not removed: {}", problem.detail);
                }
            }
            tokio::time::sleep(RETENTION_EVERY).await;
        }
    }
}

/// Serves until SIGTERM or Ctrl-C; then parks the running job and ends within 10 seconds. `on_ready` hears the address,
/// whose port the system chose where 0 was asked for.
///
/// # Errors
/// [`ServeError`]: what cannot be had at the start.
pub fn serve(config: Config, on_ready: impl FnOnce(SocketAddr)) -> Result<(), ServeError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(run(config, on_ready));
    runtime.shutdown_timeout(Duration::from_secs(1));
    served
}

async fn run(config: Config, on_ready: impl FnOnce(SocketAddr)) -> Result<(), ServeError> {
    let (end, ends) = watch::channel(false);
    let (address, keep) = (config.address, config.keep);
    let server = Arc::new(Server::open(config, ends.clone())?);
    let bind = |source| ServeError::Bind { address, source };
    let listener = TcpListener::bind(address).await.map_err(bind)?;
    on_ready(listener.local_addr()?);
    let worker = tokio::spawn(worker::work(server.clone(), ends.clone()));
    let router = api::router(server.clone());
    let listening = tokio::spawn(listen::listen(server.clone(), listener, router, ends));
    let retention = async {
        match keep {
            Some(keep) => server.retain(keep).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        stopped = asked_to_end() => stopped?,
        () = retention => {}
    }
    tracing::info!("ending; a running job is parked and goes on at the next start");
    let _ = end.send(true);
    let _ = tokio::join!(worker, listening);
    Ok(())
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
