//! PostgreSQL: for servers and workers in any number of processes, on any machines. A few connections, opened when they are
//! needed; one that broke is left and another opened.

use super::StoreError;
use super::db::{Cell, Done, Driver, Row};
use crate::feed::locked;
use rustls::{ClientConfig, RootCertStore};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Most connections of one process.
const CONNECTIONS: usize = 8;

/// Time for an answer, and for a connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// The lock that makers of tables hold: any number that is ours.
const ALONE: &str = "SELECT pg_advisory_xact_lock(7244935512)";

/// A database and the connections to it.
pub struct Postgres {
    config: Config,
    tls: MakeRustlsConnect,
    idle: Mutex<Vec<Link>>,
    room: Semaphore,
    runtime: Handle,
}

/// A connection, and what was prepared on it.
struct Link {
    client: Client,
    statements: HashMap<String, Statement>,
}

/// A connection in use.
struct InUse<'a> {
    link: &'a mut Link,
    runtime: &'a Handle,
    /// Whether an answer did not come: then nobody knows what state the connection is in.
    is_lost: bool,
}

impl Postgres {
    /// The database of a URL such as `postgres://user:password@host/name`. To be called inside a tokio runtime.
    ///
    /// # Errors
    /// The URL cannot be read.
    pub fn new(url: &str) -> Result<Self, StoreError> {
        let mut config: Config = url.parse().map_err(|error| StoreError::Url(super::in_full(&error)))?;
        config.connect_timeout(PATIENCE).application_name("realfill");
        let (idle, room) = (Mutex::default(), Semaphore::new(CONNECTIONS));
        Ok(Self { config, tls: MakeRustlsConnect::new(trust()?), idle, room, runtime: Handle::current() })
    }

    /// Does something with a connection. Waits, so never on a thread that answers requests.
    ///
    /// # Errors
    /// What `work` returns, and a database that cannot be reached.
    pub fn with<T>(&self, work: impl FnOnce(&mut dyn Driver) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let room = self.runtime.block_on(self.room.acquire()).map_err(|_| StoreError::Silent)?;
        let kept = locked(&self.idle).pop().filter(|link| !link.client.is_closed());
        let mut link = match kept {
            Some(link) => link,
            None => self.runtime.block_on(self.connect())?,
        };
        let mut in_use = InUse { link: &mut link, runtime: &self.runtime, is_lost: false };
        let done = work(&mut in_use);
        let is_lost = in_use.is_lost;
        if !is_lost && !link.client.is_closed() {
            locked(&self.idle).push(link);
        }
        drop(room);
        done
    }

    async fn connect(&self) -> Result<Link, StoreError> {
        let connecting = timeout(PATIENCE, self.config.connect(self.tls.clone())).await;
        let (client, connection) = connecting.map_err(|_| StoreError::Silent)??;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::warn!("a connection to the database ended: {}", super::in_full(&error));
            }
        });
        Ok(Link { client, statements: HashMap::new() })
    }
}

/// Whom to trust as a database over TLS: the system's certificates, and those of the file in `PGSSLROOTCERT`.
fn trust() -> Result<ClientConfig, StoreError> {
    crate::use_rustls();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(file) = std::env::var_os("PGSSLROOTCERT") {
        let wrong = |error: String| StoreError::Url(format!("PGSSLROOTCERT, {}: {error}", file.display()));
        let text = std::fs::read(&file).map_err(|error| wrong(error.to_string()))?;
        for certificate in rustls::pki_types::pem::PemObject::pem_slice_iter(&text) {
            let certificate = certificate.map_err(|error: rustls::pki_types::pem::Error| wrong(error.to_string()))?;
            roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
        }
    }
    Ok(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

/// Waits for an answer, and notes where none came.
fn wait<T>(
    runtime: &Handle,
    is_lost: &mut bool,
    asked: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, StoreError> {
    let answer = runtime.block_on(async { timeout(PATIENCE, asked).await });
    *is_lost |= answer.is_err();
    Ok(answer.map_err(|_| StoreError::Silent)??)
}

impl InUse<'_> {
    fn prepared(&mut self, query: &str, values: &[Cell]) -> Result<Statement, StoreError> {
        if let Some(known) = self.link.statements.get(query) {
            return Ok(known.clone());
        }
        let text = query.replace('?', "$").replace("now()", "extract(epoch FROM clock_timestamp())::bigint");
        let types: Vec<Type> = values.iter().map(type_of).collect();
        let statement = wait(self.runtime, &mut self.is_lost, self.link.client.prepare_typed(&text, &types))?;
        self.link.statements.insert(query.to_owned(), statement.clone());
        Ok(statement)
    }
}

impl Driver for InUse<'_> {
    fn run(&mut self, query: &str, values: &[Cell]) -> Result<Done, StoreError> {
        let statement = self.prepared(query, values)?;
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(parameter).collect();
        let client = &self.link.client;
        if statement.columns().is_empty() {
            let count = wait(self.runtime, &mut self.is_lost, client.execute(&statement, &values))?;
            return Ok(Done { count, rows: Vec::new() });
        }
        let found = wait(self.runtime, &mut self.is_lost, client.query(&statement, &values))?;
        let names: Arc<[String]> = statement.columns().iter().map(|column| column.name().to_owned()).collect();
        let rows: Vec<Row> = found.iter().map(|row| read(row, &names)).collect::<Result<_, _>>()?;
        Ok(Done { count: rows.len() as u64, rows })
    }

    fn batch(&mut self, queries: &str) -> Result<(), StoreError> {
        wait(self.runtime, &mut self.is_lost, self.link.client.batch_execute(queries))
    }

    fn begin(&self) -> &'static str {
        "BEGIN"
    }

    fn alone(&self) -> Option<&'static str> {
        Some(ALONE)
    }

    fn definition(&self, definition: &str) -> String {
        definition.replace(" STRICT", "")
    }
}

fn type_of(cell: &Cell) -> Type {
    match cell {
        Cell::Int(_) => Type::INT8,
        Cell::Text(_) | Cell::Null => Type::TEXT,
    }
}

fn parameter(cell: &Cell) -> &(dyn ToSql + Sync) {
    match cell {
        Cell::Int(value) => value,
        Cell::Text(value) => value,
        Cell::Null => &None::<String>,
    }
}

fn read(row: &tokio_postgres::Row, names: &Arc<[String]>) -> Result<Row, StoreError> {
    let cell = |(column, about): (usize, &tokio_postgres::Column)| match *about.type_() {
        Type::INT8 => row.try_get::<_, Option<i64>>(column).map(Cell::from),
        _ => row.try_get::<_, Option<String>>(column).map(Cell::from),
    };
    let cells = row.columns().iter().enumerate().map(cell).collect::<Result<_, _>>()?;
    Ok(Row { names: names.clone(), cells })
}
