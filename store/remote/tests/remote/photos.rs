//! Photos in a bucket are listed below their prefix alone, read in any number, and never waited for once stopping was asked for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mlsm_remote::PhotoBucket;
use mlsm_store::{Objects, StoreError};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};

fn bucket(stop: &Arc<AtomicBool>) -> PhotoBucket {
    let objects = InMemory::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for (place, bytes) in [("birds/owl/1.jpg", "one"), ("birds/owl/2 é#.jpg", "two"), ("birds2/gull/3.jpg", "three")] {
        let place = Path::parse(place).unwrap();
        runtime.block_on(objects.put(&place, PutPayload::from(bytes.as_bytes().to_vec()))).unwrap();
    }
    PhotoBucket::over("memory:///birds", Box::new(objects), Path::from("birds"), stop.clone()).unwrap()
}

#[test]
fn photos_are_listed_below_their_prefix_with_what_tells_a_changed_one() {
    let listed = bucket(&Arc::default()).list().unwrap();
    let found: Vec<_> = listed.iter().map(|object| (object.path.as_str(), object.bytes)).collect();
    assert_eq!(found, [("owl/1.jpg", 3), ("owl/2 é#.jpg", 3)]);
    assert!(listed.iter().all(|object| !object.version.is_empty()) && listed[0].version != listed[1].version);
}

#[test]
fn each_photo_is_handed_over_once_and_one_that_is_gone_is_told() {
    let bucket = bucket(&Arc::default());
    let paths: Vec<&str> = ["owl/1.jpg", "owl/none.jpg", "owl/2 é#.jpg"].into_iter().cycle().take(90).collect();
    let mut read = BTreeMap::new();
    let keep = &mut |at: usize, bytes| {
        assert!(read.insert(at, bytes).is_none());
        Ok(())
    };
    bucket.read(&paths, keep).unwrap();
    let expected = [Some(b"one".to_vec()), None, Some(b"two".to_vec())];
    assert!(read.len() == 90 && read.iter().all(|(at, bytes)| *bytes == expected[at % 3]));
    assert_eq!(bucket.read_first("owl/2 é#.jpg", 2).unwrap(), b"tw");
    assert!(matches!(bucket.read_first("owl/none.jpg", 2), Err(StoreError::Remote { .. })));
}

#[test]
fn a_request_to_stop_and_an_error_of_the_reader_end_the_reading() {
    let stop = Arc::default();
    let bucket = bucket(&stop);
    let mut read = 0;
    let refused = bucket.read(&["owl/1.jpg"; 40], &mut |_, _| {
        read += 1;
        if read == 3 { Err(StoreError::Stopped) } else { Ok(()) }
    });
    assert!(matches!(refused, Err(StoreError::Stopped)) && read == 3);
    stop.store(true, Ordering::SeqCst);
    let refused = bucket.read(&["owl/none.jpg"; 4000], &mut |_, _| Ok(()));
    assert!(matches!(refused, Err(StoreError::Stopped)), "{refused:?}");
}

#[test]
fn what_is_no_address_is_refused() {
    for address in ["s3://", "s3://a#b/c", "ftp://birds/x"] {
        let refused = PhotoBucket::open(address, Vec::new(), Arc::default());
        assert!(matches!(refused, Err(StoreError::Remote { action: "open", .. })), "{address}");
    }
}
