//! Exclusion between machines.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use mlsm_remote::Bucket;
use mlsm_store::{Holder, Upstream};
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};

use crate::{LEASE, bucket_over, on_each, request};

#[test]
fn one_holds_at_a_time_and_a_lease_that_is_given_up_is_free_at_once() {
    on_each(|objects, prefix| {
        let (inside, most, turns) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    let bucket = bucket_over(objects, prefix);
                    for _ in 0..3 {
                        let lease = bucket.lease(&request("a").fingerprint(), &mut |_| ControlFlow::Continue(()));
                        let lease = lease.unwrap().unwrap();
                        most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::sleep(LEASE / 20);
                        inside.fetch_sub(1, Ordering::SeqCst);
                        turns.fetch_add(1, Ordering::SeqCst);
                        drop(lease);
                    }
                });
            }
        });
        assert_eq!((most.into_inner(), turns.into_inner()), (1, 18));
    });
}

#[test]
fn a_lease_is_kept_as_long_as_its_holder_lives_and_who_waits_learns_the_holder() {
    on_each(|objects, prefix| {
        let (first, second) = (bucket_over(objects, prefix), bucket_over(objects, prefix));
        let fingerprint = request("a").fingerprint();
        let held = first.lease(&fingerprint, &mut |_| ControlFlow::Continue(())).unwrap();
        let begun = Instant::now();
        let mut seen = Holder::default();
        let refused = second.lease(&fingerprint, &mut |holder| {
            seen = holder.clone();
            if begun.elapsed() > 4 * LEASE { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(refused.unwrap().is_none(), "it was renewed four times over");
        assert_eq!(seen.pid, std::process::id().to_string());
        drop(held);
        assert!(second.lease(&fingerprint, &mut |_| ControlFlow::Break(())).unwrap().is_some());
    });
}

#[test]
fn a_lease_whose_holder_died_or_was_paused_is_taken_over_by_one_alone() {
    on_each(|objects, prefix| {
        let fingerprint = request("a").fingerprint();
        let place = Path::from(format!("{prefix}/locks/{fingerprint}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(objects.put(&place, PutPayload::from_static(b"elsewhere\n1\n2\n0 3\n"))).unwrap();
        let begun = Instant::now();
        let held = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let bucket = bucket_over(objects, prefix);
                    let mut wait = |_: &Holder| match begun.elapsed() > 5 * LEASE {
                        true => ControlFlow::Break(()),
                        false => ControlFlow::Continue(()),
                    };
                    let lease = bucket.lease(&fingerprint, &mut wait).unwrap();
                    held.fetch_add(usize::from(lease.is_some()), Ordering::SeqCst);
                    std::thread::sleep((6 * LEASE).saturating_sub(begun.elapsed()));
                });
            }
        });
        assert_eq!(held.into_inner(), 1);
        assert!(begun.elapsed() > LEASE);
    });
}

/// Who holds the lease of request `a`, seen by one who puts nothing there.
fn seen(bucket: &Bucket) -> Vec<Holder> {
    let wanted = BTreeSet::from([request("a").fingerprint(), request("b").fingerprint()]);
    bucket.holders(&wanted).unwrap().into_values().collect()
}

#[test]
fn who_holds_a_lease_is_seen_as_long_as_it_renews_it() {
    on_each(|objects, prefix| {
        let (first, looking) = (bucket_over(objects, prefix), bucket_over(objects, prefix));
        assert_eq!(seen(&looking), []);
        let held = first.lease(&request("a").fingerprint(), &mut |_| ControlFlow::Continue(())).unwrap();
        let begun = Instant::now();
        while begun.elapsed() < 3 * LEASE {
            let holders = seen(&looking);
            assert_eq!(holders.len(), 1, "after {:?}", begun.elapsed());
            assert_eq!(holders[0].pid, std::process::id().to_string());
            std::thread::sleep(LEASE / 10);
        }
        drop(held);
        assert_eq!(seen(&looking), []);
    });
}

#[test]
fn who_does_not_renew_a_lease_is_soon_taken_for_dead() {
    on_each(|objects, prefix| {
        let looking = bucket_over(objects, prefix);
        let place = Path::from(format!("{prefix}/locks/{}", request("a").fingerprint()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(objects.put(&place, PutPayload::from_static(b"elsewhere\n1\n2\njob ray 7\n0 3\n"))).unwrap();
        std::thread::sleep(3 * LEASE); // also where the service tells whole seconds
        assert_eq!(seen(&bucket_over(objects, prefix)), [], "who looks for the first time goes by its age");
        runtime.block_on(objects.put(&place, PutPayload::from_static(b"elsewhere\n1\n2\njob ray 7\n1 4\n"))).unwrap();
        let holders = seen(&looking);
        assert_eq!(holders.iter().map(|holder| holder.job.as_deref()).collect::<Vec<_>>(), [Some("ray 7")]);
        std::thread::sleep(2 * LEASE);
        assert_eq!(seen(&looking), [], "it has stayed as it was");
        runtime.block_on(objects.put(&place, PutPayload::from_static(b"elsewhere\n1\n2\njob ray 7\n2 5\n"))).unwrap();
        assert_eq!(seen(&looking).len(), 1, "it was away and is back");
    });
}
