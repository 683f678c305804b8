//! Publication: the Parquet of a finished run under readable names, for DuckDB, polars, pandas and `mlsm query`.
//!
//! What is not in the bytes of an artifact (node, part, data set) stands in the path as `key=value`.

use std::path::PathBuf;

use mlsm_engine::RunReport;
use mlsm_store::{Digest, RunRecord, Store, TableSource};

use crate::artifact::{Column, read_table, table, with_texts};
use crate::assemble::NodeKind;
use crate::results::{Cell, ResultRow, RowSpec, Summary, fingerprints, summary};
use crate::{AssembleError, Assembly};

impl Assembly {
    /// Lays the tables of a finished run out under its id and makes them current; returns their folder.
    ///
    /// # Errors
    /// [`AssembleError::Store`] when the disk is full; what was published before stays.
    pub fn publish(&self, store: &Store, run_id: &str, report: &RunReport) -> Result<PathBuf, AssembleError> {
        let mut files = Vec::new();
        for node in self.graph.nodes() {
            for unit in &node.units {
                let manifest = report.manifests.get(&node.id).and_then(|m| m.get(&unit.key()));
                let Some(manifest) = manifest else { continue };
                for (output, artifact) in &manifest.outputs {
                    if let Some(path) = self.path(&node.id, &unit.shard, &unit.aspect, output) {
                        let source = match &self.kinds[&node.id] {
                            NodeKind::Evaluate { row } if output == "episodes" => {
                                episodes(store, row, artifact.digest)?
                            }
                            _ => TableSource::Blob(artifact.digest),
                        };
                        files.push((path, source));
                    }
                }
            }
        }
        let results = summary(self, store, report)?;
        for row in &results.results {
            files.push((self.result_path(&row.node), TableSource::Bytes(result(row)?)));
        }
        let json = serde_json::to_vec_pretty(&results).map_err(|e| AssembleError::Data(e.to_string()))?;
        files.push(("summary.json".to_owned(), TableSource::Bytes(json)));
        files.extend(history(store)?);
        Ok(store.publish_tables(run_id, &files, true)?)
    }

    /// Tells whether the current tables are those of this very report, with a whole summary.
    pub fn is_published(&self, store: &Store, report: &RunReport) -> bool {
        let read = || {
            let published = store.published(None).ok()??;
            let bytes = published.read("summary.json").ok()?;
            published.files().all(|file| published.folder().join(file).exists()).then_some(bytes)
        };
        let published = read().and_then(|bytes| serde_json::from_slice::<Summary>(&bytes).ok());
        published.is_some_and(|summary| summary.fingerprints == fingerprints(report))
    }

    /// Returns where a row of results is published.
    fn result_path(&self, node: &str) -> String {
        format!("results/node={}/result.parquet", encode(node))
    }

    /// Returns where an artifact is published, when it is a table.
    fn path(&self, node: &str, shard: &str, aspect: &str, output: &str) -> Option<String> {
        let id = encode(node);
        let part = self.shards.iter().find(|s| s.id == shard).map(|s| s.part.to_string()).unwrap_or_default();
        let named = |table: &str| format!("{table}/node={id}/split={part}/{shard}.parquet");
        match (&self.kinds[node], output) {
            (NodeKind::Splits, "splits") => Some("splits/splits.parquet".to_owned()),
            (NodeKind::Ingest, "source") => Some(format!("images/split={part}/{shard}.parquet")),
            (NodeKind::Ingest, "skipped") => Some(format!("skipped/split={part}/{shard}.parquet")),
            (NodeKind::Crop, "crops") => Some(named("crops")),
            (NodeKind::Training, "curve") => Some(format!("training/node={id}/curve.parquet")),
            (NodeKind::Extract { width }, "features") => {
                let source = if aspect == "image" { "source=image/object=none" } else { "source=object" };
                let object = if aspect == "image" { String::new() } else { format!("/object={aspect}") };
                Some(format!("features/dim={width}/node={id}/split={part}/{source}{object}/{shard}.parquet"))
            }
            (NodeKind::Evaluate { .. }, "episodes" | "predictions") => {
                Some(format!("{output}/node={id}/{output}.parquet"))
            }
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
    table(columns.collect()).map_err(|e| AssembleError::Data(e.to_string()))
}

/// Joins the method and the levels with the episodes of a row.
fn episodes(store: &Store, row: &RowSpec, digest: Digest) -> Result<TableSource, AssembleError> {
    let failed = |e: mlsm_engine::StageError| AssembleError::Data(e.to_string());
    let measured = read_table(&store.open_blob(&digest)?).map_err(failed)?;
    let names = [("method", row.method.as_str()), ("levels", row.levels.as_str())];
    Ok(TableSource::Bytes(with_texts(&measured, &names).map_err(failed)?))
}

/// Percent-encodes what has a meaning in paths, globs or `key=value`.
fn encode(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(b).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

/// The tables `runs` and `nodes`: this store's runs up to now, and the nodes of each.
fn history(store: &Store) -> Result<Vec<(String, TableSource)>, AssembleError> {
    let runs: Vec<RunRecord> = store.runs().list()?;
    let texts = |pick: &dyn Fn(&RunRecord) -> String| runs.iter().map(pick).collect::<Vec<_>>();
    let failed = |e: mlsm_engine::StageError| AssembleError::Data(e.to_string());
    let run_table = table(vec![
        Column::Text("run_id", texts(&|r| r.run_id.clone())),
        Column::Text("started", texts(&|r| r.started.clone())),
        Column::Text("finished", texts(&|r| r.finished.clone())),
        Column::Text("outcome", texts(&|r| r.outcome.clone())),
        Column::Text("config", texts(&|r| r.config_name.clone())),
        Column::Text("config_digest", texts(&|r| r.config_digest.to_string())),
        Column::Text("version", texts(&|r| r.version.clone())),
        Column::Text("device", texts(&|r| r.device.clone())),
    ])
    .map_err(failed)?;
    let nodes: Vec<_> = runs.iter().flat_map(|r| r.nodes.iter().map(move |n| (r, n))).collect();
    let node_table = table(vec![
        Column::Text("run_id", nodes.iter().map(|(r, _)| r.run_id.clone()).collect()),
        Column::Text("node", nodes.iter().map(|(_, n)| n.node.clone()).collect()),
        Column::Text("stage", nodes.iter().map(|(_, n)| n.stage.clone()).collect()),
        Column::Text("outcome", nodes.iter().map(|(_, n)| n.outcome.clone()).collect()),
        Column::Text(
            "fingerprint",
            nodes.iter().map(|(_, n)| n.fingerprint.map_or_else(String::new, |f| f.to_string())).collect(),
        ),
        Column::F64("seconds", nodes.iter().map(|(_, n)| Some(n.seconds)).collect()),
        Column::Text("reason", nodes.iter().map(|(_, n)| n.reason.clone()).collect()),
    ])
    .map_err(failed)?;
    Ok(vec![
        ("runs/runs.parquet".to_owned(), TableSource::Bytes(run_table)),
        ("nodes/nodes.parquet".to_owned(), TableSource::Bytes(node_table)),
    ])
}
