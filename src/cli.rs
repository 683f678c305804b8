//! The grammar of the command line: common flags and verbs. What a verb takes stands beside what it does, in `cmd/`.

use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{cmd, signals};

/// Few-shot image recognition: learns new classes from one or five photos, as an incremental pipeline.
#[derive(Debug, Parser)]
#[command(name = "mlsm", version, arg_required_else_help = true, after_help = AFTER_HELP)]
pub struct Cli {
    /// Flags that every verb takes.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

const AFTER_HELP: &str = "\
Exit codes: 0 ok; 1 a check says no; 2 usage or configuration; 3 a stage failed; 4 the store cannot be used; \
5 the store is busy; 6 the input data is bad; 130 cancelled (run again to resume).";

/// Flags that every verb takes.
#[derive(Clone, Debug, Default, Args)]
pub struct Common {
    /// A configuration file, or the name of a preset such as `demo` [env: MLSM_CONFIG]
    #[arg(long, global = true, value_name = "FILE|PRESET", help_heading = "Common flags")]
    pub config: Option<String>,
    /// Sets one key of the configuration, such as `evaluate.episodes=100`; may be repeated
    #[arg(long, global = true, value_name = "KEY=VALUE", help_heading = "Common flags")]
    pub set: Vec<String>,
    /// The folder of artifacts and tables, or a place that machines share: s3://bucket/prefix, gs://…, az://…, of which
    /// MLSM_CACHE holds a copy of what was used [env: MLSM_STORE] [default: .mlsm]
    #[arg(long, global = true, value_name = "DIR|URL", help_heading = "Common flags")]
    pub store: Option<String>,
    /// auto, cpu, cuda or cuda:N [env: MLSM_DEVICE] [default: auto]
    #[arg(long, global = true, value_name = "DEVICE", help_heading = "Common flags")]
    pub device: Option<String>,
    /// Threads that units computed side by side may keep busy together; never changes results [env: MLSM_THREADS] [default:
    /// all cores]
    #[arg(long, global = true, value_name = "N", help_heading = "Common flags")]
    pub threads: Option<usize>,
    /// How to answer [env: MLSM_OUTPUT] [default: text]
    #[arg(long, global = true, value_name = "FORMAT", help_heading = "Common flags")]
    pub output: Option<Output>,
    /// Reads every photo again, instead of believing that one is unchanged whose size and times are
    #[arg(long, global = true, help_heading = "Common flags")]
    pub rehash: bool,
    /// Shows errors and the result alone
    #[arg(long, short, global = true, conflicts_with = "verbose", help_heading = "Common flags")]
    pub quiet: bool,
    /// Shows every event
    #[arg(long, short, global = true, action = clap::ArgAction::Count, help_heading = "Common flags")]
    pub verbose: u8,
}

/// What stdout carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Text for people.
    #[default]
    Text,
    /// JSON alone, one document on a line.
    Json,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Brings artifacts, tables and results up to date, computing only what is missing
    Run(cmd::run::RunArgs),
    /// Shows what a run would compute, and why; computes nothing
    Plan(cmd::plan::PlanArgs),
    /// Computes some units of a plan, on any machine that sees the store
    Work(cmd::work::WorkArgs),
    /// Gives a run to the machines of a cluster: Slurm, Ray or Kubernetes
    Submit(cmd::submit::SubmitArgs),
    /// Draws the nodes, what each reads and what a run would do with it: text, Mermaid, Graphviz, JSON
    Graph(cmd::graph::GraphArgs),
    /// Shows in short which stages are up to date, who computes what, and the last run; with --follow until all is done
    Status(cmd::status::StatusArgs),
    /// Says what changed in a node or stage since its last run
    Explain(cmd::explain::ExplainArgs),
    /// Tells photos of your own apart, by a few labelled ones of each class
    Predict(cmd::predict::PredictArgs),
    /// Keeps the features of labelled photos in a file, by which `mlsm predict` needs the photos no more
    Support(cmd::support::SupportArgs),
    /// Lists the photos of a folder, or of the configuration, that resemble a photo most
    Similar(cmd::similar::SimilarArgs),
    /// Answers SQL over the published tables
    Query(cmd::query::QueryArgs),
    /// Lists the published tables
    Tables(cmd::tables::TablesArgs),
    /// Prints the results of a run again, or writes them as Markdown or HTML
    Report(cmd::report::ReportArgs),
    /// Checks that every artifact in the store is whole
    Verify(cmd::verify::VerifyArgs),
    /// Removes artifacts that no kept run reaches
    Gc(cmd::gc::GcArgs),
    /// Lists the runs of the store, pins and unpins them
    Runs(cmd::runs::RunsArgs),
    /// Says what changed between two runs: configuration, requests, results
    Diff(cmd::diff::DiffArgs),
    /// Brings what another store lacks there
    Push(cmd::transfer::TransferArgs),
    /// Brings what this store lacks here, from another one
    Pull(cmd::transfer::TransferArgs),
    /// Writes what a node has learnt to one file: weights, recipe, normalisation, lineage
    Export(cmd::model::ExportArgs),
    /// Puts what such a file holds into the store, where runs that ask the same use it; one that none uses is collected
    Import(cmd::model::ImportArgs),
    /// Prints the configuration with every default, and where each value comes from
    Config(cmd::config::ConfigArgs),
    /// Draws synthetic photos, checks a data set
    Data(cmd::data::DataArgs),
    /// Fetches pretrained weights, lists those known
    Weights(cmd::weights::WeightsArgs),
    /// Checks what the pipeline needs on this machine
    Doctor,
    /// Prints completions for a shell
    Completions(cmd::completions::CompletionsArgs),
    /// Prints the manual, or writes a page for each verb
    Man(cmd::man::ManArgs),
}

impl Verb {
    /// How long the verb has to stop by itself after a signal.
    pub fn grace(&self) -> Duration {
        match self {
            Self::Run(_)
            | Self::Work(_)
            | Self::Predict(_)
            | Self::Support(_)
            | Self::Similar(_)
            | Self::Import(_)
            | Self::Push(_)
            | Self::Pull(_)
            | Self::Gc(_)
            | Self::Verify(_)
            | Self::Data(_)
            | Self::Weights(_) => signals::TO_KEEP_WORK,
            Self::Plan(_)
            | Self::Submit(_)
            | Self::Graph(_)
            | Self::Config(_)
            | Self::Status(_)
            | Self::Explain(_)
            | Self::Query(_)
            | Self::Tables(_)
            | Self::Report(_)
            | Self::Runs(_)
            | Self::Diff(_)
            | Self::Export(_)
            | Self::Doctor
            | Self::Completions(_)
            | Self::Man(_) => signals::TO_LOOK,
        }
    }
}
