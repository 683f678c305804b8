//! Why something must be computed: the difference between a request and the one of the last run, in words.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use mlsm_store::{Difference, Fingerprint, NodeRecord, Request, Store};

use crate::{EngineError, Graph, Plan, plan};

/// The last record of every node of one configuration, read only when a reason is asked for.
pub(crate) struct History<'a> {
    store: &'a Store,
    config_name: &'a str,
    nodes: OnceLock<BTreeMap<String, NodeRecord>>,
}

impl<'a> History<'a> {
    pub(crate) fn new(store: &'a Store, config_name: &'a str) -> Self {
        Self { store, config_name, nodes: OnceLock::new() }
    }

    /// Reads the run log; an unreadable one only costs the words, so it counts as empty.
    fn nodes(&self) -> &BTreeMap<String, NodeRecord> {
        self.nodes.get_or_init(|| {
            let mut runs = self.store.runs().list().unwrap_or_default();
            runs.retain(|r| r.config_name == self.config_name);
            runs.sort_by(|a, b| b.started.cmp(&a.started));
            let mut nodes = BTreeMap::new();
            for node in runs.into_iter().flat_map(|r| r.nodes).filter(|n| !n.units.is_empty()) {
                nodes.entry(node.node.clone()).or_insert(node);
            }
            nodes
        })
    }

    fn earlier(&self, node: &str, unit: &str) -> Option<Fingerprint> {
        self.nodes().get(node)?.units.get(unit).copied()
    }

    /// Returns the differences to the last run, or nothing when there is no earlier request to compare with.
    fn differences(&self, node: &str, unit: &str, request: &Request) -> Option<Vec<Difference>> {
        let earlier = self.store.lookup(&self.earlier(node, unit)?).ok()??;
        Some(request.differences(&earlier.request))
    }

    /// Says in one line why the unit must be computed.
    pub(crate) fn reason(&self, node: &str, unit: &str, request: &Request) -> String {
        let Some(record) = self.nodes().get(node) else { return "never computed here".to_owned() };
        match record.units.get(unit) {
            None => "this unit is new".to_owned(),
            Some(earlier) if *earlier == request.fingerprint() => "its artifacts are missing or damaged".to_owned(),
            Some(_) => match self.differences(node, unit, request) {
                Some(differences) if !differences.is_empty() => words(&differences),
                _ => "the earlier result is gone".to_owned(),
            },
        }
    }
}

fn words(differences: &[Difference]) -> String {
    let mut shown: Vec<_> = differences.iter().take(3).map(ToString::to_string).collect();
    if differences.len() > shown.len() {
        shown.push(format!("{} more differences", differences.len() - shown.len()));
    }
    shown.join(", ")
}

/// What changed in one unit since the last run.
#[derive(Clone, Debug, serde::Serialize)]
pub struct UnitExplanation {
    /// The unit inside its node.
    pub unit: String,
    /// Why, in one line.
    pub reason: String,
    /// Every difference between the two requests.
    pub differences: Vec<Difference>,
}

/// What changed in a node since the last run.
#[derive(Clone, Debug, serde::Serialize)]
pub struct NodeExplanation {
    /// The node's id.
    pub node: String,
    /// What a run would do.
    pub action: crate::Action,
    /// The units that differ from the last run.
    pub units: Vec<UnitExplanation>,
}

/// Compares a node (or every node of a stage) with its last run.
///
/// # Errors
/// [`EngineError::UnknownNode`], [`EngineError::Store`].
pub fn explain(
    graph: &Graph,
    store: &Store,
    config_name: &str,
    name: &str,
) -> Result<Vec<NodeExplanation>, EngineError> {
    let Plan { nodes } = plan(graph, store, config_name, &[name.to_owned()])?;
    let history = History::new(store, config_name);
    let mut explanations = Vec::new();
    for node in nodes.into_iter().filter(|n| n.node == name || n.stage == name) {
        let mut units = Vec::new();
        for unit in node.units {
            let request = unit.request.as_ref();
            let differences = request.and_then(|r| history.differences(&node.node, &unit.key, r)).unwrap_or_default();
            if !unit.reason.is_empty() || !differences.is_empty() {
                let reason = if unit.reason.is_empty() { words(&differences) } else { unit.reason };
                units.push(UnitExplanation { unit: unit.key, reason, differences });
            }
        }
        explanations.push(NodeExplanation { node: node.node, action: node.action, units });
    }
    Ok(explanations)
}
