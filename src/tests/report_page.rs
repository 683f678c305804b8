//! The HTML report: one file with all its parts, made of what was published and stored, and of nothing else.

use std::fs;

use serde_json::Value;

use crate::program::mlsm;
use crate::scene::Scene;

/// The most that the file may weigh.
const MOST_BYTES: usize = 15_000_000;

/// Writes the report of the last run and reads it.
#[track_caller]
fn report(scene: &Scene) -> String {
    let path = scene.path("report.html");
    mlsm(&scene.store(), ["report", "--out", path.to_str().unwrap()]).ok();
    fs::read_to_string(path).unwrap()
}

/// The page without its scripts, and the data of its figures.
fn split(html: &str) -> (String, Vec<Value>) {
    let (_, rest) = html.split_once("id=\"figures\">").expect("the page has figures");
    let figures = serde_json::from_str(rest.split_once("</script>").unwrap().0).expect("the data are JSON");
    let mut parts = html.split("<script");
    let first = parts.next().unwrap().to_owned();
    let rest = parts.map(|part| part.split_once("</script>").expect("every script ends").1);
    (first + &rest.collect::<String>(), figures)
}

#[test]
fn the_page_has_every_part_and_needs_nothing_else() {
    let scene = Scene::finished();
    let html = report(&scene);
    assert!(html.len() < MOST_BYTES, "{} bytes", html.len());
    let (page, figures) = split(&html);
    for part in [
        "accuracy",
        "differences",
        "training",
        "confusion",
        "episode",
        "boxes",
        "embeddings",
        "timings",
        "lineage",
        "configuration",
    ] {
        assert!(page.contains(&format!("<h2 id=\"{part}\">")), "no part {part}");
    }
    assert!(!page.contains("id=\"left-out\""), "a finished run has all parts");
    for figure in &figures {
        let id = figure["id"].as_str().unwrap();
        assert!(page.contains(&format!("id=\"{id}\" role=\"img\" aria-label=\"")), "no place for figure {id}");
        assert!(figure["choices"].as_array().is_some_and(|choices| !choices.is_empty()), "{id}");
    }
    assert!(figures.len() >= 5, "{}", figures.len());
    for word in ["://", "@import", "url(", "src="] {
        assert!(!page.contains(word), "the page refers to something outside: {word}");
    }
    assert!(page.contains("default-src 'none'"), "nor may its scripts ask for anything");
    for thing in ["data:image/jpeg;base64,", "data:image/png;base64,", "class=\"drawn\"", "lang=\"en\"", "MIT licence"]
    {
        assert!(page.contains(thing), "no {thing}");
    }
}

#[test]
fn figures_and_tables_show_what_sql_answers() {
    let scene = Scene::finished();
    let html = report(&scene);
    let (page, figures) = split(&html);
    let dots = |figure: &Value| -> Vec<f64> {
        let traces = figure["choices"][0]["data"].as_array().unwrap().clone();
        traces.iter().flat_map(|trace| trace["x"].as_array().unwrap().clone()).map(|x| x.as_f64().unwrap()).collect()
    };
    let drawn: Vec<f64> =
        figures.iter().filter(|f| f["id"].as_str().unwrap().starts_with("accuracy-")).flat_map(dots).collect();
    for row in scene.query("SELECT accuracy, ci95 FROM results").as_array().unwrap() {
        let (accuracy, ci95) = (100.0 * row["accuracy"].as_f64().unwrap(), 100.0 * row["ci95"].as_f64().unwrap());
        assert!(drawn.iter().any(|x| (x - accuracy).abs() < 1e-9), "{accuracy} is in no figure: {drawn:?}");
        assert!(page.contains(&format!("{accuracy:.2} ± {ci95:.2}")), "{accuracy} is in no table");
    }
    let counted: u64 = scene.query("SELECT COUNT(*) AS n FROM predictions")[0]["n"].as_u64().unwrap();
    let confusion = figures.iter().find(|figure| figure["id"] == "confusion-matrix").unwrap();
    let cells = confusion["choices"].as_array().unwrap().iter().flat_map(|choice| {
        let lines = choice["data"][0]["text"].as_array().unwrap().clone();
        lines.into_iter().flat_map(|line| line.as_array().unwrap().clone())
    });
    assert_eq!(cells.map(|cell| cell.as_u64().unwrap()).sum::<u64>(), counted);
}

#[test]
fn the_published_configuration_repeats_the_run() {
    let scene = Scene::finished();
    let config = scene.store().join("tables/current/config.toml");
    mlsm(&scene.store(), ["plan", "--check", "--config", config.to_str().unwrap()]).ok();
}

#[test]
fn photos_that_the_store_no_longer_has_are_left_out_and_damage_is_no_report() {
    let scene = Scene::finished();
    fs::remove_dir_all(scene.store().join("blobs")).unwrap();
    let (page, _) = split(&report(&scene));
    assert!(page.contains("No photos are shown: the store has no squashed pixels of these photos."));
    assert!(page.contains("<h2 id=\"boxes\">") && !page.contains("data:image"));
    let predictions = scene.store().join("tables/current/predictions/predictions.parquet");
    let mut bytes = fs::read(&predictions).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::remove_file(&predictions).unwrap();
    fs::write(&predictions, bytes).unwrap();
    let answer = mlsm(&scene.store(), ["report", "--out", scene.path("damaged.html").to_str().unwrap()]);
    assert!(answer.code == 4 && answer.stderr.contains("predictions.parquet"), "{answer:?}");
    assert!(!scene.path("damaged.html").exists());
}
