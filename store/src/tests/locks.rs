//! Locks exclude threads and processes, and die with their holder.

use std::ops::ControlFlow;
use std::process::{Command, Stdio};
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

#[test]
fn a_killed_process_holds_its_lock_no_longer() {
    let folder = folder();
    let store = open(&folder);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::locks::the_child_process_holds_a_lock", "--include-ignored"])
        .env(CHILD, store.root())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
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
