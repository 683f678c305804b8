//! Nodes, their units, and the inputs that tie them together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mlsm_store::Digest;
use thiserror::Error;

use crate::EngineError;
use crate::task::{Count, Port, Task};

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

impl UnitRef {
    /// Names an output of the unit.
    pub fn output(self, name: &'static str) -> InputSource {
        InputSource::Output(self, name)
    }
}

/// Where the bytes of an input come from.
#[derive(Clone, Debug, PartialEq)]
pub enum InputSource {
    /// Bytes known when the graph is built: a photo, imported weights.
    Known(Digest),
    /// The named output of a unit upstream.
    Output(UnitRef, &'static str),
    /// Bytes that do not exist yet, with the reason: a plan can show such a unit, a run cannot do it.
    Pending(String),
}

/// Which of the artifacts of a port that takes many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its id: unique in its port and part of the request.
    pub id: String,
    /// What the id stands for, as a number that the task understands: the class of a shard, the id of a photo.
    pub key: u32,
}

/// An input of a unit.
#[derive(Clone, Debug)]
pub struct UnitInput {
    /// The port of the task that takes it.
    pub port: &'static str,
    /// Which one, where the port takes many.
    pub item: Option<Item>,
    /// Where it comes from.
    pub source: InputSource,
}

impl UnitInput {
    /// Fills a port that takes one artifact.
    pub fn one(port: &'static str, source: InputSource) -> Self {
        Self { port, item: None, source }
    }

    /// Adds an artifact to a port that takes many.
    pub fn item(port: &'static str, item: Item, source: InputSource) -> Self {
        Self { port, item: Some(item), source }
    }

    /// Returns the name in the request, such as `pixels` or `base/001`.
    pub fn name(&self) -> String {
        self.item.as_ref().map_or_else(|| self.port.to_owned(), |item| format!("{}/{}", self.port, item.id))
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
    pub task: Arc<dyn Task>,
    /// The inputs, in the order in which they are hashed.
    pub inputs: Vec<UnitInput>,
}

impl Unit {
    /// Returns the unit of a node that has no other.
    pub fn only(task: Arc<dyn Task>, inputs: Vec<UnitInput>) -> Self {
        Self { shard: String::new(), aspect: String::new(), task, inputs }
    }

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

/// Nodes in an order in which every input comes before its user.
#[derive(Clone, Default)]
pub struct Graph {
    nodes: Vec<Node>,
}

/// Why a unit cannot be part of a graph: a defect of whoever builds it, found before anything is computed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GraphError {
    /// Two nodes have one id.
    #[error("there are two nodes `{0}`")]
    TakenId(String),
    /// The task has no such port.
    #[error("{unit} has no input `{port}`; its inputs are {}", known.join(", "))]
    UnknownPort {
        /// The unit.
        unit: String,
        /// The port that was filled.
        port: String,
        /// The ports that exist.
        known: Vec<&'static str>,
    },
    /// A port that takes one artifact has none, or several.
    #[error("{unit} needs one `{port}` and has {found}")]
    WrongCount {
        /// The unit.
        unit: String,
        /// The port.
        port: &'static str,
        /// How many it has.
        found: usize,
    },
    /// The unit upstream makes no such output.
    #[error("{unit} reads `{output}` of {upstream}, which makes {}", known.join(", "))]
    UnknownOutput {
        /// The unit.
        unit: String,
        /// The output.
        output: &'static str,
        /// The node upstream.
        upstream: String,
        /// The outputs that exist.
        known: Vec<&'static str>,
    },
    /// The unit upstream is not part of the graph yet.
    #[error("{unit} reads `{output}` of a unit that comes later")]
    Later {
        /// The unit.
        unit: String,
        /// The output.
        output: &'static str,
    },
}

impl Graph {
    /// Returns a graph without nodes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a node without units.
    ///
    /// # Errors
    /// [`GraphError::TakenId`].
    pub fn begin(&mut self, id: impl Into<String>, stage: &'static str) -> Result<NodeIndex, GraphError> {
        let id = id.into();
        if self.nodes.iter().any(|n| n.id == id) {
            return Err(GraphError::TakenId(id));
        }
        self.nodes.push(Node { id, stage, units: Vec::new() });
        Ok(NodeIndex(self.nodes.len() - 1))
    }

    /// Adds a unit to a node. Its inputs come from earlier nodes, or from earlier units of its own.
    ///
    /// # Errors
    /// [`GraphError`] when an input does not fit what its task, or the task that makes it, declares.
    pub fn add(&mut self, node: NodeIndex, unit: Unit) -> Result<UnitRef, GraphError> {
        let name = || format!("{} {}", self.node(node).id, unit.key()).trim_end().to_owned();
        self.check_ports(&unit, &name)?;
        for input in &unit.inputs {
            if let InputSource::Output(from, output) = &input.source {
                self.check_output(node, *from, output, &name)?;
            }
        }
        let units = &mut self.nodes[node.0].units;
        units.push(unit);
        Ok(UnitRef { node, unit: units.len() - 1 })
    }

    fn check_ports(&self, unit: &Unit, name: &dyn Fn() -> String) -> Result<(), GraphError> {
        let ports = unit.task.inputs();
        for input in &unit.inputs {
            let is_fit = |p: &Port| p.name == input.port && (p.count == Count::Many) == input.item.is_some();
            if !ports.iter().any(is_fit) {
                let known = ports.iter().map(|p| p.name).collect();
                return Err(GraphError::UnknownPort { unit: name(), port: input.name(), known });
            }
        }
        for port in ports.iter().filter(|p| p.count == Count::One) {
            let found = unit.inputs.iter().filter(|i| i.port == port.name).count();
            if found != 1 {
                return Err(GraphError::WrongCount { unit: name(), port: port.name, found });
            }
        }
        Ok(())
    }

    fn check_output(
        &self,
        node: NodeIndex,
        from: UnitRef,
        output: &'static str,
        name: &dyn Fn() -> String,
    ) -> Result<(), GraphError> {
        let upstream = self.nodes.get(from.node.0).filter(|_| from.node <= node);
        let Some((upstream, made)) = upstream.and_then(|n| Some((n, n.units.get(from.unit)?))) else {
            return Err(GraphError::Later { unit: name(), output });
        };
        let known = made.task.outputs();
        if known.contains(&output) {
            return Ok(());
        }
        let (upstream, known) = (upstream.id.clone(), known.to_vec());
        Err(GraphError::UnknownOutput { unit: name(), output, upstream, known })
    }

    /// Returns a graph of some of the units. What they read of the others is known: `known` returns its digest.
    ///
    /// # Errors
    /// What `known` returns, and [`GraphError`] when a unit no longer fits.
    pub fn part<E: From<GraphError>>(
        &self,
        is_kept: impl Fn(UnitRef) -> bool,
        mut known: impl FnMut(UnitRef, &'static str) -> Result<Digest, E>,
    ) -> Result<Self, E> {
        let mut part = Self::new();
        let mut moved = BTreeMap::new();
        for (n, node) in self.nodes.iter().enumerate() {
            let mut begun = None;
            for (u, unit) in node.units.iter().enumerate() {
                if !is_kept(UnitRef { node: NodeIndex(n), unit: u }) {
                    continue;
                }
                let mut unit = unit.clone();
                for input in &mut unit.inputs {
                    let InputSource::Output(from, output) = &input.source else { continue };
                    input.source = match moved.get(&(from.node, from.unit)) {
                        Some(from) => InputSource::Output(*from, output),
                        None => InputSource::Known(known(*from, output)?),
                    };
                }
                let index = match begun {
                    Some(index) => index,
                    None => *begun.insert(part.begin(node.id.clone(), node.stage)?),
                };
                moved.insert((NodeIndex(n), u), part.add(index, unit)?);
            }
        }
        Ok(part)
    }

    /// Returns the units that a node rests on, its own included, as positions of nodes and of units in them.
    pub fn units_below(&self, id: &str) -> BTreeSet<(NodeIndex, usize)> {
        let own = |n: usize| (0..self.nodes[n].units.len()).map(move |u| (NodeIndex(n), u));
        let found = self.nodes.iter().position(|node| node.id == id);
        let mut pending: Vec<_> = found.into_iter().flat_map(own).collect();
        let mut below: BTreeSet<_> = pending.iter().copied().collect();
        while let Some((node, unit)) = pending.pop() {
            for input in &self.nodes[node.0].units[unit].inputs {
                if let InputSource::Output(from, _) = &input.source
                    && below.insert((from.node, from.unit))
                {
                    pending.push((from.node, from.unit));
                }
            }
        }
        below
    }

    /// Returns a unit by its position.
    pub fn unit(&self, at: UnitRef) -> &Unit {
        &self.nodes[at.node.0].units[at.unit]
    }

    /// Returns the nodes, upstream first.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Returns a node by its position.
    pub fn node(&self, index: NodeIndex) -> &Node {
        &self.nodes[index.0]
    }

    /// Returns the nodes whose outputs a node reads; one that several of its units read is returned as often.
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

#[cfg(test)]
mod tests;
