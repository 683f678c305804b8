//! How far a configuration is: by stage, by node where one has begun, and who computes what.

use std::time::Duration;

use mlsm_engine::{Action, NodeProgress};
use mlsm_store::Holder;
use serde::Serialize;

use crate::clock;
use crate::render::table::{Align, TextTable};

/// Units that are there, of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Units {
    done: usize,
    all: usize,
}

/// Nodes of one stage by what a run would do with them, and their units.
#[derive(Debug, PartialEq, Serialize)]
pub struct StageFacts {
    stage: String,
    nodes: usize,
    current: usize,
    stale: usize,
    unknown: usize,
    units: Units,
}

/// A node that has begun and is not up to date.
#[derive(Debug, PartialEq, Serialize)]
pub struct NodeFacts {
    node: String,
    units: Units,
}

/// A unit that is computed now.
#[derive(Debug, PartialEq, Serialize)]
pub struct WorkFacts {
    node: String,
    unit: String,
    host: String,
    process: String,
    /// Seconds since 1970, by the clock of that machine.
    #[serde(serialize_with = "as_time")]
    since: u64,
    job: Option<String>,
}

/// All of it.
#[derive(Debug, PartialEq, Serialize)]
pub struct Facts {
    is_current: bool,
    units: Units,
    stages: Vec<StageFacts>,
    nodes: Vec<NodeFacts>,
    working: Vec<WorkFacts>,
}

impl Facts {
    /// Sums up what the engine found, in the order of the graph.
    pub fn of(progress: &[NodeProgress]) -> Self {
        let mut stages: Vec<StageFacts> = Vec::new();
        let mut all = Units::default();
        for node in progress {
            let at = stages.iter().position(|stage| stage.stage == node.stage).unwrap_or_else(|| {
                stages.push(StageFacts::new(node.stage));
                stages.len() - 1
            });
            stages[at].add(node);
            all.add(node);
        }
        let is_begun = |node: &&NodeProgress| node.done < node.all && (node.done > 0 || !node.working.is_empty());
        let begun = progress.iter().filter(is_begun);
        let nodes = begun.map(|node| NodeFacts { node: node.node.clone(), units: Units::of(node) });
        let working =
            progress.iter().flat_map(|node| node.working.iter().map(|(unit, who)| WorkFacts::of(node, unit, who)));
        Self {
            is_current: progress.iter().all(|node| node.action == Action::Reuse),
            units: all,
            nodes: nodes.collect(),
            working: working.collect(),
            stages,
        }
    }

    /// Tells whether a run would compute nothing.
    pub fn is_current(&self) -> bool {
        self.is_current
    }

    /// Says in a sentence what that comes to.
    pub fn verdict(&self) -> &'static str {
        match (self.is_current, self.working.is_empty()) {
            (true, _) => "everything is up to date",
            (false, true) => "nobody is computing; `mlsm plan` says what is stale and why",
            (false, false) => "`mlsm plan` says what is stale and why",
        }
    }

    /// Lays it out as tables.
    pub fn text(&self, width: Option<usize>) -> String {
        let right = |name| (name, Align::Right);
        let numbers = ["nodes", "current", "stale", "unknown", "units"].map(right);
        let mut stages = TextTable::new(&[[("stage", Align::Left)].as_slice(), &numbers].concat());
        for stage in &self.stages {
            let counts = [stage.nodes, stage.current, stage.stale, stage.unknown].map(|n| n.to_string());
            stages.row([stage.stage.clone()].into_iter().chain(counts).chain([stage.units.text()]).collect());
        }
        let mut nodes = TextTable::new(&[("begun", Align::Name), right("units")]);
        self.nodes.iter().for_each(|node| nodes.row(vec![node.node.clone(), node.units.text()]));
        let names =
            [("computing", Align::Name), ("unit", Align::Name), ("host", Align::Name), right("process"), right("for")];
        let mut working = TextTable::new(&[names.as_slice(), &[("job", Align::Name)]].concat());
        self.working.iter().for_each(|work| working.row(work.cells()));
        let tables = [stages, nodes, working].into_iter().filter(|table| !table.is_empty());
        tables.map(|table| table.fit(width)).collect::<Vec<_>>().join("\n")
    }
}

impl Units {
    fn of(node: &NodeProgress) -> Self {
        Self { done: node.done, all: node.all }
    }

    fn add(&mut self, node: &NodeProgress) {
        (self.done, self.all) = (self.done + node.done, self.all + node.all);
    }

    fn text(self) -> String {
        format!("{}/{}", self.done, self.all)
    }
}

impl StageFacts {
    fn new(stage: &str) -> Self {
        Self { stage: stage.to_owned(), nodes: 0, current: 0, stale: 0, unknown: 0, units: Units::default() }
    }

    fn add(&mut self, node: &NodeProgress) {
        self.nodes += 1;
        self.units.add(node);
        match node.action {
            Action::Reuse => self.current += 1,
            Action::Execute => self.stale += 1,
            Action::Unknown => self.unknown += 1,
        }
    }
}

impl WorkFacts {
    fn of(node: &NodeProgress, unit: &str, holder: &Holder) -> Self {
        let Holder { host, pid, since, job } = holder.clone();
        let since = since.parse().unwrap_or_default();
        Self { node: node.node.clone(), unit: unit.to_owned(), host, process: pid, since, job }
    }

    fn cells(&self) -> Vec<String> {
        let Self { node, unit, host, process, since, job } = self;
        let age = clock::since_epoch().saturating_sub(Duration::from_secs(*since));
        [node, unit, host, process, &short(age), job.as_deref().unwrap_or_default()].map(str::to_owned).to_vec()
    }
}

fn as_time<S: serde::Serializer>(since: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&clock::rfc3339(Duration::from_secs(*since)))
}

/// The two largest parts of a time.
fn short(time: Duration) -> String {
    let seconds = time.as_secs();
    let whole = match seconds {
        0..3600 => seconds,
        3600..86_400 => seconds - seconds % 60,
        _ => seconds - seconds % 3600,
    };
    humantime::format_duration(Duration::from_secs(whole)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(node: &str, stage: &'static str, action: Action, done: usize) -> NodeProgress {
        NodeProgress { node: node.to_owned(), stage, action, done, all: 3, working: Vec::new() }
    }

    #[test]
    fn stages_are_summed_and_what_has_begun_is_named_with_who_computes_it() {
        let now = clock::since_epoch().as_secs();
        let text = format!("node7\n4711\n{}\njob slurm 12_3\n", now - 3670);
        let at_work = NodeProgress {
            working: vec![("002".to_owned(), Holder::from_text(&text))],
            ..node("crop", "crop", Action::Execute, 1)
        };
        let progress = [
            node("ingest", "ingest", Action::Reuse, 3),
            at_work,
            node("evaluate:a", "evaluate", Action::Unknown, 0),
            node("evaluate:b", "evaluate", Action::Reuse, 3),
        ];
        let facts = Facts::of(&progress);
        let lines: Vec<String> = facts.text(None).lines().map(str::to_owned).collect();
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(&lines[4]), ["evaluate", "2", "1", "0", "1", "3/6"]);
        assert_eq!(words(&lines[8]), ["crop", "1/3"]);
        assert_eq!(words(lines.last().unwrap()), ["crop", "002", "node7", "4711", "1h", "1m", "slurm", "12_3"]);
        let json = serde_json::to_value(&facts).unwrap();
        assert_eq!(json["working"][0]["since"], clock::rfc3339(Duration::from_secs(now - 3670)));
        assert_eq!(json["units"], serde_json::json!({ "done": 7, "all": 12 }));
    }
}
