//! Stores that machines share: on the servers whose addresses `MLSM_TEST_S3`, `MLSM_TEST_GCS` and `MLSM_TEST_AZURE` give, and
//! in another folder.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::program::{Answer, Finished, command, mlsm};
use crate::scene::{Scene, config, undisturbed};

/// The program on a machine of its own: a cache by this name in the scene's folder, and the shared place.
pub fn machine(scene: &Scene, endpoint: &str, cache: &str, place: &str) -> Command {
    let mut command = command(place.as_ref());
    command.env("MLSM_CACHE", scene.path(cache)).env("AWS_ENDPOINT", endpoint).env("AWS_ALLOW_HTTP", "true");
    command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test").env("AWS_REGION", "us-east-1");
    command
}

pub fn endpoint() -> Option<String> {
    let address = std::env::var("MLSM_TEST_S3").ok().filter(|address| !address.is_empty());
    if address.is_none() {
        println!("skipped: MLSM_TEST_S3 is not set");
    }
    address
}

fn place(name: &str) -> String {
    format!("s3://mlsm/{}-{name}", std::process::id())
}

fn run_arguments(scene: &Scene) -> Vec<String> {
    ["run", "--output", "json"].map(str::to_owned).into_iter().chain(config(&scene.data())).collect()
}

#[test]
fn machines_that_start_at_once_on_a_bucket_compute_each_shard_once_and_a_later_one_nothing() {
    let Some(endpoint) = endpoint() else { return };
    let (scene, place) = (Scene::photos(), place("together"));
    let start = |cache: &str| {
        let mut command = machine(&scene, &endpoint, cache, &place);
        command.args(run_arguments(&scene)).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let both = [start("first"), start("second")].map(|child| Answer::of(child.wait_with_output().unwrap()).ok());
    let both = both.map(|answer| Finished(answer.json()));
    for finished in &both {
        assert_eq!(finished.digests(), undisturbed().digests());
    }
    for (i, node) in undisturbed().0["nodes"].as_array().unwrap().iter().enumerate() {
        let executed = |finished: &Finished| finished.0["nodes"][i]["shards"]["executed"].as_u64().unwrap();
        let (told, all) = (both.iter().map(executed).sum::<u64>(), node["shards"]["executed"].as_u64().unwrap());
        // A shard of several units may be shared out, and then both name it.
        let may_share = ["ingest", "crop", "extract"].contains(&node["stage"].as_str().unwrap());
        assert!(told == all || (may_share && told > all), "{node}: {told} of {all}");
    }
    let third = |arguments: &[&str]| {
        let mut command = machine(&scene, &endpoint, "third", &place);
        Answer::of(command.args(arguments).args(config(&scene.data())).output().unwrap())
    };
    third(&["plan", "--check"]).ok();
    let later = Finished(third(&["run", "--output", "json"]).ok().json());
    assert_eq!(later.executed_stages(), Vec::<&str>::new());
    assert_eq!(later.digests(), undisturbed().digests());
    let accuracies = third(&["query", "SELECT COUNT(*) AS n FROM results", "--format", "json"]).ok().json();
    assert_ne!(accuracies[0]["n"], Value::from(0));
}

/// What tells the program where the servers of Google's and Azure's buckets are: the scheme and the variables of each.
pub fn other_services() -> Vec<(&'static str, Vec<(&'static str, String)>)> {
    let address = |variable| std::env::var(variable).ok().filter(|address| !address.is_empty());
    let mut services = Vec::new();
    match address("MLSM_TEST_GCS") {
        Some(address) => {
            let account = json!({
                "private_key": "", "private_key_id": "", "client_email": "", "disable_oauth": true, "gcs_base_url": address,
            });
            services.push(("gs", vec![("GOOGLE_SERVICE_ACCOUNT_KEY", account.to_string())]));
        }
        None => println!("skipped: MLSM_TEST_GCS is not set"),
    }
    match address("MLSM_TEST_AZURE") {
        Some(address) => {
            // The account that every Azurite has: https://github.com/Azure/Azurite#default-storage-account
            let key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
            let account = [("AZURE_STORAGE_ACCOUNT_NAME", "devstoreaccount1"), ("AZURE_STORAGE_ACCOUNT_KEY", key)];
            let account = account.map(|(name, value)| (name, value.to_owned()));
            let place = [("AZURE_STORAGE_ENDPOINT", address), ("AZURE_ALLOW_HTTP", "true".to_owned())];
            services.push(("az", account.into_iter().chain(place).collect()));
        }
        None => println!("skipped: MLSM_TEST_AZURE is not set"),
    }
    services
}

#[test]
fn google_s_and_azure_s_buckets_are_pushed_to_run_on_verified_and_collected() {
    for (scheme, variables) in other_services() {
        let (scene, place) = (Scene::finished(), format!("{scheme}://mlsm/{}-a b%20#c", std::process::id()));
        let on = |store: &str, arguments: &[&str]| {
            let mut command = command(store.as_ref());
            command.env("MLSM_CACHE", scene.path("cache")).envs(variables.iter().map(|(name, value)| (name, value)));
            Answer::of(command.args(arguments).output().unwrap()).ok()
        };
        let local = scene.path("store");
        let sent = on(local.to_str().unwrap(), &["push", &place, "--output", "json"]).json();
        assert!(sent["manifests"].as_u64().unwrap() > 100 && sent["runs"] == 1, "{sent}");
        let arguments = run_arguments(&scene);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let finished = Finished(on(&place, &arguments).json());
        assert_eq!(finished.executed_stages(), Vec::<&str>::new());
        assert_eq!(finished.digests(), undisturbed().digests());
        on(&place, &["verify"]);
        on(&place, &["gc", "--max-size", "1KB", "--apply"]);
    }
}

#[test]
fn who_computes_on_a_bucket_is_seen_from_another_machine_which_fetches_nothing() {
    let Some(endpoint) = endpoint() else { return };
    let (scene, place) = (Scene::photos(), place("seen"));
    let mut run = machine(&scene, &endpoint, "first", &place);
    run.env("JOB_COMPLETION_INDEX", "7").env("HOSTNAME", "mlsm-7-x2").args(run_arguments(&scene));
    let mut run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut follow = machine(&scene, &endpoint, "looking", &place);
    follow.args(["status", "--follow", "--every", "1", "--output", "json"]).args(config(&scene.data()));
    let answer = Answer::of(follow.output().unwrap()).ok();
    assert!(run.wait().unwrap().success());
    let documents: Vec<Value> = answer.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut seen = documents.iter().flat_map(|document| document["working"].as_array().unwrap());
    let pid = run.id().to_string();
    let is_run = |unit: &Value| unit["process"] == pid && unit["job"] == "kubernetes pod mlsm-7-x2, index 7";
    assert!(seen.any(is_run), "{}", &answer.stdout[..answer.stdout.len().min(2000)]);
    assert_eq!(documents.last().unwrap()["is_current"], true);
    let cache = std::fs::read_dir(scene.path("looking")).unwrap().next().unwrap().unwrap().path();
    assert_eq!(std::fs::read_dir(cache.join("blobs")).unwrap().count(), 0, "an artifact was fetched");
}

#[test]
fn push_and_pull_bring_a_finished_store_to_another_place_and_back() {
    let Some(endpoint) = endpoint() else { return };
    let (scene, place) = (Scene::finished(), place("moved"));
    let transfer = |store: &str, verb: &str| {
        let mut command = machine(&scene, &endpoint, "unused", scene.path(store).to_str().unwrap());
        Answer::of(command.args([verb, &place, "--output", "json"]).output().unwrap()).ok().json()
    };
    let sent = transfer("store", "push");
    assert!(sent["manifests"].as_u64().unwrap() > 100 && sent["runs"] == 1, "{sent}");
    let again = transfer("store", "push");
    assert_eq!((&again["manifests"], &again["bytes"], &again["runs"]), (&0.into(), &0.into(), &0.into()));
    let brought = transfer("elsewhere", "pull");
    assert_eq!(brought["manifests"], sent["manifests"]);
    let arguments = run_arguments(&scene);
    let finished = Finished(mlsm(&scene.path("elsewhere"), arguments).ok().json());
    assert_eq!(finished.executed_stages(), Vec::<&str>::new());
    assert_eq!(mlsm(&scene.path("elsewhere"), ["verify"]).code, 0);
}

#[test]
fn a_bucket_is_verified_and_what_only_older_runs_reach_is_collected_from_it() {
    let Some(endpoint) = endpoint() else { return };
    let (scene, place) = (Scene::finished(), place("collected"));
    let on = |store: &str, arguments: &[&str]| {
        let mut command = machine(&scene, &endpoint, "cache", store);
        Answer::of(command.args(arguments).output().unwrap()).ok()
    };
    let local = scene.store();
    let push = || on(local.to_str().unwrap(), &["push", &place]);
    push();
    scene.run(&["--set", "evaluate.episodes=60"]);
    push();
    on(&place, &["verify"]);
    let runs = on(&place, &["runs", "--output", "json"]).json();
    let first = runs[0]["run_id"].as_str().unwrap();
    let planned = || on(&place, &["gc", "--max-size", "1KB", "--output", "json"]).json()["manifests"].as_u64().unwrap();
    on(&place, &["runs", "pin", first]);
    assert_eq!(planned(), 0);
    on(&place, &["runs", "unpin", first]);
    let removed = on(&place, &["gc", "--max-size", "1KB", "--apply", "--output", "json"]).json();
    assert!(removed["manifests"].as_u64().unwrap() >= 8, "{removed}");
    on(&place, &["verify"]);
    let elsewhere = scene.path("elsewhere");
    on(elsewhere.to_str().unwrap(), &["pull", &place]);
    let arguments = run_arguments(&scene).into_iter().chain(["--set", "evaluate.episodes=60"].map(str::to_owned));
    let finished = Finished(mlsm(&elsewhere, arguments).ok().json());
    assert_eq!(finished.executed_stages(), Vec::<&str>::new());
}

#[test]
fn a_folder_is_a_place_to_push_to_and_pull_one_run_from() {
    let scene = Scene::finished();
    let other = scene.path("other");
    let sent = scene_json(&scene, &["push", &format!("file://{}", other.display())]);
    assert_eq!(sent["runs"], 1);
    scene.run(&["--set", "evaluate.episodes=60"]);
    let runs = mlsm(&scene.store(), ["runs", "--output", "json"]).ok().json();
    let latest = runs.as_array().unwrap().last().unwrap()["run_id"].as_str().unwrap().to_owned();
    let pulled =
        mlsm(&other, ["pull", scene.store().to_str().unwrap(), "--run", &latest, "--output", "json"]).ok().json();
    assert!(pulled["manifests"].as_u64().unwrap() >= 8 && pulled["runs"] == 1, "{pulled}");
    let unknown = mlsm(&other, ["pull", scene.store().to_str().unwrap(), "--run", "nonesuch"]);
    assert!(unknown.code == 2 && unknown.stderr.contains("fix: "), "{unknown:?}");
    assert_eq!(mlsm(&other, ["verify"]).code, 0);
}

fn scene_json(scene: &Scene, arguments: &[&str]) -> Value {
    mlsm(&scene.store(), [arguments, &["--output", "json"]].concat()).ok().json()
}

#[test]
fn a_place_that_cannot_be_reached_is_told_with_its_address() {
    let scene = Scene::photos();
    let mut command = machine(&scene, "http://127.0.0.1:9", "cache", "s3://mlsm/nowhere");
    command.env("AWS_MAX_RETRIES", "0");
    let answer = Answer::of(command.args(run_arguments(&scene)).output().unwrap());
    assert_eq!(answer.code, 4, "{}", answer.stderr);
    for part in ["s3://mlsm/nowhere", "why: ", "fix: "] {
        assert!(answer.stderr.contains(part), "{}", answer.stderr);
    }
}

#[test]
fn drawn_photos_of_a_plan_are_drawn_by_each_machine_that_reads_one() {
    let Some(endpoint) = endpoint() else { return };
    let (scene, place) = (Scene::photos(), place("plan"));
    let on = |cache: &str, arguments: &[&str]| {
        Answer::of(machine(&scene, &endpoint, cache, &place).args(arguments).output().unwrap())
    };
    let out = scene.path("plan").display().to_string();
    on("first", &["submit", "slurm", "--dry-run", "--config", "tiny", "--out", &out]).ok();
    let file = format!("{out}/plan.json");
    let plan: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let unit = |node: &str, drawn: bool| {
        let at = plan["units"].as_array().unwrap().iter().position(|unit| unit["node"] == node).unwrap();
        let cache = format!("worker-{at}");
        on(&cache, &["work", "--plan", &file, "--unit", &at.to_string()]).ok();
        let stores = std::fs::read_dir(scene.path(&cache)).unwrap().map(|entry| entry.unwrap().path());
        let datasets = stores.flat_map(|store| std::fs::read_dir(store.join("datasets")).into_iter().flatten());
        assert_eq!(datasets.count() > 0, drawn, "{node}");
    };
    unit("splits", false);
    unit("ingest", true);
}
