//! What a run would do: fingerprints as far as the digests are known, and a reason in words for the rest.

use std::sync::Arc;

use mlsm_store::{Answer, Digest, Field, Fingerprint, Input, Request, Store, Value};

use crate::explain::History;
use crate::{EngineError, Graph, InputSource, Node, Unit, UnitRef};

/// What a run would do with a unit or a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It must be computed.
    Execute,
    /// Its artifacts are in the store.
    Reuse,
    /// It depends on bytes that something upstream must make first.
    Unknown,
}

/// The plan for one unit.
#[derive(Clone, Debug)]
pub struct UnitPlan {
    /// The unit's name inside its node.
    pub key: String,
    /// What to do.
    pub action: Action,
    /// The request, once all inputs are known.
    pub request: Option<Request>,
    /// Its fingerprint.
    pub fingerprint: Option<Fingerprint>,
    /// Why it must be computed, in words.
    pub reason: String,
}

/// The plan for one node.
#[derive(Clone, Debug)]
pub struct NodePlan {
    /// The node's id.
    pub node: String,
    /// The stage's name.
    pub stage: &'static str,
    /// What to do: execute when any unit must be, unknown when any might.
    pub action: Action,
    /// Why, in words.
    pub reason: String,
    /// The fingerprint of the node, once all its units have theirs.
    pub fingerprint: Option<Fingerprint>,
    /// The units.
    pub units: Vec<UnitPlan>,
}

/// The plan for all nodes that were asked for, upstream first.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The nodes.
    pub nodes: Vec<NodePlan>,
}

impl Plan {
    /// Tells whether a run would compute nothing.
    pub fn is_current(&self) -> bool {
        self.nodes.iter().all(|n| n.action == Action::Reuse)
    }
}

/// Answers found or made so far, by node and unit.
pub(crate) type Answers = Vec<Vec<Option<Arc<Answer>>>>;

/// Plans without running anything and without taking a lock.
///
/// `config_name` selects the earlier runs that reasons compare with.
///
/// # Errors
/// [`EngineError::UnknownNode`] for a target that does not exist; [`EngineError::Store`] when the store cannot be read.
pub fn plan(graph: &Graph, store: &Store, config_name: &str, targets: &[String]) -> Result<Plan, EngineError> {
    let needed = graph.needed_by(targets)?;
    let history = History::new(store, config_name);
    let mut answers: Answers = vec![Vec::new(); graph.nodes().len()];
    let mut nodes = Vec::new();
    for (i, node) in graph.nodes().iter().enumerate() {
        if !needed[i] {
            continue;
        }
        let mut units = Vec::with_capacity(node.units.len());
        for unit in &node.units {
            let request = request(unit, &answers)?;
            let found = match &request {
                Some(request) => store.answer(&request.fingerprint())?,
                None => None,
            };
            units.push(unit_plan(unit, request, found.is_some(), &history, node));
            answers[i].push(found);
        }
        nodes.push(node_plan(node, units));
    }
    Ok(Plan { nodes })
}

fn unit_plan(unit: &Unit, request: Option<Request>, found: bool, history: &History<'_>, node: &Node) -> UnitPlan {
    let key = unit.key();
    let pending = unit.inputs.iter().find_map(|i| match &i.source {
        InputSource::Pending(reason) => Some(reason.clone()),
        _ => None,
    });
    let (action, reason) = match &request {
        None if pending.is_some() => (Action::Execute, pending.unwrap_or_default()),
        None => (Action::Unknown, "depends on what runs before it".to_owned()),
        Some(_) if found => (Action::Reuse, String::new()),
        Some(request) => (Action::Execute, history.reason(&node.id, &key, request)),
    };
    UnitPlan { key, action, fingerprint: request.as_ref().map(Request::fingerprint), request, reason }
}

fn node_plan(node: &Node, units: Vec<UnitPlan>) -> NodePlan {
    let any = |action| units.iter().any(|u| u.action == action);
    let action = match (any(Action::Execute), any(Action::Unknown)) {
        (true, _) => Action::Execute,
        (false, true) => Action::Unknown,
        (false, false) => Action::Reuse,
    };
    let fingerprints: Option<Vec<_>> = units.iter().map(|u| Some((u.key.clone(), u.fingerprint?))).collect();
    NodePlan {
        node: node.id.clone(),
        stage: node.stage,
        action,
        reason: node_reason(&units),
        fingerprint: fingerprints.and_then(|f| node_fingerprint(node, &f)),
        units,
    }
}

/// Sums up the reasons of units: the first ones in words, the others as a count.
pub(crate) fn node_reason(units: &[UnitPlan]) -> String {
    let of = |action| units.iter().filter(move |u| u.action == action);
    let mut distinct: Vec<String> = Vec::new();
    for unit in of(Action::Execute) {
        let reason = if unit.key.is_empty() { unit.reason.clone() } else { format!("{}: {}", unit.key, unit.reason) };
        if !distinct.contains(&reason) {
            distinct.push(reason);
        }
    }
    if of(Action::Execute).count() == units.len() && of(Action::Execute).all(|u| u.reason == units[0].reason) {
        distinct = units.first().map(|u| u.reason.clone()).into_iter().collect();
    }
    if distinct.is_empty() && of(Action::Unknown).next().is_some() {
        return "depends on what runs before it".to_owned();
    }
    let more = distinct.len().saturating_sub(2);
    distinct.truncate(2);
    let shown = distinct.join("; ");
    if more > 0 { format!("{shown}; and {more} more") } else { shown }
}

/// Returns the fingerprint of a node: of its only unit, or of the list of its units' fingerprints.
pub(crate) fn node_fingerprint(node: &Node, units: &[(String, Fingerprint)]) -> Option<Fingerprint> {
    if let [(key, only)] = units
        && key.is_empty()
    {
        return Some(*only);
    }
    let unit = node.units.first()?;
    let recipe = units.iter().map(|(key, f)| Field { key: key.clone(), value: Value::from(f.to_string()) }).collect();
    let (stage, version) = (node.stage.to_owned(), unit.task.version());
    Some(Request { stage, version, recipe, inputs: Vec::new() }.fingerprint())
}

/// Builds a unit's request, or nothing while an input's bytes are not known.
pub(crate) fn request(unit: &Unit, answers: &Answers) -> Result<Option<Request>, EngineError> {
    let mut inputs = Vec::with_capacity(unit.inputs.len());
    for input in &unit.inputs {
        let digest = match &input.source {
            InputSource::Known(digest) => *digest,
            InputSource::Pending(_) => return Ok(None),
            InputSource::Output(from, output) => match digest_of(answers, *from, output, unit)? {
                Some(digest) => digest,
                None => return Ok(None),
            },
        };
        inputs.push(Input { name: input.name(), digest });
    }
    let (stage, version, recipe) = (unit.task.stage().to_owned(), unit.task.version(), unit.task.recipe());
    Ok(Some(Request { stage, version, recipe, inputs }))
}

fn digest_of(answers: &Answers, from: UnitRef, output: &str, unit: &Unit) -> Result<Option<Digest>, EngineError> {
    let Some(answer) = answers[from.node.0].get(from.unit).and_then(Option::as_ref) else { return Ok(None) };
    match answer.outputs.get(output) {
        Some(found) => Ok(Some(found.digest)),
        None => Err(EngineError::MissingOutput {
            unit: unit.key(),
            output: output.to_owned(),
            fingerprint: answer.fingerprint,
        }),
    }
}
