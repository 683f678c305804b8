//! What a second run must not do again, after each kind of change.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use crate::program::mlsm;
use crate::scene::{Scene, undisturbed};

/// Redraws a corner of a JPEG so that its pixels change at every size.
fn repaint(photo: &Path) {
    let mut image = image::open(photo).unwrap().into_rgb8();
    let (width, height) = (image.width() / 2, image.height() / 2);
    for (x, y, pixel) in image.enumerate_pixels_mut() {
        if x < width && y < height {
            pixel.0 = pixel.0.map(|v| 255 - v);
        }
    }
    image.save(photo).unwrap();
}

/// Adds a comment behind the first marker of a JPEG: other bytes, the same pixels.
fn comment(photo: &Path) {
    let mut bytes = fs::read(photo).unwrap();
    let comment = b"\xff\xfe\x00\x09a note!";
    bytes.splice(2..2, comment.iter().copied());
    fs::write(photo, bytes).unwrap();
}

#[test]
fn a_second_run_computes_nothing() {
    let scene = Scene::finished();
    let finished = scene.run(&[]);
    assert_eq!(finished.0["outcome"], "ok");
    assert_eq!(finished.executed_stages(), Vec::<&str>::new());
    assert!(scene.mlsm(&["run"]).ok().stderr.contains("0 executed"));
    scene.mlsm(&["plan", "--check"]).ok();
}

#[test]
fn a_changed_photo_of_a_novel_class_redoes_one_shard_of_each_stage_and_trains_nothing() {
    let scene = Scene::finished();
    let photo = scene.photo_of("novel");
    repaint(&photo);
    let name = photo.file_name().unwrap().to_str().unwrap();
    assert_eq!(scene.mlsm(&["plan", "--check"]).code, 1);
    let explained = scene.mlsm(&["explain", "ingest"]).ok().stdout;
    assert!(explained.contains(name), "{explained}");

    let finished = scene.run(&[]);
    assert_eq!(finished.executed_stages(), ["ingest", "crop", "extract", "evaluate"]);
    for stage in ["ingest", "crop", "extract"] {
        let shards = finished.shards(stage);
        assert!(shards.iter().all(|n| *n <= 1) && shards.contains(&1), "{stage}: {shards:?}");
    }
}

#[test]
fn a_photo_with_other_bytes_and_the_same_pixels_stops_at_ingest() {
    let scene = Scene::finished();
    comment(&scene.photo_of("base"));
    let finished = scene.run(&[]);
    assert_eq!(finished.executed_stages(), ["ingest"]);
    assert_eq!(finished.shards("ingest"), [1]);
}

#[test]
fn a_touched_photo_redoes_nothing() {
    let scene = Scene::finished();
    let photo = fs::File::options().append(true).open(scene.photo_of("base")).unwrap();
    photo.set_modified(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000)).unwrap();
    assert_eq!(scene.run(&[]).executed_stages(), Vec::<&str>::new());
}

#[test]
fn a_changed_photo_of_a_base_class_makes_training_stale() {
    let scene = Scene::finished();
    repaint(&scene.photo_of("base"));
    assert_eq!(scene.run(&["ingest"]).shards("ingest"), [1]);
    let plan = scene.mlsm(&["plan", "--output", "json"]).ok().json();
    let action = |stage: &str| {
        let nodes = plan["nodes"].as_array().unwrap().iter().filter(|n| n["stage"] == stage);
        nodes.map(|n| n["action"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(action("ingest"), ["reuse"]);
    assert!(action("train-base").contains(&"execute".to_owned()), "{plan}");
    assert!(action("crop").contains(&"unknown".to_owned()), "{plan}");
}

#[test]
fn another_split_decodes_nothing_again() {
    let scene = Scene::finished();
    let finished = scene.run(&["ingest", "--set", "splits.seed=99"]);
    assert_eq!(finished.executed_stages(), Vec::<&str>::new());
    let plan = scene.mlsm(&["plan", "--set", "splits.seed=99", "--output", "json"]).ok().json();
    let stale = plan["nodes"].as_array().unwrap().iter().find(|n| n["stage"] == "train-base").unwrap();
    assert_eq!(stale["action"], "execute", "{plan}");
}

#[test]
fn more_episodes_run_evaluate_alone_and_explain_says_so() {
    let scene = Scene::finished();
    let more = ["--set", "evaluate.episodes=33"];
    let explained = scene.mlsm(&[&["explain", "evaluate"], &more[..]].concat()).ok().stdout;
    assert!(explained.contains("episodes") && explained.contains("33"), "{explained}");
    assert_eq!(scene.run(&more).executed_stages(), ["evaluate"]);
}

#[test]
fn equal_boxes_measure_nothing_again_and_the_table_has_the_new_threshold() {
    let scene = Scene::finished();
    assert_eq!(scene.run(&["--set", "cam.threshold=0.3000000001"]).executed_stages(), ["crop"]);
    let rows = scene.query("SELECT DISTINCT cam FROM results WHERE image_source = 'grad-cam'");
    assert_eq!(rows[0]["cam"], "conv@0.3000000001");
}

#[test]
fn a_forced_stage_is_computed_again_and_what_follows_is_not() {
    let scene = Scene::finished();
    assert_eq!(scene.run(&["--force", "extract"]).executed_stages(), ["extract"]);
}

#[test]
fn damaged_artifacts_are_remade() {
    let scene = Scene::finished();
    let blobs = scene.store().join("blobs");
    let mut damaged = 0;
    for folder in fs::read_dir(&blobs).unwrap().flatten() {
        for blob in fs::read_dir(folder.path()).unwrap().flatten() {
            let mut bytes = fs::read(blob.path()).unwrap();
            if let Some(last) = bytes.last_mut() {
                *last ^= 1;
                fs::remove_file(blob.path()).unwrap();
                fs::write(blob.path(), bytes).unwrap();
                damaged += 1;
            }
        }
        if damaged > 3 {
            break;
        }
    }
    let verified = scene.mlsm(&["verify"]);
    assert_eq!(verified.code, 1, "{verified:?}");
    assert!(verified.stdout.contains(&format!("\n{damaged} findings: ")), "{}", verified.stdout);
    assert_eq!(scene.mlsm(&["verify", "--repair"]).code, 1);
    let digests = scene.run(&[]).digests();
    assert_eq!(digests, undisturbed().digests());
    scene.mlsm(&["verify"]).ok();
}

/// A further method on the stored features, learnt with two seeds.
const OTHER: [&str; 4] = [
    "--set",
    "meta-train.other={ method = \"maco\", embedding = \"conv\", seeds = [0, 1], n_way = 4, train_query = 5 }",
    "--set",
    "meta-train.other={ episodes = 4, val_every = 2, val_episodes = 5 }",
];

#[test]
fn a_further_row_computes_its_own_nodes_alone_and_its_seeds_are_told_together() {
    let scene = Scene::finished();
    let finished = scene.run(&OTHER);
    let nodes = finished.0["nodes"].as_array().unwrap();
    let executed: Vec<_> = nodes.iter().filter(|n| n["outcome"] == "executed").map(|n| &n["node"]).collect();
    assert_eq!(executed.len(), 6, "two models, each at two shots: {executed:?}");
    assert!(executed.iter().all(|id| id.as_str().unwrap().contains(":other[")), "{executed:?}");

    let report = scene.mlsm(&["report", "--output", "json"]).ok().json();
    let averages = report["averages"].as_array().unwrap();
    assert_eq!(averages.len(), 2, "{averages:?}");
    assert_eq!(averages[0]["seeds"], serde_json::json!([0, 1]));
    assert!(scene.mlsm(&["report"]).ok().stdout.contains("Each seed"));
}

#[test]
fn alone_a_model_that_has_not_learnt_is_not_measured() {
    let scene = Scene::photos();
    let evaluate = "evaluate:mlsm[levels=I,seed=0,k_shot=1]";
    let refused = scene.mlsm(&["run", evaluate, "--only"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("fix: mlsm run 'meta-train:mlsm[levels=I,seed=0]'"), "{}", refused.stderr);
    assert!(scene.mlsm(&["runs", "--output", "json"]).stdout.trim() == "[]", "nothing was computed");
    assert_eq!(Scene::finished().run(&[evaluate, "--only"]).executed_stages(), Vec::<&str>::new());
}

#[test]
fn the_episodes_do_not_depend_on_the_number_of_threads() {
    let episodes = |threads: &str| {
        let scene = Scene::photos();
        fs::write(
            scene.path("pixels.toml"),
            "[splits]\nrule = \"random\"\n[evaluate]\nn_way = 3\nn_query = 5\nepisodes = 40\n",
        )
        .unwrap();
        let (config, data) = (scene.path("pixels.toml"), format!("data.path={:?}", scene.data().display().to_string()));
        let torch = format!("numerics.threads={threads}");
        let config = config.to_str().unwrap();
        let flags = ["--config", config, "--set", &data, "--set", &torch, "--threads", threads];
        mlsm(&scene.store(), ["run"].iter().chain(&flags)).ok();
        // Not their accuracies: torch's threads decide on the last bits of scores, and those on a near tie.
        let all = "SELECT k_shot, episode, support_ids, query_ids FROM episodes ORDER BY k_shot, episode";
        scene.query(all)
    };
    let alone = episodes("1");
    assert_eq!(alone.as_array().map(Vec::len), Some(80));
    assert_eq!(alone, episodes("3"));
}
