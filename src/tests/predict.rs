//! Photos of one's own are told apart by a few labelled ones.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::contract::check_lines;
use crate::program::{Answer, mlsm};
use crate::scene::{Scene, config};

/// Copies photos of the novel classes: five of each as labelled ones, the others to be asked for, whose names begin with
/// that of their class.
pub fn own_photos(scene: &Scene) {
    let novel = scene.query("SELECT path, class_name FROM images WHERE split = 'novel' ORDER BY path");
    let mut seen = BTreeMap::<&str, usize>::new();
    for photo in novel.as_array().unwrap() {
        let (path, class) = (photo["path"].as_str().unwrap(), photo["class_name"].as_str().unwrap());
        let count = seen.entry(class).or_default();
        *count += 1;
        let to = match *count <= 5 {
            true => scene.path("support").join(class).join(format!("{count}.jpg")),
            false => scene.path("query/some").join(format!("{class}-{count}.jpg")),
        };
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(scene.data().join("images").join(path), to).unwrap();
    }
}

/// The columns of the table, a line for each photo.
const HEADER: &str = "path,class_name,score,second_class_name,second_score,probability,second_probability\n";

pub fn predict(scene: &Scene, arguments: &[String]) -> Answer {
    let (support, query) = (scene.path("support"), scene.path("query"));
    let folders = ["predict", "--support", support.to_str().unwrap(), "--query", query.to_str().unwrap()];
    mlsm(&scene.store(), folders.iter().map(|a| (*a).to_owned()).chain(arguments.iter().cloned()))
}

pub fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// The stages of which something was computed.
pub fn executed(answer: &Answer) -> Vec<String> {
    let events = answer.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let finished = events.filter(|e| e["event"] == "node-finished" && e["outcome"] == "executed");
    finished.map(|e| e["stage"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_learnt_row_predicts_new_photos_and_only_what_is_new_is_computed() {
    let scene = Scene::finished();
    own_photos(&scene);
    let row = |row: &str| [words(&["--output", "json", "--row", row]), config(&scene.data()).to_vec()].concat();
    for name in ["mlsm[levels=I+G+O,object=grad-cam,seed=0]", "cl2n-conv"] {
        let answer = predict(&scene, &row(name)).ok();
        let new = executed(&answer);
        assert!(new.contains(&"predict".to_owned()), "{name}: {new:?}");
        assert!(!new.iter().any(|stage| ["train-base", "meta-train", "evaluate"].contains(&stage.as_str())), "{new:?}");
        let lines = answer.json();
        let lines = lines.as_array().unwrap();
        assert_eq!(lines.len(), 44);
        let is_right = |line: &&Value| {
            line["path"].as_str().unwrap().starts_with(&format!("some/{}-", line["class_name"].as_str().unwrap()))
        };
        let right = lines.iter().filter(is_right).count();
        assert!(right > 15, "{name}: {right} of 44, 11 by chance");
        assert!(lines.iter().all(|l| l["score"].as_f64() >= l["second_score"].as_f64()));
        let again = predict(&scene, &row(name)).ok();
        assert_eq!((executed(&again), again.json()), (Vec::new(), answer.json()), "{name}");
    }
    fs::rename(scene.path("query/some"), scene.path("query/moved")).unwrap();
    assert_eq!(predict(&scene, &row("cl2n-conv")).ok().json().as_array().unwrap().len(), 44);
    let runs = mlsm(&scene.store(), ["runs", "--output", "json"]).ok().json();
    assert!(runs.as_array().unwrap().iter().any(|run| run["config"] == "tiny+predict"));
    scene.run(&[]);
    mlsm(&scene.store(), ["verify"]).ok();
}

#[test]
fn the_log_file_gains_the_events_while_stdout_carries_the_answer() {
    let scene = Scene::finished();
    own_photos(&scene);
    let log = scene.path("predictions.jsonl");
    let flags = [words(&["--row", "cl2n-conv", "--log-file", log.to_str().unwrap()]), config(&scene.data()).to_vec()];
    let answer = predict(&scene, &flags.concat()).ok();
    assert!(answer.stdout.starts_with("path") && !answer.stdout.contains("run-finished"), "{}", answer.stdout);
    let last = check_lines(&fs::read_to_string(&log).unwrap(), &answer);
    let nodes = last["nodes"].as_array().unwrap();
    assert!(nodes.iter().any(|node| node["stage"] == "predict" && node["outcome"] == "executed"), "{last}");
    fs::remove_dir_all(scene.path("query")).unwrap();
    let refused = predict(&scene, &flags.concat());
    let text = fs::read_to_string(&log).unwrap();
    let (_, end) = text.trim_end().rsplit_once('\n').unwrap();
    check_lines(end, &refused);
    assert_eq!(refused.code, 6, "{refused:?}");
}

/// Lays the photos of an episode out as a user's own: returns the scores of each query, by its class, in the table's words.
fn episode_as_own_photos(scene: &Scene, node: &str) -> BTreeMap<String, BTreeMap<String, f64>> {
    let of_node = format!("node = '{node}' AND episode = 0");
    let episode = scene.query(&format!("SELECT support_ids, query_ids FROM episodes WHERE {of_node}"));
    let images = scene.query("SELECT image_id, path, class_id, class_name FROM images");
    let image = |id: &Value| images.as_array().unwrap().iter().find(|image| image["image_id"] == *id).unwrap().clone();
    let copy = |id: &Value, to: &Path| {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(scene.data().join("images").join(image(id)["path"].as_str().unwrap()), to).unwrap();
    };
    let support = episode[0]["support_ids"].as_array().unwrap();
    for id in support {
        copy(id, &scene.path("support").join(image(id)["class_name"].as_str().unwrap()).join(format!("{id}.jpg")));
    }
    let mut names = Vec::<String>::new(); // in the order of the episode's scores
    for id in support {
        let name = image(id)["class_name"].as_str().unwrap().to_owned();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let lines = scene.query(&format!("SELECT image_id, scores FROM predictions WHERE {of_node}"));
    let scored = |line: &Value| {
        copy(&line["image_id"], &scene.path("query").join(format!("{}.jpg", line["image_id"])));
        let scores = line["scores"].as_array().unwrap().iter().map(|score| score.as_f64().unwrap());
        (format!("{}.jpg", line["image_id"]), names.iter().cloned().zip(scores).collect())
    };
    lines.as_array().unwrap().iter().map(scored).collect()
}

/// How far a learnt row's score may lie from the measured one, in parts of it: libtorch's kernels round a photo's row by its
/// place in the batch. A nearest class mean is computed in f64, and equal to the last digit.
const BY_PLACE: f64 = 4e-6;

#[test]
fn an_episode_laid_out_as_own_photos_has_the_scores_that_were_measured() {
    for (row, node) in [
        ("cl2n-conv", "evaluate:cl2n-conv[k_shot=5]"),
        ("mlsm[levels=I+G+O,object=grad-cam,seed=0]", "evaluate:mlsm[levels=I+G+O,object=grad-cam,seed=0,k_shot=5]"),
    ] {
        let scene = Scene::finished();
        let measured = episode_as_own_photos(&scene, node);
        let arguments = words(&["--format", "json", "--top", "9", "--row", row]);
        let lines = predict(&scene, &[arguments, config(&scene.data()).to_vec()].concat()).ok().json();
        let lines = lines.as_array().unwrap();
        assert_eq!(lines.len(), measured.values().map(BTreeMap::len).sum::<usize>());
        for line in lines {
            let (path, class) = (line["path"].as_str().unwrap(), line["class_name"].as_str().unwrap());
            let predicted = line["score"].as_f64().unwrap();
            let allowed = if row == "cl2n-conv" { 0.0 } else { BY_PLACE * predicted.abs().max(1.0) };
            let apart = (f64::from(predicted as f32) - f64::from(measured[path][class] as f32)).abs();
            assert!(apart <= allowed, "{row}: {path} as {class}");
        }
    }
}

#[test]
fn how_sure_a_row_is_comes_with_its_answer() {
    let scene = Scene::finished();
    own_photos(&scene);
    let ask = |more: &[&str]| {
        let row = words(&["--format", "json", "--row", "cl2n-conv"]);
        predict(&scene, &[row, words(more), config(&scene.data()).to_vec()].concat())
    };
    let wide = ask(&[]).ok();
    assert!(wide.stderr.contains(" of 20 labelled photos are right ("), "{}", wide.stderr);
    let wide = wide.json();
    let closest: Vec<&Value> = wide.as_array().unwrap().iter().collect();
    let long = ask(&["--top", "9"]).ok().json();
    let lines = long.as_array().unwrap();
    assert_eq!(lines.len(), 44 * 4, "four classes");
    for (photo, ranked) in closest.iter().zip(lines.chunks(4)) {
        let probability = |line: &Value| line["probability"].as_f64().unwrap();
        assert!((ranked.iter().map(probability).sum::<f64>() - 1.0).abs() < 1e-9);
        assert!(ranked.windows(2).all(|pair| probability(&pair[0]) >= probability(&pair[1])));
        assert_eq!(
            [&photo["class_name"], &photo["probability"]],
            [&ranked[0]["class_name"], &ranked[0]["probability"]]
        );
    }
    let unsure = closest.iter().filter(|photo| photo["probability"].as_f64().unwrap() < 0.6).count();
    let unknown = ask(&["--unknown-threshold", "0.6"]).ok();
    assert!(unknown.stderr.contains(&format!(": {unsure} of ")), "{}", unknown.stderr);
    let named = unknown.json();
    assert_eq!(named.as_array().unwrap().iter().filter(|photo| photo["class_name"] == "unknown").count(), unsure);
    for refused in [["--top", "0"], ["--unknown-threshold", "60"]] {
        assert_eq!(ask(&refused).code, 2);
    }
}

#[test]
fn a_page_shows_each_photo_its_box_and_the_labelled_photos_that_it_resembles() {
    let scene = Scene::finished();
    own_photos(&scene);
    let page = scene.path("birds.html");
    let ask = |page: &Path| {
        let row = words(&["--quiet", "--row", "mlsm[levels=I+G+O,object=grad-cam,seed=0]"]);
        let report = words(&["--report", page.to_str().unwrap()]);
        predict(&scene, &[row, report, config(&scene.data()).to_vec()].concat())
    };
    ask(&page).ok();
    let html = fs::read_to_string(&page).unwrap();
    assert!(html.contains("Predictions of 44 photos"));
    assert_eq!(html.matches("<br>resembles ").count(), 44);
    assert_eq!(html.matches("class=\"drawn\"").count(), 44, "a box on each photo");
    // The 44 photos, and of the 20 labelled ones those that some photo resembles.
    assert!((45..=64).contains(&html.matches("data:image/jpeg").count()));
    assert!(
        html.contains("id=\"probabilities\"") && html.contains("default-src 'none'") && !html.contains("src=\"http")
    );
    let refused = ask(&scene.path("birds.pdf"));
    assert!(refused.code == 2 && refused.stderr.contains(".html"), "{refused:?}");
}

#[test]
fn without_other_photos_the_labelled_ones_are_all_there_is() {
    let scene = Scene::finished();
    own_photos(&scene);
    let file = scene.path("alone.toml");
    let text = "[data]\non_bad_image = \"skip\"\n[train-base.conv]\nwidth = 8\nhead = \"gap\"\nsteps = 40\nlr = 1e-2\n\
                [evaluate]\nbaselines = [\"cl2n:conv\"]\n";
    fs::write(&file, text).unwrap();
    fs::write(scene.path("query/broken.jpg"), "no photo").unwrap();
    let out = scene.path("out.csv");
    let arguments = ["--config", file.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let answer = predict(&scene, &words(&arguments)).ok();
    assert!(answer.stderr.contains("because they could not be read: 1 of "), "{}", answer.stderr);
    let text = fs::read_to_string(&out).unwrap();
    assert!(text.starts_with(HEADER) && text.contains("\nbroken.jpg,"), "{text}");
    assert_eq!(text.lines().count(), 46);
    fs::remove_dir_all(scene.path("support")).unwrap();
    assert_eq!(predict(&scene, &words(&arguments)).code, 6);
}

#[test]
fn what_cannot_predict_is_refused_with_the_way_out() {
    let scene = Scene::finished();
    own_photos(&scene);
    let tiny = config(&scene.data()).to_vec();
    for row in [Vec::new(), words(&["--row", "nonesuch"])] {
        let refused = predict(&scene, &[tiny.clone(), row].concat());
        assert!(refused.code == 2 && refused.stderr.contains("--row 'cl2n-conv'"), "{refused:?}");
    }
    let known = scene.path("support/unknown");
    fs::create_dir_all(&known).unwrap();
    fs::copy(scene.photo_of("novel"), known.join("1.jpg")).unwrap();
    let row = words(&["--row", "cl2n-conv", "--unknown-threshold", "0.5"]);
    let refused = predict(&scene, &[tiny.clone(), row].concat());
    assert!(refused.code == 2 && refused.stderr.contains("named `unknown`"), "{refused:?}");
    fs::remove_dir_all(known).unwrap();
    let unfetched = predict(&scene, &[]);
    assert!(unfetched.code == 2 && unfetched.stderr.contains("mlsm weights fetch"), "{unfetched:?}");
    for (folder, why) in [("support", "one class"), ("query", "no photo")] {
        for entry in fs::read_dir(scene.path(folder)).unwrap().flatten().skip(usize::from(folder == "support")) {
            fs::remove_dir_all(entry.path()).unwrap();
        }
        let refused = predict(&scene, &tiny);
        assert!(refused.code == 6 && refused.stderr.contains(why), "{refused:?}");
        assert!(refused.stderr.contains("fix: "), "{refused:?}");
        own_photos(&scene);
    }
}
