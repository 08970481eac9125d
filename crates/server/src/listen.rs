//! Connections: accepted up to a limit, ended when their headers do not come or their answers are not taken, and ended in good
//! order with the server.

use crate::Shared;
use crate::patient::Patient;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

/// Time for a request's headers, and for which a connection may be idle.
const HEADERS: Duration = Duration::from_secs(15);

/// Time in which something of an answer has to be taken, however little.
const ANSWERS: Duration = Duration::from_secs(60);

/// Most bytes of a request's headers.
const HEADER_BYTES: usize = 32 << 10;

/// Time for the answers that are under way when the server ends.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// Pause after a connection could not be accepted (no file handles left).
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// Serves until `ends` says so, and then until the answers under way are given.
pub async fn listen(server: Shared, listener: TcpListener, router: Router, mut ends: watch::Receiver<bool>) {
    let room = Arc::new(Semaphore::new(server.config.limits.connections));
    let graceful = GracefulShutdown::new();
    loop {
        let permit = tokio::select! {
            permit = room.clone().acquire_owned() => permit,
            _ = ends.changed() => break,
        };
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!("a connection was not accepted: {error}");
                    sleep(AFTER_FAILURE).await;
                    continue;
                }
            },
            _ = ends.changed() => break,
        };
        let serving = graceful.watch(connection(stream, router.clone()));
        let server = server.clone();
        server.metrics.connections.fetch_add(1, Relaxed);
        tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::debug!("a connection ended: {error}");
            }
            server.metrics.connections.fetch_sub(1, Relaxed);
            drop(permit);
        });
    }
    drop(listener);
    let _ = timeout(LAST_ANSWERS, graceful.shutdown()).await;
}

type Service = TowerToHyperService<Router>;

fn connection(stream: TcpStream, router: Router) -> http1::Connection<TokioIo<Patient<TcpStream>>, Service> {
    let _ = stream.set_nodelay(true);
    let service: Service = TowerToHyperService::new(router);
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_buf_size(HEADER_BYTES.max(8192))
        .serve_connection(TokioIo::new(Patient::new(stream, ANSWERS)), service)
}
