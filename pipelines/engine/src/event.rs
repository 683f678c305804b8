//! What a run tells: one closed list of events that feeds the terminal, the JSON stream and the run log.

use std::collections::BTreeMap;

use mlsm_store::{Digest, Fingerprint};
use serde::Serialize;

/// How a node ended. Every node of a run ends in exactly one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// At least one unit was computed.
    Executed,
    /// Every unit was there already.
    Cached,
    /// A unit failed.
    Failed,
    /// Something upstream failed, or the run stopped before.
    Skipped,
    /// The run was cancelled before or inside the node.
    Cancelled,
}

/// Counts of shards (units, where a node has no shards).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ShardCount {
    /// Shards of which something was computed.
    pub executed: usize,
    /// Shards that were there already.
    pub cached: usize,
}

/// What a run says about one node at its end.
#[derive(Clone, Debug, Serialize)]
pub struct NodeSummary {
    /// The node's id.
    pub node: String,
    /// The stage's name.
    pub stage: String,
    /// How it ended.
    pub outcome: Outcome,
    /// The fingerprint of its only unit, or of all its units together.
    pub fingerprint: Option<Fingerprint>,
    /// The digests of its outputs; those of a sharded node stand for all shards together.
    pub outputs: BTreeMap<String, Digest>,
    /// Wall-clock seconds spent in the node.
    pub seconds: f64,
    /// Shards computed and reused.
    pub shards: ShardCount,
    /// Why it was executed, in words; empty when it was not.
    pub reason: String,
}

/// One thing that happened in a run.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The run began.
    RunStarted {
        /// The id of the run.
        run_id: String,
        /// How many nodes it may touch.
        nodes: usize,
    },
    /// A node has work to do.
    NodeStarted {
        /// The node's id.
        node: String,
        /// Units to compute.
        execute: usize,
        /// Units found in the store.
        cached: usize,
        /// Why, in words.
        reason: String,
    },
    /// A node advanced.
    Progress {
        /// The node's id.
        node: String,
        /// Steps done.
        done: u64,
        /// Steps in all.
        total: u64,
        /// What a step is: `photos`, `steps`, `episodes`.
        unit: String,
        /// A short remark, such as the last validation accuracy.
        detail: String,
    },
    /// Something that people should read, though nothing failed.
    Warning {
        /// The node's id.
        node: String,
        /// The message.
        message: String,
    },
    /// Another process is computing a unit; this run waits for it.
    Waiting {
        /// The node's id.
        node: String,
        /// Who holds it and since when.
        holder: String,
    },
    /// A node ended.
    NodeFinished(NodeSummary),
    /// A unit failed.
    Failed {
        /// The node's id.
        node: String,
        /// The unit inside the node.
        unit: String,
        /// What went wrong.
        error: String,
    },
    /// The run ended.
    RunFinished {
        /// The id of the run.
        run_id: String,
        /// `ok`, `failed` or `cancelled`.
        outcome: String,
        /// All nodes, upstream first.
        nodes: Vec<NodeSummary>,
    },
}

/// Whoever wants to hear of a run. Called from several threads.
pub trait Subscriber: Sync {
    /// Receives an event.
    fn on(&self, event: &Event);
}

impl<F: Fn(&Event) + Sync> Subscriber for F {
    fn on(&self, event: &Event) {
        self(event);
    }
}
