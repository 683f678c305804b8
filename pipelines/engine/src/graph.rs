//! Nodes, their units, and the inputs that tie them together.

use std::sync::Arc;

use mlsm_store::Digest;

use crate::{EngineError, Stage};

/// The position of a node in its graph; upstream nodes have smaller ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIndex(pub usize);

/// A unit of another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnitRef {
    /// The node.
    pub node: NodeIndex,
    /// The unit's position in that node.
    pub unit: usize,
}

/// Where the bytes of an input come from.
#[derive(Clone, Debug)]
pub enum InputSource {
    /// Bytes known when the graph is built: a photo, imported weights.
    Known(Digest),
    /// The named output of a unit upstream.
    Output(UnitRef, String),
    /// Bytes that do not exist yet, with the reason: a plan can show such a unit, a run cannot do it.
    Pending(String),
}

/// A named input of a unit.
#[derive(Clone, Debug)]
pub struct UnitInput {
    /// The name in the request, such as `pixels-84/001`.
    pub name: String,
    /// Where it comes from.
    pub source: InputSource,
}

impl UnitInput {
    /// Names bytes that are known already.
    pub fn known(name: impl Into<String>, digest: Digest) -> Self {
        Self { name: name.into(), source: InputSource::Known(digest) }
    }

    /// Names an output of a unit upstream.
    pub fn output(name: impl Into<String>, unit: UnitRef, output: &str) -> Self {
        Self { name: name.into(), source: InputSource::Output(unit, output.to_owned()) }
    }
}

/// The smallest piece of work: it has its own fingerprint, lock and manifest.
#[derive(Clone)]
pub struct Unit {
    /// The shard's name, empty where the node is not sharded.
    pub shard: String,
    /// What of the shard this unit makes (`source`, `pixels-84`), empty where there is only one thing.
    pub aspect: String,
    /// The work.
    pub stage: Arc<dyn Stage>,
    /// The inputs, in the order in which they are hashed.
    pub inputs: Vec<UnitInput>,
}

impl Unit {
    /// Returns the name of the unit inside its node: `shard/aspect`, with empty pieces left out.
    pub fn key(&self) -> String {
        match (self.shard.as_str(), self.aspect.as_str()) {
            ("", aspect) => aspect.to_owned(),
            (shard, "") => shard.to_owned(),
            (shard, aspect) => format!("{shard}/{aspect}"),
        }
    }
}

/// A stage with its recipe, applied to one or many shards.
#[derive(Clone)]
pub struct Node {
    /// The id on the command line: `stage` or `stage:NAME[k_shot=1]`.
    pub id: String,
    /// The stage's name.
    pub stage: &'static str,
    /// The units, in a fixed order.
    pub units: Vec<Unit>,
}

/// Nodes in an order in which every input stands before its user.
#[derive(Clone, Default)]
pub struct Graph {
    nodes: Vec<Node>,
}

impl Graph {
    /// Returns a graph without nodes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a node whose inputs all come from nodes already added or from earlier units of its own.
    ///
    /// # Panics
    /// When an input names a unit that is not there yet, or the id is taken: both are mistakes of the graph's builder.
    pub fn add(&mut self, node: Node) -> NodeIndex {
        let index = NodeIndex(self.nodes.len());
        assert!(self.nodes.iter().all(|n| n.id != node.id), "node id {} is taken", node.id);
        for (i, unit) in node.units.iter().enumerate() {
            for input in &unit.inputs {
                if let InputSource::Output(from, _) = &input.source {
                    let earlier = self.nodes.get(from.node.0).map_or(0, |n| n.units.len());
                    let earlier = if from.node == index { i } else { earlier };
                    assert!(from.unit < earlier, "{} needs {}, which comes later", node.id, input.name);
                }
            }
        }
        self.nodes.push(node);
        index
    }

    /// Returns the nodes, upstream first.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Returns a node by its position.
    pub fn node(&self, index: NodeIndex) -> &Node {
        &self.nodes[index.0]
    }

    /// Returns the nodes whose outputs a node reads; one that several of its units read stands there as often.
    pub fn upstream<'a>(&self, node: &'a Node) -> impl Iterator<Item = NodeIndex> + use<'a> {
        node.units.iter().flat_map(|unit| &unit.inputs).filter_map(|input| match &input.source {
            InputSource::Output(from, _) => Some(from.node),
            _ => None,
        })
    }

    /// Returns the nodes that `targets` (node ids or stage names; none means all) need, upstream included.
    ///
    /// # Errors
    /// [`EngineError::UnknownNode`] when a target is neither a node nor a stage.
    pub fn needed_by(&self, targets: &[String]) -> Result<Vec<bool>, EngineError> {
        let mut needed = vec![targets.is_empty(); self.nodes.len()];
        for target in targets {
            let mut found = false;
            for (i, node) in self.nodes.iter().enumerate() {
                if node.id == *target || node.stage == target {
                    needed[i] = true;
                    found = true;
                }
            }
            if !found {
                return Err(self.unknown(target));
            }
        }
        for i in (0..self.nodes.len()).rev() {
            if needed[i] {
                self.upstream(&self.nodes[i]).for_each(|from| needed[from.0] = true);
            }
        }
        Ok(needed)
    }

    /// Checks that a name is a stage or a node of this graph.
    ///
    /// # Errors
    /// [`EngineError::UnknownNode`] with the names that exist.
    pub fn check_name(&self, name: &str) -> Result<(), EngineError> {
        let known = self.nodes.iter().any(|n| n.id == name || n.stage == name);
        if known { Ok(()) } else { Err(self.unknown(name)) }
    }

    fn unknown(&self, name: &str) -> EngineError {
        let known = self.nodes.iter().map(|n| n.id.clone()).collect();
        EngineError::UnknownNode { name: name.to_owned(), known }
    }
}
