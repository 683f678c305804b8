//! Photos in a bucket: on the servers whose addresses `MLSM_TEST_S3` and `MLSM_TEST_GCS` give.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::program::{Answer, Finished, command};
use crate::scene::{Scene, undisturbed};
use crate::shared::{endpoint, machine, other_services};

/// Sends a request of one object.
fn request(endpoint: &str, method: &str, key: &str, bytes: &[u8]) {
    let host = endpoint.strip_prefix("http://").unwrap();
    let mut connection = TcpStream::connect(host).unwrap();
    let length = bytes.len();
    // The server looks who signs, not how.
    let signed = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
    let head = format!(
        "{method} /mlsm/{key} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {signed}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).unwrap();
    connection.write_all(bytes).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert!(answer.split(' ').nth(1).is_some_and(|code| code.starts_with('2')), "{key}: {answer}");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Photos of a scene in the bucket, and machines that see them there alone.
struct Photos {
    scene: Scene,
    endpoint: String,
    key: String,
}

impl Photos {
    /// Puts the scene's photos on the S3 server; nothing where there is none.
    fn put(name: &str) -> Option<Self> {
        Some(Self::put_at(endpoint()?, name))
    }

    fn put_at(endpoint: String, name: &str) -> Self {
        let (scene, key) = (Scene::photos(), format!("photos-{}-{name}", std::process::id()));
        for file in files(&scene.data()) {
            let path = file.strip_prefix(scene.data()).unwrap().to_str().unwrap();
            request(&endpoint, "PUT", &format!("{key}/{path}"), &fs::read(&file).unwrap());
        }
        fs::rename(scene.data(), scene.path("away")).unwrap();
        Self { scene, endpoint, key }
    }

    /// Runs a verb of the tiny configuration over the photos below a place.
    fn mlsm(&self, store: &str, below: &str, arguments: &[&str]) -> Answer {
        let mut command = machine(&self.scene, &self.endpoint, "cache", self.scene.path(store).to_str().unwrap());
        command.args(arguments).args(["--config", "tiny", "--set"]);
        Answer::of(command.arg(format!("data.path=s3://mlsm/{}{below}", self.key)).output().unwrap())
    }

    fn work(&self, store: &str, plan: &str, arguments: &[&str]) -> Answer {
        let mut command = machine(&self.scene, &self.endpoint, "cache", self.scene.path(store).to_str().unwrap());
        Answer::of(command.args(["work", "--plan", plan]).args(arguments).output().unwrap())
    }

    fn plan(&self, store: &str) -> (String, Value) {
        let file = self.scene.path("plan.json").display().to_string();
        self.mlsm(store, "", &["plan", "--out", &file]).ok();
        let plan = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        (file, plan)
    }
}

#[test]
fn a_run_over_a_bucket_is_that_over_the_folder_to_the_last_digest() {
    let Some(photos) = Photos::put("run") else { return };
    let finished = Finished(photos.mlsm("store", "/", &["run", "--output", "json"]).ok().json());
    assert_eq!(finished.digests(), undisturbed().digests());
    let again = Finished(photos.mlsm("store", "", &["run", "--output", "json"]).ok().json());
    assert_eq!(again.executed_stages(), Vec::<&str>::new());
    photos.mlsm("store", "", &["plan", "--check"]).ok();
    let text = fs::read_to_string(photos.scene.path("store").join("stat-cache.json")).unwrap();
    let cache: Value = serde_json::from_str(&text).unwrap();
    let known =
        cache.as_object().unwrap().iter().filter(|(path, entry)| path.starts_with("s3://") && entry["version"] != "");
    assert_eq!(known.count(), 12 * 16, "each is known by its version, and not read again");
}

#[test]
fn a_run_over_a_bucket_of_google_s_is_that_over_the_folder_to_the_last_digest() {
    let Some((_, variables)) = other_services().into_iter().find(|(scheme, _)| *scheme == "gs") else { return };
    let photos = Photos::put_at(std::env::var("MLSM_TEST_GCS").unwrap(), "gs");
    let mut run = command(&photos.scene.path("store"));
    run.envs(variables).args(["run", "--output", "json", "--config", "tiny", "--set"]);
    run.arg(format!("data.path=gs://mlsm/{}", photos.key));
    let finished = Finished(Answer::of(run.output().unwrap()).ok().json());
    assert_eq!(finished.digests(), undisturbed().digests());
}

#[test]
fn tasks_of_a_plan_read_photos_of_a_bucket_and_a_changed_one_asks_for_another_plan() {
    let Some(photos) = Photos::put("plan") else { return };
    let (file, plan) = photos.plan("store");
    let tasks = plan["tasks"].as_array().unwrap().len();
    for task in 0..tasks {
        photos.work("store", &file, &["--task", &task.to_string()]).ok();
    }
    let finished = Finished(photos.mlsm("store", "", &["run", "--output", "json"]).ok().json());
    assert_eq!(finished.executed_stages(), Vec::<&str>::new());
    assert_eq!(finished.digests(), undisturbed().digests());
    let (file, plan) = photos.plan("other");
    let images = photos.scene.path("away/images");
    let mut of_class: Vec<PathBuf> =
        files(&images).into_iter().filter(|path| path.to_str().unwrap().contains("/001.")).collect();
    of_class.sort();
    let path = of_class[0].strip_prefix(photos.scene.path("away")).unwrap().to_str().unwrap();
    request(&photos.endpoint, "PUT", &format!("{}/{path}", photos.key), &fs::read(&of_class[1]).unwrap());
    let unit =
        plan["units"].as_array().unwrap().iter().position(|unit| unit["unit"] == "001/source").unwrap().to_string();
    let refused = photos.work("other", &file, &["--unit", &unit]);
    assert!(refused.code == 6 && refused.stderr.contains("is not the one that the plan lists"), "{}", refused.stderr);
    assert!(refused.stderr.contains(&format!("s3://mlsm/{}/{path}", photos.key)), "{}", refused.stderr);
    request(&photos.endpoint, "DELETE", &format!("{}/{path}", photos.key), b"");
    let refused = photos.work("other", &file, &["--unit", &unit]);
    assert!(refused.code == 6 && refused.stderr.contains("cannot read photo s3://"), "{}", refused.stderr);
}

#[test]
fn class_folders_in_a_bucket_are_those_on_a_disk_and_a_changed_photo_makes_one_shard_anew() {
    let Some(photos) = Photos::put("classes") else { return };
    let local = {
        let mut command =
            machine(&photos.scene, &photos.endpoint, "cache", photos.scene.path("local").to_str().unwrap());
        let folder = photos.scene.path("away/images").display().to_string();
        command.args([
            "run",
            "ingest",
            "--output",
            "json",
            "--config",
            "tiny",
            "--set",
            &format!("data.path={folder:?}"),
        ]);
        Finished(Answer::of(command.output().unwrap()).ok().json())
    };
    let ingest = |arguments: &[&str]| {
        Finished(
            photos.mlsm("store", "/images", &[&["run", "ingest", "--output", "json"], arguments].concat()).ok().json(),
        )
    };
    assert_eq!(ingest(&[]).digests(), local.digests());
    let mut by_class: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    let root = photos.scene.path("away");
    for file in files(&root.join("images")) {
        let class = file.parent().unwrap().display().to_string();
        by_class.entry(class).or_default().push(file);
    }
    let class = by_class.values().next().unwrap();
    let changed = class[0].strip_prefix(&root).unwrap().to_str().unwrap();
    request(&photos.endpoint, "PUT", &format!("{}/{changed}", photos.key), &fs::read(&class[1]).unwrap());
    let after = ingest(&[]);
    let node = after.0["nodes"].as_array().unwrap().iter().find(|node| node["node"] == "ingest").unwrap();
    assert_eq!(node["shards"], serde_json::json!({ "executed": 1, "cached": 11 }));
}

#[test]
fn a_bucket_without_photos_is_refused_by_its_address() {
    let Some(photos) = Photos::put("none") else { return };
    let refused = photos.mlsm("store", "/elsewhere", &["run"]);
    let address = format!("s3://mlsm/{}/elsewhere", photos.key);
    assert!(refused.code == 6 && refused.stderr.contains(&address), "{}: {}", refused.code, refused.stderr);
    let mut command = machine(&photos.scene, &photos.endpoint, "cache", photos.scene.path("store").to_str().unwrap());
    let refused =
        Answer::of(command.args(["plan", "--config", "tiny", "--set", "data.path=ftp://a/b"]).output().unwrap());
    assert!(refused.code == 2 && refused.stderr.contains("ftp://a/b"), "{}: {}", refused.code, refused.stderr);
}
