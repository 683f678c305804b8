//! What is printed is what was verified: a byte is flipped in a file of a finished store, and every figure that is printed
//! afterwards is the undisturbed one.

use std::fs;
use std::path::{Path, PathBuf};

use crate::program::{Answer, mlsm};
use crate::scene::{Scene, config};

/// The verbs that show figures.
const VERBS: [&[&str]; 3] =
    [&["report"], &["query", "SELECT node, k_shot, accuracy, ci95 FROM results ORDER BY node"], &["tables"]];

fn answers(scene: &Scene, store: &Path) -> Vec<Answer> {
    let run: Vec<String> = ["run".to_owned()].into_iter().chain(config(&scene.data())).collect();
    VERBS.iter().map(|verb| mlsm(store, *verb)).chain([mlsm(store, run)]).collect()
}

/// All files below a folder, sorted; links are not followed.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(files(&entry.path()));
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    found.sort();
    found
}

/// Flips a byte of every `step`-th file; returns how many files, and how many answers were refused for it.
pub fn strike(step: usize) -> (usize, usize) {
    let scene = Scene::finished();
    let (whole, store) = (scene.path("whole"), scene.store());
    fs::rename(&store, &whole).unwrap();
    let copy = || {
        let _ = fs::remove_dir_all(&store);
        assert!(std::process::Command::new("cp").arg("-a").arg(&whole).arg(&store).status().unwrap().success());
    };
    copy();
    let expected: Vec<String> = answers(&scene, &store).into_iter().map(|answer| answer.ok().stdout).collect();
    let all: Vec<PathBuf> = files(&whole).iter().map(|path| path.strip_prefix(&whole).unwrap().to_owned()).collect();
    // Files of one folder are of one kind: a few of each, and all of those that are published or alone of their kind.
    let chosen = all.iter().enumerate().filter(|(i, path)| {
        let is_rare = !path.starts_with("blobs") && !path.starts_with("manifests") && !path.starts_with("locks");
        i % step == 0 || (is_rare && path.ends_with("summary.json"))
    });
    let (mut flipped, mut refused) = (0, 0);
    for (i, path) in chosen {
        copy();
        let file = store.join(path);
        let mut bytes = fs::read(&file).unwrap();
        if bytes.is_empty() {
            continue;
        }
        let at = (i * 7919) % bytes.len();
        bytes[at] ^= 1 << (i % 8);
        fs::remove_file(&file).unwrap();
        fs::write(&file, bytes).unwrap();
        flipped += 1;
        for (answer, expected) in answers(&scene, &store).iter().zip(&expected) {
            let is_figure = answer.stdout.contains('.');
            assert!(
                answer.stdout == *expected || (answer.code != 0 && !is_figure),
                "byte {at} of {}: {answer:?}\nundisturbed: {expected}",
                path.display()
            );
            refused += usize::from(answer.code != 0);
        }
    }
    (flipped, refused)
}

#[test]
fn no_flipped_byte_changes_a_figure_that_is_printed() {
    let (files, _) = strike(97);
    assert!(files > 5, "{files}");
}

#[test]
fn a_flipped_accuracy_is_never_printed_and_the_next_run_publishes_it_anew() {
    let scene = Scene::finished();
    let whole = mlsm(&scene.store(), ["report"]).ok().stdout;
    let summary = fs::canonicalize(scene.store().join("tables/current")).unwrap().join("summary.json");
    let text = fs::read_to_string(&summary).unwrap();
    let at = text.find("\"accuracy\": 0.").unwrap() + "\"accuracy\": 0.".len();
    let mut bytes = text.into_bytes();
    bytes[at] = if bytes[at] == b'9' { b'1' } else { bytes[at] + 1 };
    fs::remove_file(&summary).unwrap();
    fs::write(&summary, bytes).unwrap();
    let report = mlsm(&scene.store(), ["report"]);
    assert!(report.code == 4 && report.stdout.is_empty() && report.stderr.contains("fix: "), "{report:?}");
    let run = scene.mlsm(&["run"]).ok().stdout;
    assert!(run.starts_with(&whole), "{run}\n{whole}");
    assert_eq!(mlsm(&scene.store(), ["report"]).ok().stdout, whole);
}
