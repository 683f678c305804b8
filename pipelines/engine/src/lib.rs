//! The engine: turns a graph of stages into the least work that brings the store up to date.
//!
//! A [`Task`] is work with its recipe, of a stage that people name. A [`Graph`] holds nodes, each one unit of work or one
//! unit per shard. A unit's fingerprint needs the *digests* of its inputs, so planning stops where an upstream unit must
//! first run ("unknown"), and a rerun whose bytes repeat stops everything behind it. Deliberately absent: torch, printing,
//! the environment.
//!
//! ```
//! use std::sync::Arc;
//!
//! use mlsm_engine::{
//!     Cancel, Context, Event, Graph, InputSource, Outcome, Outputs, Port, RunIdentity, RunOptions, StageError, Task, Unit,
//!     UnitInput, run,
//! };
//! use mlsm_store::{Access, Digest, Field, Store};
//!
//! struct Upper;
//!
//! impl Task for Upper {
//!     fn stage(&self) -> &'static str {
//!         "upper"
//!     }
//!     fn version(&self) -> u32 {
//!         1
//!     }
//!     fn recipe(&self) -> Vec<Field> {
//!         Vec::new()
//!     }
//!     fn inputs(&self) -> Vec<Port> {
//!         vec![Port::one("text")]
//!     }
//!     fn outputs(&self) -> &'static [&'static str] {
//!         &["text"]
//!     }
//!     fn run(&self, context: &Context<'_>) -> Result<Outputs, StageError> {
//!         let upper = context.open("text")?.to_ascii_uppercase();
//!         Ok(Outputs::default().with("text", context.put(&upper)?))
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! let store = Store::open(&folder.path().join("store"), Access::ReadWrite)?;
//! let text = InputSource::Known(store.put(b"a bird")?.digest);
//! let mut graph = Graph::new();
//! let node = graph.begin("upper", "upper")?;
//! graph.add(node, Unit::only(Arc::new(Upper), vec![UnitInput::one("text", text)]))?;
//!
//! let outcome = |run_id: &str| {
//!     let identity = RunIdentity {
//!         run_id: run_id.to_owned(),
//!         config_name: "example".to_owned(),
//!         config_digest: Digest::of(b""),
//!         version: "1".to_owned(),
//!         device: "cpu".to_owned(),
//!     };
//!     let now = || "2026-01-01T00:00:00Z".to_owned();
//!     let report =
//!         run(&graph, &store, &identity, &RunOptions::default(), &Cancel::default(), &|_: &Event| {}, &now)?;
//!     Ok::<_, mlsm_engine::EngineError>(report.nodes[0].outcome)
//! };
//! assert_eq!(outcome("1")?, Outcome::Executed);
//! assert_eq!(outcome("2")?, Outcome::Cached, "nothing has changed");
//! # Ok(())
//! # }
//! ```

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests make files and measure"))]

mod attempt;
mod cancel;
mod context;
mod error;
mod event;
mod explain;
mod graph;
mod plan;
mod queue;
mod report;
mod run;
mod survey;
mod task;
mod walk;

pub use cancel::Cancel;
pub use context::Context;
pub use error::{EngineError, StageError};
pub use event::{Event, NodeSummary, Outcome, ShardCount, Subscriber};
pub use explain::{NodeExplanation, UnitExplanation, explain};
pub use graph::{Graph, GraphError, InputSource, Item, Node, NodeIndex, Unit, UnitInput, UnitRef};
pub use plan::{Action, NodePlan, Plan, UnitPlan, plan};
pub use report::{RunIdentity, RunReport};
pub use run::{Extent, RunOptions, run};
pub use survey::{NodeProgress, Survey};
pub use task::{Count, Outputs, Port, Task};
