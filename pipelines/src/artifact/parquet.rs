//! Parquet for people: typed columns in, bytes out, the same bytes every time.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, FixedSizeListArray, Float32Array, Float64Array, Int64Array, ListArray, RecordBatch,
    StringArray, UInt32Array,
};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, Schema};
use mlsm_engine::StageError;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::error::misfit;

/// A named column; the variants are the types that the tables use.
pub enum Column {
    /// Ids and counts.
    U32(&'static str, Vec<u32>),
    /// Ids that may be absent.
    MaybeU32(&'static str, Vec<Option<u32>>),
    /// Sizes and indices.
    I64(&'static str, Vec<i64>),
    /// Sizes that may be absent.
    MaybeI64(&'static str, Vec<Option<i64>>),
    /// Measured values.
    F32(&'static str, Vec<Option<f32>>),
    /// Statistics.
    F64(&'static str, Vec<Option<f64>>),
    /// Names.
    Text(&'static str, Vec<String>),
    /// Flags.
    Bool(&'static str, Vec<bool>),
    /// Lists of ids.
    U32Lists(&'static str, Vec<Vec<u32>>),
    /// Lists of scores.
    F32Lists(&'static str, Vec<Vec<f32>>),
    /// Anything else, ready made.
    Ready(&'static str, ArrayRef),
}

impl Column {
    fn into_array(self) -> (&'static str, ArrayRef) {
        match self {
            Self::U32(name, v) => (name, Arc::new(UInt32Array::from(v))),
            Self::MaybeU32(name, v) => (name, Arc::new(UInt32Array::from(v))),
            Self::I64(name, v) => (name, Arc::new(Int64Array::from(v))),
            Self::MaybeI64(name, v) => (name, Arc::new(Int64Array::from(v))),
            Self::F32(name, v) => (name, Arc::new(Float32Array::from(v))),
            Self::F64(name, v) => (name, Arc::new(Float64Array::from(v))),
            Self::Text(name, v) => (name, Arc::new(StringArray::from(v))),
            Self::Bool(name, v) => (name, Arc::new(BooleanArray::from(v))),
            Self::U32Lists(name, v) => {
                let lengths = v.iter().map(Vec::len).collect::<Vec<_>>();
                let values = Arc::new(UInt32Array::from(v.concat()));
                (name, list(DataType::UInt32, &lengths, values))
            }
            Self::F32Lists(name, v) => {
                let lengths = v.iter().map(Vec::len).collect::<Vec<_>>();
                let values = Arc::new(Float32Array::from(v.concat()));
                (name, list(DataType::Float32, &lengths, values))
            }
            Self::Ready(name, array) => (name, array),
        }
    }
}

fn list(item: DataType, lengths: &[usize], values: ArrayRef) -> ArrayRef {
    let field = Arc::new(Field::new_list_field(item, true));
    Arc::new(ListArray::new(field, OffsetBuffer::from_lengths(lengths.iter().copied()), values, None))
}

/// Packs embeddings `[rows, width]` as a fixed-size list column.
pub fn embedding_column(name: &'static str, width: usize, values: Vec<f32>) -> Column {
    let field = Arc::new(Field::new_list_field(DataType::Float32, false));
    let values = Arc::new(Float32Array::new(ScalarBuffer::from(values), None));
    Column::Ready(name, Arc::new(FixedSizeListArray::new(field, width as i32, values, None)))
}

/// Writes one table, zstd level 1.
///
/// # Errors
/// [`StageError::Failed`] when columns differ in length.
pub fn table(columns: Vec<Column>) -> Result<Vec<u8>, StageError> {
    let failed = |why: String| StageError::defect(format!("cannot write a table: {why}"));
    let arrays: Vec<(&str, ArrayRef)> = columns.into_iter().map(Column::into_array).collect();
    let fields: Vec<Field> = arrays.iter().map(|(n, a)| Field::new(*n, a.data_type().clone(), true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let arrays = arrays.into_iter().map(|(_, a)| a).collect();
    let batch = RecordBatch::try_new(schema, arrays).map_err(|e| failed(e.to_string()))?;
    write(&[batch])
}

fn write(batches: &[RecordBatch]) -> Result<Vec<u8>, StageError> {
    let failed = |why: String| StageError::defect(format!("cannot write a table: {why}"));
    let schema = batches.first().map(RecordBatch::schema).ok_or_else(|| failed("it has no rows".to_owned()))?;
    let level = ZstdLevel::try_new(1).map_err(|e| failed(e.to_string()))?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_created_by("mlsm".to_owned()) // another version of the library alone changes no digest
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, schema, Some(properties)).map_err(|e| failed(e.to_string()))?;
    for batch in batches {
        writer.write(batch).map_err(|e| failed(e.to_string()))?;
    }
    writer.close().map_err(|e| failed(e.to_string()))?;
    Ok(bytes)
}

/// Reads a whole small table.
///
/// # Errors
/// [`StageError::Failed`] when the bytes are not Parquet.
pub fn read_table(bytes: &[u8]) -> Result<Vec<RecordBatch>, StageError> {
    let failed = |why: String| misfit("cannot read a table", why);
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::copy_from_slice(bytes))
        .and_then(ParquetRecordBatchReaderBuilder::build)
        .map_err(|e| failed(e.to_string()))?;
    reader.collect::<Result<_, _>>().map_err(|e| failed(e.to_string()))
}
