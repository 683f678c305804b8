//! Which node of a run read what another had made, by the digests in their manifests.

use std::collections::{BTreeMap, BTreeSet};

use mlsm_store::{Digest, NodeRecord, RunRecord, Store};

use crate::error::CliError;
use crate::render::report::content::{Found, LineageNode};

/// Units of a run whose manifests are read for the drawing.
const MOST_UNITS: usize = 20_000;

/// Reads the nodes of a run in their order, and the nodes that each one read from.
///
/// # Errors
/// [`CliError::Store`] when the store cannot be read.
pub fn read(store: &Store, run: &RunRecord) -> Result<Found<Vec<LineageNode>>, CliError> {
    let units: usize = run.nodes.iter().map(|node| node.units.len()).sum();
    if units > MOST_UNITS {
        return Ok(Err(format!("the run has {units} units, and more than {MOST_UNITS} are not read for a drawing")));
    }
    let mut makers = BTreeMap::<Digest, usize>::new();
    let mut lineage = Vec::new();
    for (at, node) in run.nodes.iter().enumerate() {
        let mut reads = BTreeSet::new();
        let mut made = Vec::new();
        let mut known_aspects = BTreeSet::new();
        for (key, fingerprint) in &node.units {
            let Some(manifest) = store.lookup(fingerprint)? else { continue };
            made.extend(manifest.outputs.values().map(|output| output.digest));
            // The shards of a node read alike: one of each kind tells which nodes they read.
            if known_aspects.insert(aspect(key)) {
                reads.extend(manifest.request.inputs.iter().filter_map(|input| makers.get(&input.digest)).copied());
            }
        }
        made.into_iter().for_each(|digest| {
            makers.entry(digest).or_insert(at);
        });
        let NodeRecord { node, stage, outcome, .. } = node;
        let (node, stage, outcome) = (node.clone(), stage.clone(), outcome.clone());
        lineage.push(LineageNode { node, stage, outcome, reads });
    }
    Ok(Ok(lineage))
}

/// What a unit makes, of whatever shard: `012/boxes` makes `boxes`.
fn aspect(key: &str) -> &str {
    key.rsplit_once('/').map_or(key, |(_, aspect)| aspect)
}
