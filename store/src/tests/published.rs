//! What was published is read as it was published, or not at all.

use std::fs;

use super::*;

fn publish(folder: &TempDir) -> Store {
    let store = open(folder);
    let rows = store.put(b"rows of a table").unwrap();
    let files = [
        ("results/1.parquet".to_owned(), TableSource::Blob(rows.digest)),
        ("summary.json".to_owned(), TableSource::Bytes(b"{\"accuracy\":0.296}".to_vec())),
    ];
    store.runs().append(&run("r1", "1")).unwrap();
    store.publish_tables("r1", &files, Publication::Current).unwrap();
    store
}

#[test]
fn the_current_and_a_named_run_are_found_with_their_files() {
    let folder = folder();
    let store = publish(&folder);
    for run_id in [None, Some("r1")] {
        let published = store.published(run_id).unwrap().unwrap();
        assert_eq!(published.run_id(), "r1");
        assert_eq!(published.files().collect::<Vec<_>>(), ["results/1.parquet", "summary.json"]);
        assert_eq!(published.read("results/1.parquet").unwrap(), b"rows of a table");
        assert_eq!(fs::read(published.path("results/1.parquet").unwrap()).unwrap(), b"rows of a table");
    }
    assert!(store.published(Some("r2")).unwrap().is_none());
    assert!(store.published(Some("../runs")).is_err());
    assert_eq!(store.published_runs(), ["r1"]);
    assert!(open_at(&folder.path().join("other")).published(None).unwrap().is_none());
}

#[test]
fn no_flipped_bit_of_a_published_file_is_ever_read() {
    let folder = folder();
    let store = publish(&folder);
    let run = store.root().join("tables/runs/r1");
    for name in ["results/1.parquet", "summary.json", ".contents"] {
        let file = run.join(name);
        let whole = fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        for (at, bit) in (0..whole.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << bit;
            fs::write(&file, flipped).unwrap();
            let read = store.published(None).map(|published| {
                let published = published.unwrap();
                [published.read("results/1.parquet").ok(), published.read("summary.json").ok()]
            });
            let expected = [Some(&b"rows of a table"[..]), Some(b"{\"accuracy\":0.296}")];
            match read {
                Ok(read) => assert!(
                    read.iter().zip(expected).all(|(read, whole)| read.is_none() || read.as_deref() == whole)
                        && (name == ".contents" || read.iter().any(Option::is_none)),
                    "bit {bit} of byte {at} of {name}"
                ),
                Err(error) => assert!(matches!(error, StoreError::DamagedTable { .. }), "{error}"),
            }
        }
        fs::write(&file, whole).unwrap();
    }
    assert!(store.published(None).unwrap().unwrap().path("summary.json").is_ok());
}

#[test]
fn a_file_that_was_added_is_not_read_and_one_that_is_gone_is_damage() {
    let folder = folder();
    let store = publish(&folder);
    let run = store.root().join("tables/runs/r1");
    fs::write(run.join("results/2.parquet"), b"more rows").unwrap();
    let published = store.published(None).unwrap().unwrap();
    assert!(!published.files().any(|file| file.contains("2.parquet")));
    assert!(published.read("results/2.parquet").is_err() && published.path("results/2.parquet").is_err());
    fs::remove_file(run.join("summary.json")).unwrap();
    assert!(matches!(published.read("summary.json"), Err(StoreError::DamagedTable { .. })));
}
