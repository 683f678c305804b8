//! The program as a user starts it, and what it answered.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// Returns the program with the flags that every test gives, and none of the surrounding environment's settings.
pub fn command(store: &Path) -> Command {
    command_of(Path::new(env!("CARGO_BIN_EXE_mlsm")), store)
}

/// Returns the same with a copy of the program.
pub fn command_of(program: &Path, store: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MLSM_") {
            command.env_remove(name);
        }
    }
    command.arg("--store").arg(store).args(["--device", "cpu"]).stdin(Stdio::null());
    command
}

/// Runs the program to its end.
pub fn mlsm<S: AsRef<OsStr>>(store: &Path, arguments: impl IntoIterator<Item = S>) -> Answer {
    Answer::of(command(store).args(arguments).output().expect("the program starts"))
}

/// Starts the program with its stdout in a pipe.
pub fn start<S: AsRef<OsStr>>(store: &Path, arguments: impl IntoIterator<Item = S>) -> Child {
    let mut command = command(store);
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().expect("the program starts")
}

/// What the program answered.
#[derive(Debug)]
pub struct Answer {
    /// The exit code; -1 when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Answer {
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Insists on success.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "stderr: {}\nstdout: {}", self.stderr, self.stdout);
        self
    }

    /// Reads the last line of stdout as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        let last = self.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(last).unwrap_or_else(|e| panic!("{e}: {last}\nstderr: {}", self.stderr))
    }
}

/// The end of a run: what happened to each node.
pub struct Finished(pub Value);

impl Finished {
    fn nodes(&self) -> impl Iterator<Item = &Value> {
        self.0["nodes"].as_array().expect("run-finished lists nodes").iter()
    }

    /// Returns the stages of which any node was computed, each once, in order.
    pub fn executed_stages(&self) -> Vec<&str> {
        let mut stages: Vec<&str> = self.nodes().filter(|n| n["outcome"] == "executed").map(stage).collect();
        stages.dedup();
        stages
    }

    /// Returns how many shards each node of a stage computed.
    pub fn shards(&self, name: &str) -> Vec<u64> {
        self.nodes().filter(|n| stage(n) == name).map(|n| n["shards"]["executed"].as_u64().unwrap()).collect()
    }

    /// Returns node, fingerprint and outputs of every node: what must repeat from run to run.
    pub fn digests(&self) -> Vec<(Value, Value, Value)> {
        self.nodes().map(|n| (n["node"].clone(), n["fingerprint"].clone(), n["outputs"].clone())).collect()
    }
}

fn stage(node: &Value) -> &str {
    node["stage"].as_str().expect("a node names its stage")
}
