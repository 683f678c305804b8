//! The engine: turns a graph of stages into the least work that brings the store up to date.
//!
//! A [`Task`] is work with its recipe, of a stage that people name. A [`Graph`] holds nodes, each one unit of work or one unit per shard. A unit's
//! fingerprint needs the *digests* of its inputs, so planning stops where an upstream unit must first run ("unknown"),
//! and a rerun whose bytes repeat stops everything behind it. Deliberately absent: torch, printing, the environment.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests make files and measure"))]

mod cancel;
mod context;
mod error;
mod event;
mod explain;
mod graph;
mod plan;
mod report;
mod run;
mod task;

pub use cancel::Cancel;
pub use context::Context;
pub use error::{EngineError, StageError};
pub use event::{Event, NodeSummary, Outcome, ShardCount, Subscriber};
pub use explain::{NodeExplanation, UnitExplanation, explain};
pub use graph::{Graph, GraphError, InputSource, Item, Node, NodeIndex, Unit, UnitInput, UnitRef};
pub use plan::{Action, NodePlan, Plan, UnitPlan, plan};
pub use report::{RunIdentity, RunReport};
pub use run::{RunOptions, run};
pub use task::{Count, Outputs, Port, Task};
