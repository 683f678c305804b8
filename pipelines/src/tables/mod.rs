//! Publication: the tables of a finished run, one file each, for DuckDB, polars, pandas and `mlsm query`.
//!
//! Files below a table's folder have plain names. No column is read from a path.

pub mod dictionary;
mod history;
mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;

use mlsm_engine::{RunReport, StageError};
use mlsm_store::{Publication, Store, TableSource};

use self::dictionary::describe;
use self::writer::{Constant, Piece, PieceSource, TableFile};
use crate::artifact::{Column, table};
use crate::assemble::NodeKind;
use crate::results::{Cell, ResultRow, Summary, fingerprints, summary};
use crate::{AssembleError, Assembly, Config};

/// The published file of a run's results.
pub const SUMMARY: &str = "summary.json";
/// The published file of a run's configuration, with every default filled in.
pub const CONFIG: &str = "config.toml";

/// The files of the tables, by path.
type Files = BTreeMap<String, TableFile>;

/// Rows of a published table that are those of one kind of artifact.
#[derive(Debug)]
pub struct TableOrigin {
    /// The table.
    pub table: &'static str,
    /// The node that makes the artifacts.
    pub node: String,
    /// Their name among its outputs.
    pub output: String,
    /// The columns that are not in the artifacts: they label them.
    pub constants: Vec<&'static str>,
}

impl Assembly {
    /// Lists which artifacts become rows of which tables, each column of an artifact the column of the same name.
    pub fn table_origins(&self) -> Vec<TableOrigin> {
        let mut origins = BTreeMap::new();
        for node in self.graph.nodes() {
            for unit in &node.units {
                for output in unit.task.outputs() {
                    let Some(place) = self.place(&node.id, "", &unit.aspect, output) else { continue };
                    let constants = place.constants.iter().map(|(name, _)| *name).collect();
                    let (node, output) = (node.id.clone(), (*output).to_owned());
                    let key = (place.table, node.clone(), output.clone());
                    origins.insert(key, TableOrigin { table: place.table, node, output, constants });
                }
            }
        }
        origins.into_values().collect()
    }

    /// Lays the tables of a finished run out under its id and makes them current, beside its summary and its resolved
    /// configuration; returns their folder.
    ///
    /// # Errors
    /// [`AssembleError::Store`] when the disk is full; what was published before stays.
    pub fn publish(
        &self,
        store: &Store,
        run_id: &str,
        config: &Config,
        report: &RunReport,
    ) -> Result<PathBuf, AssembleError> {
        let results = summary(self, store, report)?;
        let mut tables = self.files(report);
        for row in &results.results {
            Place::new("results", vec![]).add(&mut tables, PieceSource::Bytes(result(row)?.into()));
        }
        history::add(&mut tables, store)?;
        let provenance = [("run_id", run_id.to_owned()), ("program", format!("mlsm {}", env!("CARGO_PKG_VERSION")))];
        let json = serde_json::to_vec_pretty(&results)
            .map_err(|e| StageError::defect(format!("cannot write the results: {e}")))?;
        let provenance = &provenance;
        let writers: Vec<_> = tables
            .iter()
            .map(|(path, table)| {
                let write = move |out: &mut (dyn Write + Send)| table.write(store, provenance, out);
                (path.clone(), write)
            })
            .collect();
        let config = toml::to_string_pretty(&config.resolved())
            .map_err(|e| StageError::defect(format!("cannot write the configuration: {e}")))?;
        let texts = [(SUMMARY, json), (CONFIG, config.into_bytes())];
        let mut files: Vec<_> = texts.map(|(name, text)| (name.to_owned(), TableSource::Bytes(text))).into();
        files.extend(writers.iter().map(|(path, write)| (path.clone(), TableSource::Written(write))));
        Ok(store.publish_tables(run_id, &files, Publication::Current)?)
    }

    /// Tells whether the current tables are those of this very report, in the present layout, with a whole summary.
    pub fn is_published(&self, store: &Store, report: &RunReport) -> bool {
        let read = || {
            let published = store.published(None).ok()??;
            let bytes = published.read(SUMMARY).ok()?;
            let files: BTreeSet<_> = published.files().collect();
            let is_there = files.iter().all(|file| published.folder().join(file).exists());
            let is_present =
                files.contains(CONFIG) && self.files(report).keys().all(|path| files.contains(path.as_str()));
            (is_there && is_present).then_some(bytes)
        };
        let published = read().and_then(|bytes| serde_json::from_slice::<Summary>(&bytes).ok());
        published.is_some_and(|summary| summary.fingerprints == fingerprints(report))
    }

    /// Lists what the tables of a run are made of: node after node, in each part after part.
    fn files(&self, report: &RunReport) -> Files {
        let mut files = Files::new();
        for node in self.graph.nodes() {
            let mut units: Vec<_> = node.units.iter().map(|unit| (self.part_of(&unit.shard), unit)).collect();
            units.sort_by_key(|(part, _)| *part);
            for (part, unit) in units {
                let Some(answer) = report.answers.get(&node.id).and_then(|m| m.get(&unit.key())) else { continue };
                for (output, artifact) in &answer.outputs {
                    let part = part.map(|part| part.to_string()).unwrap_or_default();
                    let Some(place) = self.place(&node.id, &part, &unit.aspect, output) else { continue };
                    place.add(&mut files, PieceSource::Artifact(artifact.digest));
                }
            }
        }
        files
    }

    fn part_of(&self, shard: &str) -> Option<mlsm_data::Part> {
        self.shards.iter().find(|s| s.id == shard).map(|s| s.part)
    }

    /// Returns where an artifact is published, when it is part of a table.
    fn place(&self, node: &str, part: &str, aspect: &str, output: &str) -> Option<Place> {
        let kind = &self.kinds[node];
        let (node, split) = (("node", node.into()), ("split", part.into()));
        match (kind, output) {
            (NodeKind::Splits, "splits") => Some(Place::new("splits", vec![])),
            (NodeKind::Ingest, "source") => Some(Place::new("images", vec![split])),
            (NodeKind::Ingest, "skipped") => Some(Place::new("skipped", vec![split])),
            (NodeKind::Crop, "crops") => Some(Place::new("crops", vec![node, split])),
            (NodeKind::Training, "curve") => Some(Place::new("training", vec![node])),
            (NodeKind::Extract { width }, "features") => Some(features(*width, aspect, vec![node, split])),
            (NodeKind::Evaluate { row }, "episodes") => {
                let texts = [("method", row.method.as_str().into()), ("levels", row.levels.as_str().into())];
                Some(Place::new("episodes", [vec![node], texts.into()].concat()))
            }
            (NodeKind::Evaluate { .. }, "predictions") => Some(Place::new("predictions", vec![node])),
            _ => None,
        }
    }
}

/// Lays one row of results out as a table.
fn result(row: &ResultRow) -> Result<Vec<u8>, AssembleError> {
    let columns = row.columns().into_iter().map(|(name, cell)| match cell {
        Cell::Text(text) => Column::Text(name, vec![text]),
        Cell::Int(value) => Column::MaybeI64(name, vec![value]),
        Cell::Real(value) => Column::F64(name, vec![value]),
    });
    let node = Column::Text("node", vec![row.node.clone()]);
    Ok(table([node].into_iter().chain(columns).collect())?)
}

/// Columns that an artifact does not have, with their value.
type Constants = Vec<(&'static str, Constant)>;

/// Where an artifact is published.
struct Place {
    table: &'static str,
    file: String,
    /// The length of the vectors.
    vector: usize,
    constants: Constants,
}

impl Place {
    fn new(table: &'static str, constants: Constants) -> Self {
        Self { table, file: table.to_owned(), vector: 0, constants }
    }

    fn add(self, files: &mut Files, source: PieceSource) {
        let Self { table, file, vector, constants } = self;
        let doc = describe(table).expect("every published table is in the dictionary");
        let file = files.entry(format!("{table}/{file}.parquet"));
        let file = file.or_insert_with(|| TableFile { doc, vector, pieces: Vec::new() });
        file.pieces.push(Piece { source, constants });
    }
}

/// Embeddings of one length share a file, so that their lists have one length in its schema.
fn features(width: i64, aspect: &str, mut constants: Constants) -> Place {
    let (source, object) =
        if aspect == "image" { ("image", Constant::Null) } else { ("object", Constant::from(aspect)) };
    constants.extend([("dim", Constant::Int(width)), ("source", source.into()), ("object", object)]);
    Place { table: "features", file: format!("dim-{width}"), vector: width as usize, constants }
}
