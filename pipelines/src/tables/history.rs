//! The tables `runs` and `nodes`: this store's runs up to now, and the nodes of each.

use mlsm_engine::StageError;
use mlsm_store::{RunRecord, Store};

use super::{Files, PieceSource, Place};
use crate::AssembleError;
use crate::artifact::{Column, table};

/// Adds both tables.
///
/// # Errors
/// [`AssembleError::Store`] when the run log cannot be read.
pub(super) fn add(files: &mut Files, store: &Store) -> Result<(), AssembleError> {
    let runs: Vec<RunRecord> = store.runs().list()?;
    for (name, bytes) in [("runs", of_runs(&runs)), ("nodes", of_nodes(&runs))] {
        let bytes = bytes?;
        Place::new(name, vec![]).add(files, PieceSource::Bytes(bytes.into()));
    }
    Ok(())
}

fn of_runs(runs: &[RunRecord]) -> Result<Vec<u8>, StageError> {
    let texts = |pick: fn(&RunRecord) -> String| runs.iter().map(pick).collect();
    table(vec![
        Column::Text("run_id", texts(|r| r.run_id.clone())),
        Column::Text("started", texts(|r| r.started.clone())),
        Column::Text("finished", texts(|r| r.finished.clone())),
        Column::Text("outcome", texts(|r| r.outcome.clone())),
        Column::Text("config", texts(|r| r.config_name.clone())),
        Column::Text("config_digest", texts(|r| r.config_digest.to_string())),
        Column::Text("version", texts(|r| r.version.clone())),
        Column::Text("device", texts(|r| r.device.clone())),
    ])
}

fn of_nodes(runs: &[RunRecord]) -> Result<Vec<u8>, StageError> {
    let nodes: Vec<_> = runs.iter().flat_map(|r| r.nodes.iter().map(move |n| (r, n))).collect();
    let fingerprints = nodes.iter().map(|(_, n)| n.fingerprint.map_or_else(String::new, |f| f.to_string()));
    table(vec![
        Column::Text("run_id", nodes.iter().map(|(r, _)| r.run_id.clone()).collect()),
        Column::Text("node", nodes.iter().map(|(_, n)| n.node.clone()).collect()),
        Column::Text("stage", nodes.iter().map(|(_, n)| n.stage.clone()).collect()),
        Column::Text("outcome", nodes.iter().map(|(_, n)| n.outcome.clone()).collect()),
        Column::Text("fingerprint", fingerprints.collect()),
        Column::F64("seconds", nodes.iter().map(|(_, n)| Some(n.seconds)).collect()),
        Column::Text("reason", nodes.iter().map(|(_, n)| n.reason.clone()).collect()),
    ])
}
