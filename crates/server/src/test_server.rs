//! A server for tests that need one to hand and ask nothing of it over the network.

use crate::config::{Config, Limits};
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
