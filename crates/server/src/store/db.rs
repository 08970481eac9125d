//! One way to ask SQLite and PostgreSQL. Queries are written once, in the words that both know; what differs is told here:
//! `?1` is `$1` in PostgreSQL, and SQLite knows no `FOR UPDATE` (its writers come one after another anyway) and calls the
//! time otherwise.

use super::StoreError;
use crate::id::Id;
use std::sync::Arc;

/// A value that goes into a query or comes out of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// A whole number.
    Int(i64),
    /// A text.
    Text(String),
    /// Nothing.
    Null,
}

impl From<i64> for Cell {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<bool> for Cell {
    fn from(value: bool) -> Self {
        Self::Int(value.into())
    }
}

impl From<&str> for Cell {
    fn from(value: &str) -> Self {
        Self::Text(value.into())
    }
}

impl From<String> for Cell {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<&String> for Cell {
    fn from(value: &String) -> Self {
        Self::Text(value.clone())
    }
}

impl From<&Id> for Cell {
    fn from(value: &Id) -> Self {
        value.as_str().into()
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// The values of a query.
macro_rules! cells {
    ($($value:expr),* $(,)?) => { &[$($crate::store::db::Cell::from($value)),*] };
}
pub(crate) use cells;

/// A row that a query found.
#[derive(Clone, Debug)]
pub struct Row {
    /// Names of its columns.
    pub names: Arc<[String]>,
    /// Their values.
    pub cells: Vec<Cell>,
}

impl Row {
    fn cell(&self, name: &str) -> Result<&Cell, StoreError> {
        let found = self.names.iter().position(|known| known == name).and_then(|column| self.cells.get(column));
        found.ok_or_else(|| StoreError::Content(format!("there is no column {name}")))
    }

    /// The number in a column.
    pub fn int(&self, name: &str) -> Result<i64, StoreError> {
        match self.cell(name)? {
            Cell::Int(value) => Ok(*value),
            other => Err(StoreError::Content(format!("{name} is {other:?}, which is no number"))),
        }
    }

    /// The text in a column; `None` where there is nothing.
    pub fn maybe(&self, name: &str) -> Result<Option<String>, StoreError> {
        match self.cell(name)? {
            Cell::Text(value) => Ok(Some(value.clone())),
            Cell::Null => Ok(None),
            Cell::Int(value) => Err(StoreError::Content(format!("{name} is {value}, which is no text"))),
        }
    }

    /// The text in a column.
    pub fn text(&self, name: &str) -> Result<String, StoreError> {
        self.maybe(name)?.ok_or_else(|| StoreError::Content(format!("{name} is empty")))
    }

    /// The id in a column.
    pub fn id(&self, name: &str) -> Result<Id, StoreError> {
        Id::try_from(self.text(name)?).map_err(StoreError::Content)
    }
}

/// What a query did.
#[derive(Debug, Default)]
pub struct Done {
    /// Rows that were changed, or found.
    pub count: u64,
    /// Rows that were found.
    pub rows: Vec<Row>,
}

/// A connection to one of the two.
pub trait Driver {
    /// Does one query, as it is written for SQLite and PostgreSQL alike.
    fn run(&mut self, query: &str, values: &[Cell]) -> Result<Done, StoreError>;
    /// Does several without values.
    fn batch(&mut self, queries: &str) -> Result<(), StoreError>;
    /// The words that begin a change which others see whole or not at all.
    fn begin(&self) -> &'static str;
    /// A query that makes all others who do it wait for the end of this change.
    fn alone(&self) -> Option<&'static str>;
    /// A table's definition in this database's words.
    fn definition(&self, definition: &str) -> String;
}

/// A connection while something is done with it.
pub struct Db<'a> {
    driver: &'a mut dyn Driver,
    /// Whether events are kept in a table, for servers and workers in other processes.
    pub keeps_events: bool,
}

impl<'a> Db<'a> {
    /// Of this connection.
    pub fn new(driver: &'a mut dyn Driver, keeps_events: bool) -> Self {
        Self { driver, keeps_events }
    }

    /// Changes something; returns how many rows were.
    pub fn execute(&mut self, query: &str, values: &[Cell]) -> Result<u64, StoreError> {
        self.driver.run(query, values).map(|done| done.count)
    }

    /// The rows that a query finds.
    pub fn rows(&mut self, query: &str, values: &[Cell]) -> Result<Vec<Row>, StoreError> {
        self.driver.run(query, values).map(|done| done.rows)
    }

    /// The first row that a query finds.
    pub fn row(&mut self, query: &str, values: &[Cell]) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(query, values)?.into_iter().next())
    }

    /// The number `n` of the one row that a query finds.
    pub fn number(&mut self, query: &str, values: &[Cell]) -> Result<u64, StoreError> {
        let row = self.row(query, values)?.ok_or_else(|| StoreError::Content("no row where one must be".into()))?;
        let number = row.int("n")?;
        u64::try_from(number).map_err(|_| StoreError::Content(format!("{number} where a count must be")))
    }

    /// Does several things that others see together or not at all; an error takes all of them back.
    pub fn together<T>(&mut self, work: impl FnOnce(&mut Db) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.driver.batch(self.driver.begin())?;
        let done = work(self).and_then(|done| self.driver.batch("COMMIT").map(|()| done));
        if done.is_err() {
            let _ = self.driver.batch("ROLLBACK");
        }
        done
    }

    /// Inside a change: makes all others who ask for this wait for its end.
    pub fn alone(&mut self) -> Result<(), StoreError> {
        self.driver.alone().map_or(Ok(()), |alone| self.driver.batch(alone))
    }

    /// Makes the tables, or brings those of an older version to where they are now: one step for each version.
    ///
    /// # Errors
    /// The tables are a newer program's.
    pub fn migrate(&mut self, steps: &[&str]) -> Result<(), StoreError> {
        self.together(|db| {
            db.alone()?;
            let versions =
                db.driver.definition("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL) STRICT");
            db.driver.batch(&versions)?;
            let found = db.number("SELECT coalesce(max(version), 0) AS n FROM schema_version", &[])?;
            let found = usize::try_from(found).unwrap_or(usize::MAX);
            let missing = steps.get(found..).ok_or(StoreError::Newer { found, known: steps.len() })?;
            for step in missing {
                let step = db.driver.definition(step);
                db.driver.batch(&step)?;
            }
            db.execute("DELETE FROM schema_version", &[])?;
            db.execute("INSERT INTO schema_version (version) VALUES (?1)", cells![steps.len() as i64]).map(|_| ())
        })
    }
}
