//! An answer as an Apache Arrow file.

use std::io::Write;

use arrow::error::ArrowError;
use arrow_ipc::writer::FileWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::reader::ChunkReader;

/// Turns a Parquet file into an Arrow file, a batch of rows at a time.
///
/// # Errors
/// [`ArrowError`] of reading or writing.
pub fn from_parquet(parquet: impl ChunkReader + 'static, out: &mut dyn Write) -> Result<(), ArrowError> {
    let rows = ParquetRecordBatchReaderBuilder::try_new(parquet)?;
    let mut writer = FileWriter::try_new(out, rows.schema())?;
    for batch in rows.build()? {
        writer.write(&batch?)?;
    }
    writer.finish()
}
