//! How a run went: for its caller, and for the run log.

use std::collections::BTreeMap;
use std::sync::Arc;

use mlsm_store::{Answer, Digest, NodeRecord, RunRecord};

use crate::{NodeSummary, Outcome, StageError};

/// Answers by node id and unit key.
pub(crate) type ByName = BTreeMap<String, BTreeMap<String, Arc<Answer>>>;

/// What the run log says about a run besides its nodes.
#[derive(Clone, Debug)]
pub struct RunIdentity {
    /// The id of the run.
    pub run_id: String,
    /// The name of the configuration, which ties runs together.
    pub config_name: String,
    /// The digest of the resolved configuration.
    pub config_digest: Digest,
    /// The version of the program.
    pub version: String,
    /// The device asked for.
    pub device: String,
}

/// How a run went.
#[derive(Debug)]
pub struct RunReport {
    /// `ok`, `failed` or `cancelled`.
    pub outcome: &'static str,
    /// One summary for each node that was asked for.
    pub nodes: Vec<NodeSummary>,
    /// The first error of each node that failed.
    pub errors: Vec<(String, StageError)>,
    /// Answers by node id and unit key, as far as they exist.
    pub answers: ByName,
    /// What the run log says of it, unless it only found what was there.
    pub record: RunRecord,
    /// The recorded run that reached the same: this one, or an earlier one when this one only found what was there.
    pub recorded_as: String,
}

impl RunReport {
    /// Tells whether everything was there already; such a run is not in the run log.
    pub fn is_all_cached(&self) -> bool {
        self.nodes.iter().all(|node| node.outcome == Outcome::Cached)
    }
}

/// How the nodes of a run went.
pub(crate) struct Walk {
    pub outcome: &'static str,
    pub nodes: Vec<NodeSummary>,
    pub errors: Vec<(String, StageError)>,
}

/// Writes down what the run log keeps.
pub(crate) fn record(
    identity: &RunIdentity,
    started: String,
    finished: String,
    is_whole: bool,
    walk: &Walk,
    answers: &ByName,
) -> RunRecord {
    let nodes = walk.nodes.iter().map(|n| NodeRecord {
        node: n.node.clone(),
        stage: n.stage.clone(),
        outcome: outcome_name(n.outcome).to_owned(),
        fingerprint: n.fingerprint,
        outputs: n.outputs.clone(),
        seconds: n.seconds,
        reason: n.reason.clone(),
        units: answers[&n.node].iter().map(|(k, m)| (k.clone(), m.fingerprint)).collect(),
    });
    RunRecord {
        run_id: identity.run_id.clone(),
        started,
        finished,
        outcome: walk.outcome.to_owned(),
        config_name: identity.config_name.clone(),
        config_digest: identity.config_digest,
        version: identity.version.clone(),
        device: identity.device.clone(),
        is_whole,
        nodes: nodes.collect(),
    }
}

/// Returns an outcome as it stands in tables.
pub(crate) fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Executed => "executed",
        Outcome::Cached => "cached",
        Outcome::Failed => "failed",
        Outcome::Skipped => "skipped",
        Outcome::Cancelled => "cancelled",
    }
}

/// What the unit without a key makes as it is; for other units, per name the digest of the list of all digests.
pub(crate) fn combined_outputs(units: &[(String, &Arc<Answer>)]) -> BTreeMap<String, Digest> {
    let (own, sharded): (Vec<_>, Vec<_>) = units.iter().partition(|(key, _)| key.is_empty());
    let own = own.into_iter().flat_map(|(_, answer)| &answer.outputs).map(|(name, o)| (name.clone(), o.digest));
    let mut lists: BTreeMap<String, String> = BTreeMap::new();
    for (key, answer) in sharded {
        for (name, output) in &answer.outputs {
            let list = lists.entry(name.clone()).or_default();
            list.push_str(&format!("{key} {}\n", output.digest));
        }
    }
    let lists = lists.into_iter().map(|(name, list)| (name, Digest::of(list.as_bytes())));
    lists.chain(own).collect()
}
