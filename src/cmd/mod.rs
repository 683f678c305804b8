//! One file per verb: what it takes and what it does.

pub mod completions;
pub mod config;
pub mod data;
pub mod diff;
pub mod doctor;
pub mod explain;
pub mod gc;
pub mod graph;
pub mod man;
pub mod model;
pub mod plan;
pub mod predict;
pub mod query;
pub mod report;
pub mod run;
pub mod runs;
pub mod similar;
pub mod status;
pub mod submit;
pub mod support;
pub mod tables;
pub mod transfer;
pub mod verify;
pub mod weights;
pub mod work;

use crate::cli::Verb;
use crate::error::CliError;
use crate::settings::Settings;

/// Does what the verb says.
///
/// # Errors
/// [`CliError`], which knows its exit code.
pub fn dispatch(verb: Verb, settings: &Settings) -> Result<(), CliError> {
    match verb {
        Verb::Run(args) => run::run(&args, settings),
        Verb::Plan(args) => plan::plan(&args, settings),
        Verb::Work(args) => work::work(&args, settings),
        Verb::Submit(args) => submit::submit(&args.engine, settings),
        Verb::Graph(args) => graph::graph(&args, settings),
        Verb::Status(args) => status::status(&args, settings),
        Verb::Explain(args) => explain::explain(&args, settings),
        Verb::Predict(args) => predict::predict(&args, settings),
        Verb::Support(args) => support::support(&args.action, settings),
        Verb::Similar(args) => similar::similar(&args, settings),
        Verb::Query(args) => query::query(&args, settings),
        Verb::Tables(args) => tables::tables(&args, settings),
        Verb::Report(args) => report::report(&args, settings),
        Verb::Verify(args) => verify::verify(&args, settings),
        Verb::Gc(args) => gc::gc(&args, settings),
        Verb::Runs(args) => runs::runs(&args, settings),
        Verb::Push(args) => transfer::push(&args, settings),
        Verb::Pull(args) => transfer::pull(&args, settings),
        Verb::Export(args) => model::export(&args, settings),
        Verb::Import(args) => model::import(&args, settings),
        Verb::Diff(args) => diff::diff(&args, settings),
        Verb::Config(args) => config::config(&args.action, settings),
        Verb::Data(args) => data::data(&args.action, settings),
        Verb::Weights(args) => weights::weights(&args.action, settings),
        Verb::Doctor => doctor::doctor(settings),
        Verb::Completions(args) => completions::completions(&args),
        Verb::Man(args) => man::man(&args),
    }
}
