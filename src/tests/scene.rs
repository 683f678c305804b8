//! A finished store over a folder of photos, computed once for all tests and copied for each.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Answer, Finished, mlsm};

/// A store and photos that a test may damage as it likes.
pub struct Scene {
    folder: TempDir,
}

impl Scene {
    /// Copies the finished store and its photos.
    pub fn finished() -> Self {
        let scene = Self::photos();
        copy(&finished().join("store"), &scene.store());
        scene
    }

    /// Copies the photos alone; the store does not exist yet.
    pub fn photos() -> Self {
        let scene = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        copy(&finished().join("photos"), &scene.data());
        scene
    }

    pub fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("photos")
    }

    /// Returns the folder in which the store and the photos lie.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a verb on this store with the tiny configuration over these photos.
    pub fn mlsm(&self, arguments: &[&str]) -> Answer {
        mlsm(&self.store(), arguments.iter().map(|a| (*a).to_owned()).chain(config(&self.data())))
    }

    /// Runs the pipeline, which must end well.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Finished {
        let arguments: Vec<_> = ["run", "--output", "json"].iter().chain(arguments).copied().collect();
        Finished(self.mlsm(&arguments).ok().json())
    }

    /// Answers SQL over the published tables.
    #[track_caller]
    pub fn query(&self, sql: &str) -> Value {
        mlsm(&self.store(), ["query", sql, "--format", "json"]).ok().json()
    }

    /// Returns the file of the first photo of a part.
    pub fn photo_of(&self, part: &str) -> PathBuf {
        let found = self.query(&format!("SELECT path FROM images WHERE split = '{part}' ORDER BY image_id LIMIT 1"));
        self.data().join("images").join(found[0]["path"].as_str().expect("a photo of the part"))
    }
}

/// Returns the flags that select the tiny configuration over a folder of photos.
pub fn config(data: &Path) -> [String; 4] {
    [
        "--config".to_owned(),
        "tiny".to_owned(),
        "--set".to_owned(),
        format!("data.path={:?}", data.display().to_string()),
    ]
}

/// Returns what the undisturbed run said at its end.
pub fn undisturbed() -> Finished {
    let text = fs::read_to_string(finished().join("run-finished.json")).expect("the finished scene keeps it");
    Finished(serde_json::from_str(&text).expect("it is JSON"))
}

/// Returns the folder of the finished scene; whoever comes first makes it, also among processes.
fn finished() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scene");
        fs::create_dir_all(&all).expect("cargo's folder for tests is writable");
        let lock = File::create(all.join("lock")).expect("cargo's folder for tests is writable");
        lock.lock().expect("files can be locked");
        let folder = all.join(build_id());
        if !folder.join("run-finished.json").exists() {
            discard_other_builds(&all);
            make(&folder);
        }
        folder
    })
}

fn make(folder: &Path) {
    let (store, data) = (folder.join("store"), folder.join("photos"));
    let size = ["--classes", "12", "--images", "16", "--seed", "3", "--size", "96"];
    let draw: Vec<&str> =
        ["data", "synthesize", data.to_str().expect("a plain path")].into_iter().chain(size).collect();
    mlsm(&store, draw).ok();
    let arguments = ["run", "--output", "json"].map(str::to_owned).into_iter().chain(config(&data));
    let answer = mlsm(&store, arguments).ok();
    fs::write(folder.join("run-finished.json"), answer.json().to_string()).expect("the folder is writable");
}

/// Artifacts of another build of the program prove nothing about this one.
fn build_id() -> String {
    let program = fs::metadata(env!("CARGO_BIN_EXE_mlsm")).expect("the program is built");
    let built =
        program.modified().expect("a file has a time").duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{}-{}", program.len(), built.as_nanos())
}

fn discard_other_builds(all: &Path) {
    for entry in fs::read_dir(all).expect("it was just made").flatten() {
        if entry.path().is_dir() {
            fs::remove_dir_all(entry.path()).expect("an old scene can be removed");
        }
    }
}

/// Copies a folder with times and links as they are.
fn copy(from: &Path, to: &Path) {
    let status = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp starts");
    assert!(status.success(), "cp -a {} {}", from.display(), to.display());
}
