//! A run that is planned as a file, computed unit by unit in processes of their own, and published by a run after them.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::program::{Answer, Finished, command, mlsm};
use crate::scene::{Scene, config, undisturbed};

fn plan(scene: &Scene) -> (String, Value) {
    let file = scene.path("plan.json").display().to_string();
    mlsm(&scene.path("store"), ["plan", "--out", &file].map(str::to_owned).into_iter().chain(config(&scene.data())))
        .ok();
    let plan = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    (file, plan)
}

fn finish(scene: &Scene) -> Finished {
    let arguments = ["run", "--output", "json"].map(str::to_owned).into_iter().chain(config(&scene.data()));
    Finished(mlsm(&scene.path("store"), arguments).ok().json())
}

#[test]
fn tasks_of_a_plan_in_any_order_and_at_once_leave_a_run_nothing_but_to_publish() {
    let scene = Scene::photos();
    let (file, plan) = plan(&scene);
    let tasks = plan["tasks"].as_array().unwrap().len();
    assert!(tasks > 5, "{plan}");
    let start = |task: usize| {
        let mut command = command(&scene.path("store"));
        command.args(["work", "--plan", &file, "--task", &task.to_string(), "--output", "json"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    // The last first: what it needs is computed for it, or by the others that run beside it.
    for pair in (0..tasks).rev().collect::<Vec<_>>().chunks(2) {
        let begun: Vec<_> = pair.iter().map(|task| start(*task)).collect();
        for child in begun {
            let answer = Answer::of(child.wait_with_output().unwrap()).ok();
            assert_eq!(answer.json()["outcome"], "ok");
        }
    }
    let finished = finish(&scene);
    assert_eq!(finished.executed_stages(), Vec::<&str>::new());
    assert_eq!(finished.digests(), undisturbed().digests());
    let (_, nothing) = self::plan(&scene);
    assert_eq!(nothing["units"], Value::Array(Vec::new()));
}

#[test]
fn what_reads_no_photo_is_computed_where_the_photos_are_not_to_be_seen() {
    let scene = Scene::photos();
    let (file, plan) = plan(&scene);
    let units: Vec<&Value> = plan["units"].as_array().unwrap().iter().collect();
    let of = |stages: &[&str]| -> Vec<String> {
        let is_of = |unit: &&Value| stages.iter().any(|stage| unit["node"].as_str().unwrap().starts_with(stage));
        let places = units.iter().enumerate().filter(|(_, unit)| is_of(unit)).map(|(at, _)| at.to_string());
        places.flat_map(|at| ["--unit".to_owned(), at]).collect()
    };
    let work = |units: Vec<String>| {
        mlsm(&scene.path("store"), ["work", "--plan", &file].map(str::to_owned).into_iter().chain(units))
    };
    work(of(&["splits", "ingest", "train-base", "crop"])).ok();
    let elsewhere = scene.path("elsewhere");
    std::fs::rename(scene.data(), &elsewhere).unwrap();
    work(of(&["extract", "meta-train", "evaluate"])).ok();
    std::fs::rename(&elsewhere, scene.data()).unwrap();
    let finished = finish(&scene);
    assert_eq!(finished.executed_stages(), Vec::<&str>::new());
    assert_eq!(finished.digests(), undisturbed().digests());
}

#[test]
fn pixels_that_were_damaged_are_made_anew_by_who_reads_them() {
    let scene = Scene::photos();
    let (file, plan) = plan(&scene);
    let at = |node: &str| plan["units"].as_array().unwrap().iter().position(|unit| unit["node"] == node).unwrap();
    let work = |node: &str| {
        let unit = at(node).to_string();
        mlsm(&scene.path("store"), ["work", "--plan", &file, "--unit", &unit])
    };
    work("evaluate:pixels[k_shot=1]").ok();
    let manifests = std::fs::read_dir(scene.path("store/manifests")).unwrap();
    let manifests = manifests.flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap());
    let mut manifests = manifests
        .map(|file| serde_json::from_str::<Value>(&std::fs::read_to_string(file.unwrap().path()).unwrap()).unwrap());
    let pixels =
        manifests.find_map(|manifest| Some(manifest["outputs"]["pixels"]["digest"].as_str()?.to_owned())).unwrap();
    let blob = scene.path("store/blobs").join(&pixels[..2]).join(&pixels[2..]);
    let mut bytes = std::fs::read(&blob).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::remove_file(&blob).unwrap();
    std::fs::write(&blob, bytes).unwrap();
    let answer = work("evaluate:pixels[k_shot=5]").ok();
    assert!(answer.stderr.contains("2 nodes: 2 executed"), "{}", answer.stderr);
    mlsm(&scene.path("store"), ["verify"]).ok();
}

#[test]
fn a_photo_that_is_not_the_listed_one_is_an_error_that_asks_for_another_plan() {
    let scene = Scene::photos();
    let (file, drawn) = plan(&scene);
    let mut units = drawn["units"].as_array().unwrap().iter();
    let ingest = units.position(|unit| unit["node"] == "ingest").unwrap().to_string();
    let shard = drawn["units"][ingest.parse::<usize>().unwrap()]["unit"].as_str().unwrap()[..3].to_owned();
    let mut folders = std::fs::read_dir(scene.data().join("images")).unwrap().map(|entry| entry.unwrap().path());
    let class = folders.find(|path| path.file_name().unwrap().to_string_lossy().starts_with(&shard)).unwrap();
    let mut photos: Vec<_> = std::fs::read_dir(class).unwrap().map(|entry| entry.unwrap().path()).collect();
    photos.sort();
    std::fs::copy(&photos[1], &photos[0]).unwrap();
    let work = |file: &str| mlsm(&scene.path("store"), ["work", "--plan", file, "--unit", &ingest]);
    let refused = work(&file);
    let name = photos[0].file_name().unwrap().to_str().unwrap();
    assert!(refused.code == 6 && refused.stderr.contains("is not the one that the plan lists"), "{}", refused.stderr);
    assert!(refused.stderr.contains(name) && refused.stderr.contains("mlsm plan --out"), "{}", refused.stderr);
    let (anew, of_anew) = plan(&scene);
    assert_ne!(of_anew["photos"]["shards"], drawn["photos"]["shards"]);
    work(&anew).ok();
    let (_, once_more) = plan(&scene);
    assert_eq!(once_more["photos"], of_anew["photos"], "equal photos are one list");
}

#[test]
fn a_plan_of_another_store_is_refused() {
    let scene = Scene::photos();
    let (file, _) = plan(&scene);
    let refused = mlsm(&scene.path("other"), ["work", "--plan", &file, "--task", "0"]);
    assert!(refused.code == 2 && refused.stderr.contains("list of the plan's photos"), "{}", refused.stderr);
    assert!(refused.stderr.contains("mlsm plan --out") && refused.stderr.contains("--store"), "{}", refused.stderr);
}

#[test]
fn units_are_named_one_by_one_and_what_is_no_unit_is_refused() {
    let scene = Scene::photos();
    let (file, plan) = plan(&scene);
    let units = plan["units"].as_array().unwrap();
    let work =
        |arguments: &[&str]| mlsm(&scene.path("store"), ["work", "--plan", &file].iter().chain(arguments).copied());
    let ingest = units.iter().position(|unit| unit["node"] == "ingest").unwrap();
    let answer = work(&["--unit", &format!("{ingest}-{}", ingest + 1)]).ok();
    assert!(answer.stderr.contains("1 nodes: 1 executed, 0 reused"), "{}", answer.stderr);
    assert!(work(&["--unit", &ingest.to_string()]).ok().stderr.contains("0 executed, 1 reused"));
    let refused = work(&["--unit", &units.len().to_string()]);
    assert!(refused.code == 2 && refused.stderr.contains("counted from 0"), "{}", refused.stderr);
    let two = work(&["--task", "0", "--config", "tiny"]);
    assert!(two.code == 2 && two.stderr.contains("two configurations"), "{}", two.stderr);
    let log = std::fs::read_dir(scene.path("store").join("runs")).map_or(0, Iterator::count);
    assert_eq!(log, 0, "units are no run");
}

fn submit(scene: &Scene, store: &str, arguments: &[&str]) -> Answer {
    let mut command = command(store.as_ref());
    command.arg("submit").args(arguments).args(config(&scene.data()));
    Answer::of(command.output().unwrap())
}

#[test]
fn scripts_for_slurm_name_the_tasks_of_each_level_and_do_them() {
    let scene = Scene::photos();
    let (store, out) = (scene.path("store").display().to_string(), scene.path("a folder").display().to_string());
    submit(&scene, &store, &["slurm", "--dry-run", "--out", &out, "--partition", "long", "--array-limit", "3"]).ok();
    let plan: Value =
        serde_json::from_str(&std::fs::read_to_string(Path::new(&out).join("plan.json")).unwrap()).unwrap();
    let mut scripts: Vec<_> = std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path()).collect();
    scripts.retain(|path| path.extension().is_some_and(|ending| ending == "sh"));
    scripts.sort();
    let mut begun = 0;
    for script in scripts {
        let text = std::fs::read_to_string(&script).unwrap();
        let array = text.lines().find_map(|line| line.strip_prefix("#SBATCH --array=0-")).unwrap();
        let last: usize = array.strip_suffix("%3").unwrap().parse().unwrap();
        assert!(text.contains("#SBATCH --partition=long\n") && text.contains("#SBATCH --requeue\n"), "{text}");
        for index in 0..=last {
            let mut command = Command::new("sh");
            command.arg(&script).env("SLURM_ARRAY_TASK_ID", index.to_string()).env("MLSM_DEVICE", "cpu");
            Answer::of(command.output().unwrap()).ok();
        }
        begun += last + 1;
    }
    assert_eq!(begun, plan["tasks"].as_array().unwrap().len());
    assert_eq!(finish(&scene).digests(), undisturbed().digests());
    let again = submit(&scene, &store, &["slurm", "--out", &out]).ok();
    assert!(again.stderr.contains("nothing is submitted") && again.stdout.is_empty(), "{again:?}");
    for scheduler in ["slurm", "ray"] {
        let again = submit(&scene, &store, &[scheduler, "--out", &out, "--output", "json"]).ok();
        assert_eq!(again.stdout, "[]\n");
    }
}

#[test]
fn what_was_submitted_is_one_list_of_json() {
    let scene = Scene::photos();
    let (store, out) = (scene.path("store").display().to_string(), scene.path("out").display().to_string());
    let list = |scheduler| {
        let answer = submit(&scene, &store, &[scheduler, "--dry-run", "--out", &out, "--output", "json"]).ok();
        serde_json::from_str::<Vec<Value>>(&answer.stdout).unwrap()
    };
    let (slurm, ray) = (list("slurm"), list("ray"));
    let tasks = |list: &[Value]| list.iter().map(|line| line["tasks"].as_u64().unwrap()).sum::<u64>();
    assert!(slurm.len() > 2 && slurm[1]["level"] == 1, "{slurm:?}");
    assert_eq!((ray.len(), tasks(&ray)), (1, tasks(&slurm)), "{ray:?}");
    assert!(ray[0]["script"].as_str().unwrap().ends_with("ray_driver.py"));
}

#[test]
fn kubernetes_is_given_a_job_with_an_index_for_each_task() {
    let scene = Scene::photos();
    let out = scene.path("manifests").display().to_string();
    let arguments = ["kubernetes", "--out", &out, "--image", "example.org/mlsm:1"];
    let refused = submit(&scene, &scene.path("store").display().to_string(), &arguments);
    assert!(refused.code == 2 && refused.stderr.contains("s3://"), "{}", refused.stderr);
    assert!(!Path::new(&out).exists());
}

#[test]
fn photos_that_do_not_exist_yet_have_no_units() {
    let scene = Scene::photos();
    let file = scene.path("plan.json");
    let refused = mlsm(&scene.store(), ["plan", "--config", "tiny", "--out", file.to_str().unwrap()]);
    assert!(refused.code == 2 && refused.stderr.contains("not drawn yet"), "{}", refused.stderr);
    assert!(!file.exists());
}
