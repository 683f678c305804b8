//! Lays the Parquet of many artifacts out as one file of a published table, a shard at a time.
//!
//! What is not in the bytes of an artifact (node, part, data set) is added as columns: a folder name such as `split=novel`
//! would be read together with the folders above the store, which are named by others.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, new_null_array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Schema};
use bytes::Bytes;
use mlsm_store::{Blob, Digest, Store, StoreError};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;

use super::dictionary::{Kind, TableDoc};

/// Rows that are read at once.
const BATCH_ROWS: usize = 8192;
/// Rows below which a new group of rows is not begun.
const MIN_GROUP_ROWS: usize = 4096;
/// Rows of the largest group.
const MAX_GROUP_ROWS: usize = 1 << 17;
/// Bytes of the vectors of a group of rows, about.
const GROUP_BYTES: usize = 32 << 20;

/// A value that all rows of a piece share.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Constant {
    Text(String),
    Int(i64),
    Null,
}

impl From<&str> for Constant {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// Some rows of a table: an artifact, and the columns that it does not have.
pub(super) struct Piece {
    pub source: PieceSource,
    pub constants: Vec<(&'static str, Constant)>,
}

/// Where the rows of a piece are.
pub(super) enum PieceSource {
    Artifact(Digest),
    Bytes(Bytes),
}

/// A file of a table.
pub(super) struct TableFile {
    pub doc: &'static TableDoc,
    /// The length of the vectors, in a table that has some.
    pub vector: usize,
    pub pieces: Vec<Piece>,
}

impl TableFile {
    /// Writes the file. `provenance`: what its metadata says besides the dictionary.
    ///
    /// # Errors
    /// [`StoreError`] when an artifact is missing, damaged or not of this table, or the disk is full.
    pub fn write(
        &self,
        store: &Store,
        provenance: &[(&str, String)],
        out: &mut (dyn Write + Send),
    ) -> Result<(), StoreError> {
        let schema = Arc::new(self.doc.schema(self.vector as i32));
        let properties = self.properties(provenance);
        let mut writer = ArrowWriter::try_new(out, schema.clone(), Some(properties)).map_err(|e| self.failed(e))?;
        let mut group = None;
        for piece in &self.pieces {
            // A group of rows has one node and part, so that its statistics exclude it for others.
            let next = Some(piece.constants.as_slice());
            if group != next && writer.in_progress_rows() >= MIN_GROUP_ROWS {
                writer.flush().map_err(|e| self.failed(e))?;
            }
            group = next;
            let bytes = match &piece.source {
                PieceSource::Artifact(digest) => Bytes::from_owner(Shared(store.open_blob(digest)?)),
                PieceSource::Bytes(bytes) => bytes.clone(),
            };
            let rows = ParquetRecordBatchReaderBuilder::try_new(bytes)
                .and_then(|builder| builder.with_batch_size(BATCH_ROWS).build())
                .map_err(|e| self.failed(e))?;
            for batch in rows {
                let batch = batch.map_err(|e| self.failed(e.into()))?;
                let batch = self.complete(&batch, &schema, &piece.constants)?;
                writer.write(&batch).map_err(|e| self.failed(e))?;
            }
        }
        writer.close().map(drop).map_err(|e| self.failed(e))
    }

    fn properties(&self, provenance: &[(&str, String)]) -> WriterProperties {
        let level = ZstdLevel::try_new(1).expect("level 1 is a level of zstd");
        let widest = GROUP_BYTES / (4 * self.vector.max(1));
        let said = [("table", self.doc.name.to_owned()), ("row", self.doc.row.to_owned())];
        let said = said.iter().chain(provenance).map(|(key, text)| KeyValue::new(format!("mlsm.{key}"), text.clone()));
        let vectors = self.doc.columns.iter().filter(|c| matches!(c.kind, Kind::Vector | Kind::Reals));
        let mut properties = WriterProperties::builder()
            .set_writer_version(WriterVersion::PARQUET_1_0)
            .set_compression(Compression::ZSTD(level))
            .set_max_row_group_row_count(Some(widest.clamp(1024, MAX_GROUP_ROWS)))
            .set_key_value_metadata(Some(said.collect()));
        for column in vectors {
            let values =
                ColumnPath::from(["list", "item"].iter().fold(vec![column.name.to_owned()], |mut path, part| {
                    path.push((*part).to_owned());
                    path
                }));
            properties = properties.set_column_dictionary_enabled(values, false);
        }
        properties.build()
    }

    /// Lays the columns of a batch out as the dictionary has them.
    fn complete(
        &self,
        batch: &RecordBatch,
        schema: &Arc<Schema>,
        constants: &[(&str, Constant)],
    ) -> Result<RecordBatch, StoreError> {
        let strict = CastOptions { safe: false, ..CastOptions::default() };
        let known = |name: &str| self.doc.columns.iter().any(|c| c.name == name);
        if let Some(field) = batch.schema().fields().iter().find(|field| !known(field.name())) {
            return Err(self.failed(ParquetError::General(format!("column {} is not in the dictionary", field.name()))));
        }
        let column = |field: &arrow::datatypes::Field| -> Result<ArrayRef, ParquetError> {
            if let Some((_, constant)) = constants.iter().find(|(name, _)| name == field.name()) {
                return Ok(constant.repeat(field.data_type(), batch.num_rows()));
            }
            let found = batch.column_by_name(field.name());
            let found = found.ok_or_else(|| ParquetError::General(format!("column {} is missing", field.name())))?;
            let cast = cast_with_options(found, field.data_type(), &strict)?;
            Ok(without_negative_zero(cast))
        };
        let columns = schema.fields().iter().map(|f| column(f)).collect::<Result<Vec<_>, _>>();
        let columns = columns.map_err(|e| self.failed(e))?;
        RecordBatch::try_new(schema.clone(), columns).map_err(|e| self.failed(e.into()))
    }

    /// What the disk or the store said is handed on; anything else is a defect of an artifact.
    fn failed(&self, error: ParquetError) -> StoreError {
        let path = std::path::Path::new(self.doc.name);
        match error {
            ParquetError::External(inner) => match inner.downcast::<std::io::Error>() {
                Ok(source) => StoreError::io("write", path, *source),
                Err(other) => StoreError::io("write", path, std::io::Error::other(other)),
            },
            other => StoreError::io("write", path, std::io::Error::other(other)),
        }
    }
}

impl Constant {
    fn repeat(&self, kind: &DataType, rows: usize) -> ArrayRef {
        match self {
            Self::Text(text) => Arc::new(StringArray::from(vec![text.as_str(); rows])),
            Self::Int(value) => Arc::new(Int64Array::from(vec![*value; rows])),
            Self::Null => new_null_array(kind, rows),
        }
    }
}

/// Some readers tell -0.0 from 0.0, and count two groups.
fn without_negative_zero(array: ArrayRef) -> ArrayRef {
    match array.as_any().downcast_ref::<Float64Array>() {
        Some(values) => Arc::new(values.unary::<_, arrow::datatypes::Float64Type>(|value| value + 0.0)),
        None => array,
    }
}

/// Lends the memory map of an artifact to the reader of Parquet.
struct Shared(Blob);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}
