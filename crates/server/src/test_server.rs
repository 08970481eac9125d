//! A server for tests that need one to hand and ask nothing of it over the network.

use crate::config::{Config, Limits};
use crate::id::Id;
use crate::store::{Job, NewJob, StoredScene};
use crate::{Server, Shared};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// One whose data is below `root`, and which waits 20 ms for a piece of an upload.
pub async fn server(root: &Path) -> Shared {
    let config = Config {
        address: ([127, 0, 0, 1], 0).into(),
        data_folder: root.join("data"),
        queue: None,
        storage: None,
        tokens: Vec::new(),
        hosts: Vec::new(),
        program: root.join("none"),
        models: Vec::new(),
        devices: Vec::new(),
        limits: Limits { idle: Duration::from_millis(20), ..Limits::default() },
        keep: None,
    };
    Arc::new(Server::open(config, watch::channel(false).1).await.unwrap())
}

/// A scene without pictures and a job of it, for who asks without a token.
pub async fn put(server: &Shared) -> (Id, Id) {
    let (scene, job) = (Id::random(), Id::random());
    let (owner, name) = ("all".to_owned(), "s".to_owned());
    let row =
        StoredScene { id: scene.clone(), owner: owner.clone(), name, created: 5, has_hole: false, photos: Vec::new() };
    let (id, request) = (job.clone(), "{}".to_owned());
    let new = NewJob { id, owner, scene: scene.clone(), request, priority: 0, files: None };
    let adding = server.store.run(move |db| row.insert(db, None).and_then(|()| Job::insert(db, &new)));
    adding.await.unwrap();
    (scene, job)
}
