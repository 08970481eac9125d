//! SQLite: a file in the data folder, for one process.

use super::StoreError;
use super::db::{Cell, Done, Driver, Row};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql, params_from_iter};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Opens the file, and makes it if need be. Every commit is on the disk before it returns.
///
/// # Errors
/// The file cannot be had or is no database.
pub fn open(path: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Int(value) => ValueRef::Integer(*value),
            Self::Text(value) => ValueRef::Text(value.as_bytes()),
            Self::Null => ValueRef::Null,
        }))
    }
}

fn cell(value: ValueRef) -> Result<Cell, StoreError> {
    Ok(match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(value) => Cell::Int(value),
        other => Cell::Text(other.as_str().map_err(rusqlite::Error::from)?.to_owned()),
    })
}

impl Driver for Connection {
    fn run(&mut self, query: &str, values: &[Cell]) -> Result<Done, StoreError> {
        let query =
            query.replace(" FOR UPDATE SKIP LOCKED", "").replace(" FOR UPDATE", "").replace("now()", "unixepoch()");
        let mut statement = self.prepare_cached(&query)?;
        if statement.column_count() == 0 {
            let count = statement.execute(params_from_iter(values))? as u64;
            return Ok(Done { count, rows: Vec::new() });
        }
        let names: Arc<[String]> = statement.column_names().map(str::to_owned).collect();
        let mut found = statement.query(params_from_iter(values))?;
        let mut rows = Vec::new();
        while let Some(row) = found.next()? {
            let cells = (0..names.len()).map(|column| cell(row.get_ref(column)?)).collect::<Result<_, _>>()?;
            rows.push(Row { names: names.clone(), cells });
        }
        Ok(Done { count: rows.len() as u64, rows })
    }

    fn batch(&mut self, queries: &str) -> Result<(), StoreError> {
        Ok(self.execute_batch(queries)?)
    }

    fn begin(&self) -> &'static str {
        "BEGIN IMMEDIATE"
    }

    fn alone(&self) -> Option<&'static str> {
        None // `BEGIN IMMEDIATE` lets one in at a time
    }

    fn definition(&self, definition: &str) -> String {
        definition.replace("BIGINT GENERATED ALWAYS AS IDENTITY", "INTEGER").replace("BIGINT", "INTEGER")
    }
}
