//! Columns of a published table, a batch at a time, out of files that still are what was published.

use std::fs::File;

use arrow::array::{
    Array as _, AsArray, BooleanArray, FixedSizeListArray, Float64Array, Int64Array, ListArray, RecordBatch,
    StringArray,
};
use arrow::datatypes::{Float64Type, Int64Type};
use mlsm_store::Published;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use crate::error::CliError;

/// Rows that are held at once.
const BATCH_ROWS: usize = 1 << 16;

/// Hands the columns of a table over, batch after batch; tells whether there is such a table.
///
/// # Errors
/// [`CliError::Store`] when a file is damaged; [`CliError::Usage`] when it lacks a column.
pub fn each(
    published: &Published,
    table: &'static str,
    columns: &[&str],
    take: &mut dyn FnMut(&Columns) -> Result<(), CliError>,
) -> Result<bool, CliError> {
    let files: Vec<_> = files(published, table).collect();
    for file in &files {
        let path = published.path(file)?;
        let batches = open(&path, columns).map_err(|why| unreadable(table, why))?;
        for batch in batches {
            take(&Columns { table, batch: batch.map_err(|e| unreadable(table, e.to_string()))? })?;
        }
    }
    Ok(!files.is_empty())
}

/// Returns the bytes of a table.
pub fn bytes(published: &Published, table: &'static str) -> u64 {
    let of_file = |file: &str| std::fs::metadata(published.folder().join(file)).map_or(0, |stat| stat.len());
    files(published, table).map(of_file).sum()
}

fn files<'a>(published: &'a Published, table: &'static str) -> impl Iterator<Item = &'a str> {
    published.files().filter(move |file| {
        file.split_once('/').is_some_and(|(folder, name)| folder == table && name.ends_with(".parquet"))
    })
}

fn open(path: &std::path::Path, columns: &[&str]) -> Result<ParquetRecordBatchReader, String> {
    let file = File::open(path).map_err(|e| e.to_string())?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| e.to_string())?;
    let wanted = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
    builder.with_projection(wanted).with_batch_size(BATCH_ROWS).build().map_err(|e| e.to_string())
}

fn unreadable(table: &str, why: impl Into<String>) -> CliError {
    CliError::usage(format!("cannot read table {table} of the run"), why, "`mlsm run` publishes it again")
}

/// Some rows of a table.
pub struct Columns {
    table: &'static str,
    batch: RecordBatch,
}

impl Columns {
    /// Returns the number of rows.
    pub fn rows(&self) -> usize {
        self.batch.num_rows()
    }

    /// Returns a column of text.
    ///
    /// # Errors
    /// [`CliError::Usage`] when there is none of that name, as for the other types.
    pub fn texts(&self, name: &str) -> Result<&StringArray, CliError> {
        self.batch.column_by_name(name).and_then(|c| c.as_string_opt()).ok_or_else(|| self.lacks(name))
    }

    /// Returns a column of whole numbers.
    ///
    /// # Errors
    /// As [`Columns::texts`].
    pub fn ints(&self, name: &str) -> Result<&Int64Array, CliError> {
        let column = self.batch.column_by_name(name).and_then(|c| c.as_primitive_opt::<Int64Type>());
        column.ok_or_else(|| self.lacks(name))
    }

    /// Returns a column of real numbers.
    ///
    /// # Errors
    /// As [`Columns::texts`].
    pub fn reals(&self, name: &str) -> Result<&Float64Array, CliError> {
        let column = self.batch.column_by_name(name).and_then(|c| c.as_primitive_opt::<Float64Type>());
        column.ok_or_else(|| self.lacks(name))
    }

    /// Returns a column of lists.
    ///
    /// # Errors
    /// As [`Columns::texts`].
    pub fn lists(&self, name: &str) -> Result<&ListArray, CliError> {
        self.batch.column_by_name(name).and_then(|c| c.as_list_opt()).ok_or_else(|| self.lacks(name))
    }

    /// Returns a column of vectors.
    ///
    /// # Errors
    /// As [`Columns::texts`].
    pub fn vectors(&self, name: &str) -> Result<&FixedSizeListArray, CliError> {
        self.batch.column_by_name(name).and_then(|c| c.as_fixed_size_list_opt()).ok_or_else(|| self.lacks(name))
    }

    /// Returns a column of flags.
    ///
    /// # Errors
    /// As [`Columns::texts`].
    pub fn flags(&self, name: &str) -> Result<&BooleanArray, CliError> {
        self.batch.column_by_name(name).and_then(|c| c.as_boolean_opt()).ok_or_else(|| self.lacks(name))
    }

    /// Returns the four columns of a box.
    ///
    /// # Errors
    /// As [`Columns::texts`].
    pub fn boxes(&self) -> Result<Boxes<'_>, CliError> {
        let [x, y, w, h] = ["box_x", "box_y", "box_w", "box_h"].map(|name| self.reals(name));
        Ok(Boxes([x?, y?, w?, h?]))
    }

    fn lacks(&self, name: &str) -> CliError {
        unreadable(self.table, format!("it has no column {name} of the present type"))
    }
}

/// The four columns of a box.
pub struct Boxes<'a>([&'a Float64Array; 4]);

impl Boxes<'_> {
    /// Returns left and upper edge, width and height of a row's box.
    pub fn get(&self, row: usize) -> Option<[f64; 4]> {
        self.0.iter().all(|column| column.is_valid(row)).then(|| self.0.map(|column| column.value(row)))
    }
}
