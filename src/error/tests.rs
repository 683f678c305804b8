//! Every message as people and as programs read it, held by snapshots: `INSTA_UPDATE=always` writes them again.

use mlsm_errors::{Explain, Explanation, Fix};
use mlsm_store::StoreError;

use super::words::{Words, of_fix};
use super::*;
use crate::error::samples;

/// Holds a list of messages, each under the name of its variant.
fn hold(snapshot: &str, messages: &[(String, String)]) {
    let text = messages.iter().map(|(name, message)| format!("## {name}\n{message}")).collect::<Vec<_>>().join("\n");
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(snapshot, text));
}

/// Checks that there is one example of each variant, and names the examples.
fn named<T>(examples: Vec<T>, of: impl Fn(&T) -> &'static str, all: &[&str]) -> Vec<(&'static str, T)> {
    let named: Vec<_> = examples.into_iter().map(|example| (of(&example), example)).collect();
    assert_eq!(named.iter().map(|(name, _)| *name).collect::<Vec<_>>(), all, "one example of each variant, in order");
    named
}

/// Lays an error out as the command line does, with its exit code and as JSON.
fn message(error: &CliError) -> String {
    format!("exit code {}\n{}{}\n", error.exit_code(), error.render(), error.to_json())
}

/// Every error says what failed, why, and what helps.
fn whole(kind: &str, name: &str, error: &CliError) -> (String, String) {
    let json = error.to_json();
    for key in ["what", "why", "fix"] {
        assert!(json[key].as_str().is_some_and(|text| !text.is_empty()), "{kind}::{name} has no {key}: {json}");
    }
    (format!("{kind}::{name}"), message(error))
}

#[test]
fn every_error_of_the_store_is_worded() {
    let errors = named(samples::of_store(), samples::store::of, samples::store::ALL);
    let messages: Vec<_> =
        errors.into_iter().map(|(name, error)| whole("StoreError", name, &CliError::Store(error))).collect();
    hold("store", &messages);
}

#[test]
fn every_finding_of_a_verification_is_worded() {
    let findings = named(samples::findings(), samples::finding::of, samples::finding::ALL);
    let message = |finding: &mlsm_store::Finding| format!("{finding}; repair: {}\n", of_fix(&finding.repair()));
    let messages: Vec<_> =
        findings.iter().map(|(name, finding)| (format!("Finding::{name}"), message(finding))).collect();
    hold("findings", &messages);
}

#[test]
fn every_error_of_the_data_is_worded() {
    let errors = named(samples::of_data(), samples::data::of, samples::data::ALL);
    let mut messages: Vec<_> =
        errors.into_iter().map(|(name, error)| whole("DataError", name, &CliError::Data(error))).collect();
    let image = |problem| CliError::Data(DataError::image("owl/1.jpg", problem));
    let problems = named(samples::of_images(), samples::image::of, samples::image::ALL);
    messages.extend(problems.into_iter().map(|(name, problem)| whole("ImageProblem", name, &image(problem))));
    hold("data", &messages);
}

#[test]
fn every_error_of_nets_is_worded() {
    let errors = named(samples::of_nets(), samples::nets::of, samples::nets::ALL);
    let node = |error: mlsm_nets::NetError| {
        CliError::Nodes(vec![("train-base:conv".to_owned(), StageError::Setup(error.explain()))])
    };
    let messages: Vec<_> = errors.into_iter().map(|(name, error)| whole("NetError", name, &node(error))).collect();
    hold("nets", &messages);
}

#[test]
fn every_error_of_the_engine_is_worded() {
    let errors = named(samples::of_engine(), samples::engine::of, samples::engine::ALL);
    let mut messages: Vec<_> =
        errors.into_iter().map(|(name, error)| whole("EngineError", name, &CliError::Engine(error))).collect();
    let graphs = named(samples::of_graphs(), samples::graph::of, samples::graph::ALL);
    let assembled = |error| CliError::Assemble(AssembleError::Graph(error));
    messages.extend(graphs.into_iter().map(|(name, error)| whole("GraphError", name, &assembled(error))));
    let stages = named(samples::of_stages(), samples::stage::of, samples::stage::ALL);
    let node = |error| CliError::Nodes(vec![("crop".to_owned(), error)]);
    messages.extend(stages.into_iter().map(|(name, error)| whole("StageError", name, &node(error))));
    hold("engine", &messages);
}

#[test]
fn every_error_of_a_configuration_and_of_its_graph_is_worded() {
    let mut messages: Vec<_> = samples::of_configs()
        .into_iter()
        .map(|error| whole("ConfigError", &error.path.clone(), &CliError::Config(error)))
        .collect();
    let errors = named(samples::of_assembly(), samples::assemble::of, samples::assemble::ALL);
    messages.extend(errors.into_iter().map(|(name, error)| whole("AssembleError", name, &CliError::Assemble(error))));
    hold("pipelines", &messages);
}

#[test]
fn every_error_of_a_support_file_is_worded() {
    let errors = named(samples::of_supports(), samples::support::of, samples::support::ALL);
    let messages: Vec<_> =
        errors.into_iter().map(|(name, error)| whole("SupportError", name, &CliError::from(error))).collect();
    hold("support", &messages);
}

#[test]
fn every_error_of_a_model_file_is_worded() {
    let errors = named(samples::of_models(), samples::model::of, samples::model::ALL);
    let messages: Vec<_> =
        errors.into_iter().map(|(name, error)| whole("ModelFileError", name, &CliError::from(error))).collect();
    hold("model", &messages);
}

#[test]
fn every_end_of_a_command_and_everything_that_helps_is_worded() {
    let errors = named(samples::of_commands(), samples::cli::of, samples::cli::ALL);
    let mut messages: Vec<_> =
        errors.into_iter().map(|(name, error)| (format!("CliError::{name}"), message(&error))).collect();
    let fixes = named(samples::fixes(), samples::fix::of, samples::fix::ALL);
    messages.extend(fixes.iter().map(|(name, fix)| (format!("Fix::{name}"), format!("{}\n", of_fix(fix)))));
    for fix in [Fix::lower("n_way"), Fix::other("splits.rule"), Fix::remove("meta-train.mlsm.object")] {
        messages.push(("Fix::Key".to_owned(), format!("{}\n", of_fix(&fix))));
    }
    hold("commands", &messages);
}

#[test]
fn each_kind_of_stage_error_has_its_exit_code() {
    let codes = samples::of_stages().into_iter().map(|error| {
        let name = samples::stage::of(&error);
        (name, CliError::Nodes(vec![("crop".to_owned(), error)]).exit_code())
    });
    let expected =
        [("Cancelled", 130), ("BadData", 6), ("Setup", 2), ("Busy", 5), ("Store", STORE_UNUSABLE), ("Failed", 3)];
    assert_eq!(codes.collect::<Vec<_>>(), expected);
}

#[test]
fn a_full_disk_keeps_what_is_finished_and_says_so_wherever_it_was_found() {
    let full = || StoreError::Full { path: "a".into() };
    let errors = [
        CliError::Store(full()),
        CliError::Engine(EngineError::Store(full())),
        CliError::Assemble(AssembleError::Store(full())),
        CliError::Nodes(vec![("crop".to_owned(), StageError::Store(full()))]),
    ];
    for error in errors {
        assert_eq!(error.exit_code(), STAGE_FAILED);
        let fix = error.to_json()["fix"].as_str().unwrap().to_owned();
        assert!(fix.starts_with("free space") && fix.ends_with("; finished artifacts are kept"), "{fix}");
    }
}

#[test]
fn a_node_that_says_nothing_of_a_fix_gets_the_usual_one() {
    let error = CliError::Nodes(vec![("crop".to_owned(), StageError::Failed("no map is left".into()))]);
    let expected = "error: crop: no map is left\n  fix: mend the cause, then run again; finished artifacts are kept\n";
    assert_eq!(error.render(), expected);
}

#[test]
fn every_reason_and_every_remedy_is_printed_once() {
    let said = Explanation::new("a").because("b").because("c").fix("d").fix(Fix::OtherStore);
    let expected = "error: a\n  why: b\n  why: c\n  fix: d, or name another store with `--store`\n";
    assert_eq!(Words::from(said).paragraph(), expected);
}

#[test]
fn a_failed_check_prints_nothing_more() {
    assert_eq!(CliError::CheckFailed.render(), "");
    assert_eq!(CliError::CheckFailed.exit_code(), 1);
}
