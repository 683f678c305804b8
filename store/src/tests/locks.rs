//! Locks exclude threads and processes, and die with their holder. Who computes what is seen without disturbing anybody.

use std::collections::BTreeSet;
use std::fs;
use std::ops::ControlFlow;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

/// Where the child process of a test finds the store.
const CHILD: &str = "MLSM_STORE_TEST_LOCK";

fn take(store: &Store, name: &str) -> Option<LockGuard> {
    store.lock(&request(name).fingerprint(), &mut |_| ControlFlow::Break(())).unwrap()
}

#[test]
fn a_lock_is_held_by_one_and_free_after_it() {
    let folder = folder();
    let (one, other) = (open(&folder), open(&folder));
    let held = take(&one, "a").unwrap();
    assert!(take(&other, "a").is_none() && take(&one, "a").is_none(), "also within one process");
    assert!(take(&other, "b").is_some(), "another fingerprint is free");
    drop(held);
    assert!(take(&other, "a").is_some());
}

#[test]
fn who_waits_learns_who_holds_the_lock() {
    let folder = folder();
    let store = open(&folder);
    let _held = take(&store, "a");
    let mut holder = None;
    let mut wait = |h: &Holder| {
        holder = Some(h.clone());
        ControlFlow::Break(())
    };
    assert!(store.lock(&request("a").fingerprint(), &mut wait).unwrap().is_none());
    let holder = holder.unwrap();
    assert_eq!(holder.pid, std::process::id().to_string());
    assert!(!holder.host.is_empty() && holder.since.parse::<u64>().is_ok(), "{holder:?}");
}

#[test]
fn racing_threads_enter_one_after_another() {
    let folder = folder();
    let store = open(&folder);
    let (inside, most) = (AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let wait = &mut |_: &Holder| ControlFlow::Continue(());
                let _guard = store.lock(&request("a").fingerprint(), wait).unwrap().unwrap();
                most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::yield_now();
                inside.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
    assert_eq!(most.into_inner(), 1);
}

/// A process that holds the lock of request `a` until it is killed.
fn holding_child(store: &Store) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::locks::the_child_process_holds_a_lock", "--include-ignored"])
        .env(CHILD, store.root())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Who holds the locks of requests `a` and `b`, seen by one who only reads.
fn seen(store: &Store) -> Vec<Holder> {
    let wanted: BTreeSet<_> = ["a", "b"].map(|name| request(name).fingerprint()).into();
    let looking = Store::open(store.root(), Access::ReadOnly).unwrap();
    looking.holders(&wanted).unwrap().into_values().collect()
}

#[test]
fn who_computes_is_seen_as_long_as_it_lives() {
    let folder = folder();
    let store = open(&folder);
    assert_eq!(seen(&store), []);
    let mut child = holding_child(&store);
    let named = loop {
        assert!(child.try_wait().unwrap().is_none(), "the child lives until it is killed");
        match seen(&store).pop() {
            Some(holder) => break holder,
            None => std::thread::sleep(std::time::Duration::from_millis(5)),
        }
    };
    assert_eq!((named.pid, named.job.as_deref()), (child.id().to_string(), Some("slurm 12_3")));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(seen(&store), [], "its text is still there, and nobody believes it");
    assert_ne!(fs::read(store.root().join("locks").join(request("a").fingerprint().to_string())).unwrap(), b"");
}

#[test]
fn a_lock_that_was_given_up_is_seen_no_more_though_its_process_lives() {
    let folder = folder();
    let store = open(&folder);
    let (first, second) = (take(&store, "a"), take(&store, "b"));
    assert_eq!(seen(&store).len(), 2);
    drop(first);
    assert_eq!(seen(&store).len(), 1);
    drop(second);
    assert_eq!(seen(&store), []);
}

#[test]
fn looking_at_a_lock_never_keeps_it_from_who_wants_it() {
    let folder = folder();
    let store = open(&folder);
    let lock = store.root().join("locks").join(request("a").fingerprint().to_string());
    let gone = open(&folder);
    let held = take(&gone, "a");
    let of_a_dead_process = fs::read(&lock).unwrap();
    drop((held, gone));
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                seen(&store);
            }
        });
        let is_refused = |_: &i32| {
            fs::write(&lock, &of_a_dead_process).unwrap(); // whoever looks asks whether its holder lives
            take(&store, "a").is_none()
        };
        let refused = (0..2000).filter(is_refused).count();
        is_over.store(true, Ordering::SeqCst);
        assert_eq!(refused, 0, "a run that must not wait would have given up");
    });
}

#[test]
fn a_holder_names_its_job_and_older_texts_are_still_read() {
    let holder = Holder { job: Some("slurm 12_3".to_owned()), ..Holder::own() };
    assert_eq!(Holder::from_text(&holder.to_text()), holder);
    assert!(holder.to_string().contains(" for slurm 12_3 since "), "{holder}");
    for (older, what) in [("node7\n12\n99\n", "a lock"), ("node7\n12\n99\n3 1700000000\n", "a lease")] {
        let Holder { host, pid, since, job } = Holder::from_text(older);
        assert_eq!((host.as_str(), pid.as_str(), since.as_str(), job), ("node7", "12", "99", None), "{what}");
    }
}

#[test]
fn a_killed_process_holds_its_lock_no_longer() {
    let folder = folder();
    let store = open(&folder);
    let mut child = holding_child(&store);
    while take(&store, "a").is_some() {
        std::thread::sleep(std::time::Duration::from_millis(5));
        assert!(child.try_wait().unwrap().is_none(), "the child lives until it is killed");
    }
    let mut holders = Vec::new();
    let mut wait = |h: &Holder| {
        // The holder writes its name just after it has the lock.
        holders.push(h.pid.clone());
        let is_known = h.pid == child.id().to_string() || holders.len() > 100;
        if is_known { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    assert!(store.lock(&request("a").fingerprint(), &mut wait).unwrap().is_none(), "{holders:?}");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(holders.last(), Some(&child.id().to_string()));
    assert!(take(&store, "a").is_some());
}

#[test]
#[ignore = "run as a child process by a_killed_process_holds_its_lock_no_longer"]
fn the_child_process_holds_a_lock() {
    let Some(root) = std::env::var_os(CHILD) else { return };
    Holder::work_for("slurm 12_3\n");
    let store = open_at(Path::new(&root));
    let key = request("a").fingerprint();
    let _guard = store.lock(&key, &mut |_| ControlFlow::Continue(())).unwrap();
    let _ = std::io::stdin().read_line(&mut String::new()); // until it is killed, or its parent dies
}

#[test]
fn a_holder_whose_file_is_still_empty_is_not_called_a_process() {
    assert_eq!(Holder::from_text("").to_string(), "it has not named itself yet");
    assert!(Holder::own().to_string().starts_with(&format!("process {} on ", std::process::id())));
}
