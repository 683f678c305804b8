//! Each shard's photos are opened once, however many shapes are packed from them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use mlsm_engine::Event;
use mlsm_pipelines::{Config, Purpose};

use crate::config::with;
use crate::fixed::ran;
use crate::graph::over_store;

/// The nodes that open photos, of two shapes each.
const OPENERS: [&str; 2] = ["ingest", "crop[source=centre-box]"];

/// The configuration of [`OPENERS`], with these rows.
fn of_two_shapes(rows: &str) -> Config {
    with(&[("train-base.other.resize", "'squash-center'"), ("evaluate.baselines", rows)]).unwrap()
}

#[test]
fn photos_are_opened_once_for_all_shapes() {
    let config = of_two_shapes("['cl2n:conv+centre-box', 'cl2n:other+centre-box']");
    let (folder, store, assembly) = over_store(&config, Purpose::Run);
    let graph = assembly.unwrap().graph;
    let photos = folder_named("images", folder.path()).unwrap();
    let away = photos.with_file_name("away");
    let hidden = AtomicUsize::new(0);
    // They are there for the first unit of each shard alone.
    let hide = |event: &Event| {
        let Event::Progress { node, detail, .. } = event else { return };
        let Some(node) = graph.nodes().iter().find(|n| n.id == *node && OPENERS.contains(&n.id.as_str())) else {
            return;
        };
        let openers: Vec<_> = node.units.iter().filter(|unit| unit.aspect != "boxes").collect();
        let Some(at) = openers.iter().position(|unit| unit.key() == *detail) else { return };
        if openers.get(at + 1).is_none_or(|next| next.shard != openers[at].shard) {
            std::fs::rename(&away, &photos).unwrap();
        } else if photos.exists() {
            std::fs::rename(&photos, &away).unwrap();
            hidden.fetch_add(1, Relaxed);
        }
    };
    let made = ran(&graph, &store, &OPENERS, &hide).answers;
    assert_eq!(hidden.into_inner(), 2 * 12, "once for each shard of both nodes");

    let config = of_two_shapes("['cl2n:other+centre-box']");
    let (_folder, store, assembly) = over_store(&config, Purpose::Run);
    let alone = ran(&assembly.unwrap().graph, &store, &OPENERS, &|_: &Event| {}).answers;
    for (key, manifest) in &alone[OPENERS[1]] {
        assert_eq!(manifest.outputs, made[OPENERS[1]][key].outputs, "{key} differs where it is packed by the way");
    }
}

fn folder_named(name: &str, below: &Path) -> Option<PathBuf> {
    let folders = std::fs::read_dir(below).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    folders.into_iter().find_map(|path| if path.ends_with(name) { Some(path) } else { folder_named(name, &path) })
}
