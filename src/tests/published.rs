//! What an analyst finds: tables, SQL, reports.

use std::fs;
use std::io::Write;

use serde_json::Value;

use crate::program::{command, mlsm};
use crate::scene::Scene;

#[test]
fn every_table_is_there_with_its_columns() {
    let scene = Scene::finished();
    let tables = mlsm(&scene.store(), ["tables", "--output", "json"]).ok().json();
    let columns = |name: &str| -> Vec<String> {
        let table = tables.as_array().unwrap().iter().find(|t| t["table"] == name);
        let table = table.unwrap_or_else(|| panic!("no table {name} in {tables}"));
        table["columns"].as_array().unwrap().iter().map(|c| c["column"].as_str().unwrap().to_owned()).collect()
    };
    let expected: [(&str, &[&str]); 8] = [
        (
            "images",
            &[
                "image_id",
                "path",
                "class_id",
                "class_name",
                "split",
                "width",
                "height",
                "box_x",
                "box_y",
                "box_w",
                "box_h",
                "digest",
                "bytes",
            ],
        ),
        (
            "crops",
            &["image_id", "node", "box_x", "box_y", "box_w", "box_h", "cam_class_id", "cam_peak", "fallback", "iou"],
        ),
        ("features", &["image_id", "class_id", "split", "source", "node", "embedding"]),
        ("training", &["node", "step", "split", "metric", "value"]),
        (
            "episodes",
            &[
                "node",
                "method",
                "levels",
                "n_way",
                "k_shot",
                "n_query",
                "episode_seed",
                "episode",
                "support_ids",
                "query_ids",
                "accuracy",
            ],
        ),
        (
            "results",
            &[
                "node",
                "method",
                "levels",
                "backbone",
                "width",
                "mode",
                "weights",
                "precision",
                "pair",
                "loss",
                "cam",
                "image_source",
                "n_way",
                "k_shot",
                "episodes",
                "accuracy",
                "ci95",
                "dataset",
                "split_rule",
                "protocol",
                "augmentation",
                "bn_eval",
                "training_seed",
                "paper_accuracy",
            ],
        ),
        ("runs", &["run_id", "started", "finished", "outcome", "version", "device"]),
        ("nodes", &["node", "stage", "outcome", "fingerprint", "seconds", "reason"]),
    ];
    for (table, wanted) in expected {
        let found = columns(table);
        let missing: Vec<_> = wanted.iter().filter(|w| !found.iter().any(|f| f == *w)).collect();
        assert!(missing.is_empty(), "table {table} lacks {missing:?}, it has {found:?}");
    }
}

#[test]
fn sql_joins_aggregates_and_ranks_over_every_format() {
    let scene = Scene::finished();
    let per_part = scene.query(
        "SELECT i.split, COUNT(*) AS photos, COUNT(DISTINCT i.class_id) AS classes \
         FROM images i JOIN features f ON i.image_id = f.image_id WHERE f.source = 'image' \
         GROUP BY i.split ORDER BY i.split",
    );
    let parts: Vec<_> = per_part.as_array().unwrap().iter().map(|row| row["split"].as_str().unwrap()).collect();
    assert_eq!(parts, ["base", "novel", "val"]);
    let ranked = scene.query(
        "SELECT node, RANK() OVER (PARTITION BY k_shot ORDER BY accuracy DESC) AS place FROM results ORDER BY place",
    );
    assert_eq!(ranked[0]["place"], 1);
    let ids = scene.query("SELECT support_ids, query_ids FROM episodes LIMIT 1");
    assert!(ids[0]["support_ids"].as_array().unwrap().len() >= 2, "{ids}");

    let csv = mlsm(&scene.store(), ["query", "SELECT COUNT(*) AS n FROM images", "--format", "csv"]).ok().stdout;
    assert_eq!(csv, "n\n192\n");
    let text = mlsm(&scene.store(), ["query", "SELECT COUNT(*) AS n FROM images"]).ok().stdout;
    assert_eq!(text, "  n\n───\n192\n");
    for listing in ["FROM (DESCRIBE)", "FROM (SHOW TABLES)", "FROM information_schema.tables"] {
        for format in ["table", "csv"] {
            let sql = format!("SELECT COUNT(*) AS n {listing}");
            let text = mlsm(&scene.store(), ["query", &sql, "--format", format]).ok().stdout;
            assert!(text.trim_end().ends_with("10"), "{listing} as {format}: {text}");
        }
    }
    // What is shown of a long answer are its first rows.
    let text = mlsm(&scene.store(), ["query", "SELECT i FROM range(1000000) t(i) ORDER BY -i"]).ok().stdout;
    assert_eq!(text.lines().nth(2).map(str::trim), Some("999999"), "{text}");
    let file = scene.path("answer.parquet");
    mlsm(&scene.store(), ["query", "SELECT * FROM features LIMIT 3", "--out", file.to_str().unwrap()]).ok();
    assert_eq!(&fs::read(file).unwrap()[..4], b"PAR1");
}

#[test]
fn what_is_written_to_the_output_of_the_process_follows_what_others_print_there() {
    let scene = Scene::finished();
    let file = scene.path("log.txt");
    let log = fs::File::create(&file).unwrap();
    for (sql, out) in [("SELECT 1 AS n", "-"), ("SELECT 2 AS n", "/dev/stdout"), ("SELECT 3 AS n", "/dev/fd/2")] {
        writeln!(&log, "before {out}").unwrap();
        let mut command = command(&scene.store());
        command.args(["query", sql, "--out", out]).current_dir(scene.folder());
        command.stdout(log.try_clone().unwrap()).stderr(log.try_clone().unwrap());
        assert!(command.status().unwrap().success());
        writeln!(&log, "after {out}").unwrap();
    }
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("before -\nn\n─\n1\nafter -\nbefore /dev/stdout\nn\n─\n2\nafter /dev/stdout\n"), "{text}");
    assert!(text.ends_with("before /dev/fd/2\nn\n─\n3\nafter /dev/fd/2\n"), "{text}");
    assert!(!scene.path("-").exists());
}

#[test]
fn refused_sql_names_the_tables() {
    let scene = Scene::finished();
    let answer = mlsm(&scene.store(), ["query", "SELECT * FROM imagse"]);
    assert_eq!(answer.code, 2);
    assert!(answer.stderr.contains("why: ") && answer.stderr.contains("images"), "{}", answer.stderr);
}

#[test]
fn a_published_table_cannot_reach_an_artifact() {
    let scene = Scene::finished();
    let tables = fs::canonicalize(scene.store().join("tables/current")).unwrap();
    let mut pending = vec![tables];
    let mut files = 0;
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let kind = entry.file_type().unwrap();
            assert!(!kind.is_symlink(), "{}", entry.path().display());
            if kind.is_dir() {
                pending.push(entry.path());
            } else {
                files += 1;
                let is_alone = std::os::unix::fs::MetadataExt::nlink(&entry.metadata().unwrap()) == 1;
                assert!(is_alone || entry.metadata().unwrap().permissions().readonly(), "{}", entry.path().display());
            }
        }
    }
    assert!(files > 5);
}

#[test]
fn the_report_repeats_the_results_in_each_form() {
    let scene = Scene::finished();
    let printed = scene.mlsm(&["run"]).ok().stdout;
    let text = mlsm(&scene.store(), ["report"]).ok().stdout;
    assert!(printed.starts_with(&text), "{printed}\n{text}");
    assert!(text.contains("1-shot") && text.contains("±") && text.contains("mlsm"), "{text}");
    for (name, start) in [("r.html", "<!doctype html>"), ("r.md", "# Results of run"), ("r.txt", text.as_str())] {
        let path = scene.path(name);
        mlsm(&scene.store(), ["report", "--out", path.to_str().unwrap()]).ok();
        assert!(fs::read_to_string(path).unwrap().starts_with(start), "{name}");
    }
}

#[test]
fn status_and_runs_tell_of_the_last_run() {
    let scene = Scene::finished();
    let status = scene.mlsm(&["status", "--output", "json"]).ok().json();
    assert_eq!(status["is_current"], true);
    assert_eq!(status["last_run"]["outcome"], "ok");
    let runs = mlsm(&scene.store(), ["runs", "--output", "json"]).ok().json();
    assert_eq!(runs.as_array().map(Vec::len), Some(1));
    assert_eq!(runs[0]["run_id"], status["last_run"]["run_id"]);
    assert_eq!(status["tables"], runs[0]["run_id"]);
    assert_ne!(status["stages"], Value::Null);
}
