//! Published tables as data sets: columns, where each comes from, and what the files say of their values.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use mlsm_pipelines::TableOrigin;
use mlsm_pipelines::dictionary::{Kind, TableDoc, describe};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::file::statistics::Statistics;
use serde_json::{Map, Value, json};

use super::dataset::{Catalogue, FILES, schema};
use super::facet::{self, facet};

/// The measured columns of `results`, each computed from the accuracy of every episode.
const FROM_EPISODES: [&str; 3] = ["episodes", "accuracy", "ci95"];

/// A table and its files.
pub struct Table {
    /// Its name in SQL.
    pub name: String,
    /// The folder under which readers find it, whichever run published it.
    pub folder: PathBuf,
    /// Its files.
    pub files: Vec<PathBuf>,
}

impl Table {
    /// Describes the table; figures that cannot be read are left out. `run_id`: the run that published it.
    pub fn describe(&self, run_id: &str, catalogue: &Catalogue) -> Value {
        let mut facets = Map::new();
        let mut add = |name: &str, facet: Value| drop(facets.insert(name.to_owned(), facet));
        add("schema", schema(&self.name, &[]));
        add("datasetType", facet(facet::DATASET_TYPE, json!({ "datasetType": "TABLE" })));
        add("version", facet(facet::DATASET_VERSION, json!({ "datasetVersion": run_id })));
        let doc = describe(&self.name);
        if let Some(doc) = doc {
            let text = format!("Each row is {}.", doc.row);
            add("documentation", facet(facet::DATASET_DOCUMENTATION, json!({ "description": text })));
        }
        let columns = columns(&self.name, catalogue);
        if !columns.is_empty() {
            add("columnLineage", facet(facet::COLUMN_LINEAGE, json!({ "fields": columns })));
        }
        let mut described = json!({ "namespace": FILES, "name": self.folder.display().to_string() });
        if let Some((figures, doc)) = Figures::read(&self.files).zip(doc) {
            add("dataQualityMetrics", facet(facet::QUALITY, figures.quality(doc)));
            let statistics = facet(facet::OUTPUT_STATISTICS, figures.statistics());
            described["outputFacets"] = json!({ "outputStatistics": statistics });
        }
        described["facets"] = facets.into();
        described
    }
}

/// Says which columns of artifacts each column of a table comes from; columns that label an artifact come from none.
fn columns(table: &str, catalogue: &Catalogue) -> Map<String, Value> {
    let of = |table: &str| -> Vec<&TableOrigin> { catalogue.origins.iter().filter(|o| o.table == table).collect() };
    let Some(doc) = describe(table) else { return Map::new() };
    let sources = |column: &str| -> Vec<Value> {
        if table == "results" {
            let episodes = of("episodes").into_iter().filter(|_| FROM_EPISODES.contains(&column));
            return episodes.map(|origin| catalogue.field(origin, "accuracy", "AGGREGATION")).collect();
        }
        let holders = of(table).into_iter().filter(|origin| !origin.constants.contains(&column));
        holders.map(|origin| catalogue.field(origin, column, "IDENTITY")).collect()
    };
    let named = doc.columns.iter().map(|column| (column.name.to_owned(), sources(column.name)));
    named.filter(|(_, from)| !from.is_empty()).map(|(name, from)| (name, json!({ "inputFields": from }))).collect()
}

/// What the metadata of Parquet files says of their rows.
#[derive(Default)]
struct Figures {
    rows: i64,
    bytes: u64,
    files: usize,
    columns: BTreeMap<String, ColumnFigures>,
}

/// What it says of the values of a column.
struct ColumnFigures {
    /// The nulls, unless a group of rows does not count its own.
    nulls: Option<u64>,
    /// The least and the largest number.
    range: Option<[f64; 2]>,
}

impl Figures {
    fn read(files: &[PathBuf]) -> Option<Self> {
        let mut figures = Self { files: files.len(), ..Self::default() };
        files.iter().try_for_each(|file| figures.add(file))?;
        Some(figures)
    }

    fn add(&mut self, path: &Path) -> Option<()> {
        self.bytes += fs::metadata(path).ok()?.len();
        let reader = SerializedFileReader::new(File::open(path).ok()?).ok()?;
        for group in reader.metadata().row_groups() {
            self.rows += group.num_rows();
            // The values of a list are not those of its column.
            for column in group.columns().iter().filter(|column| column.column_path().parts().len() == 1) {
                let figures = self.columns.entry(column.column_path().string());
                figures.or_insert(ColumnFigures { nulls: Some(0), range: None }).add(column.statistics());
            }
        }
        Some(())
    }

    fn quality(&self, doc: &TableDoc) -> Value {
        let is_number =
            |name: &str| doc.columns.iter().any(|c| c.name == name && matches!(c.kind, Kind::Int | Kind::Real));
        let columns = self.columns.iter().map(|(name, figures)| {
            let mut column = Map::new();
            column.extend(figures.nulls.map(|nulls| ("nullCount".to_owned(), json!(nulls))));
            if let Some([low, high]) = figures.range.filter(|_| is_number(name)) {
                column.extend([("min".to_owned(), json!(low)), ("max".to_owned(), json!(high))]);
            }
            (name.clone(), Value::Object(column))
        });
        let columns: Map<_, _> = columns.collect();
        json!({ "rowCount": self.rows, "bytes": self.bytes, "fileCount": self.files, "columnMetrics": columns })
    }

    fn statistics(&self) -> Value {
        json!({ "rowCount": self.rows, "size": self.bytes, "fileCount": self.files })
    }
}

impl ColumnFigures {
    /// Adds what a group of rows says.
    fn add(&mut self, statistics: Option<&Statistics>) {
        let nulls = statistics.and_then(Statistics::null_count_opt);
        self.nulls = self.nulls.zip(nulls).map(|(before, more)| before + more);
        let range = match statistics {
            Some(Statistics::Int64(s)) => s.min_opt().zip(s.max_opt()).map(|(low, high)| [*low as f64, *high as f64]),
            Some(Statistics::Double(s)) => s.min_opt().zip(s.max_opt()).map(|(low, high)| [*low, *high]),
            _ => None,
        };
        let range = range.filter(|ends| ends.iter().all(|end| end.is_finite()));
        self.range = match (self.range, range) {
            (Some([a, b]), Some([low, high])) => Some([a.min(low), b.max(high)]),
            (before, range) => before.or(range),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, Int64Array, RecordBatch};
    use arrow::datatypes::{DataType, Field, Schema};
    use parquet::arrow::ArrowWriter;

    use super::*;

    #[test]
    fn figures_are_those_of_all_files_and_groups() {
        let folder = tempfile::tempdir().unwrap();
        let schema = Schema::new(vec![
            Field::new("n_way", DataType::Int64, true),
            Field::new("accuracy", DataType::Float64, true),
        ]);
        let schema = Arc::new(schema);
        let write = |name: &str, ways: Vec<Option<i64>>, accuracies: Vec<Option<f64>>| {
            let columns: Vec<arrow::array::ArrayRef> =
                vec![Arc::new(Int64Array::from(ways)), Arc::new(Float64Array::from(accuracies))];
            let path = folder.path().join(name);
            let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), schema.clone(), None).unwrap();
            writer.write(&RecordBatch::try_new(schema.clone(), columns).unwrap()).unwrap();
            writer.flush().unwrap();
            writer.close().unwrap();
            path
        };
        let first = write("a", vec![Some(5), None], vec![Some(0.25), Some(0.5)]);
        let second = write("b", vec![None], vec![Some(0.125)]);
        let figures = Figures::read(&[first, second]).unwrap();
        let quality = figures.quality(describe("results").unwrap());
        assert_eq!((&quality["rowCount"], &quality["fileCount"]), (&json!(3), &json!(2)));
        let [ways, accuracies] = ["n_way", "accuracy"].map(|name| quality["columnMetrics"][name].clone());
        assert_eq!(ways, json!({ "nullCount": 2, "min": 5.0, "max": 5.0 }));
        assert_eq!(accuracies, json!({ "nullCount": 0, "min": 0.125, "max": 0.5 }));
        assert!(Figures::read(&[folder.path().join("none")]).is_none());
    }
}
