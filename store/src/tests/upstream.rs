//! Moving many answers at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::{StoreError, side_by_side};

#[test]
fn several_are_under_way_at_once_and_results_keep_their_order() {
    let begun_of_all = AtomicUsize::new(0);
    let moved = side_by_side(&[1, 2, 3, 4, 5], |n| {
        begun_of_all.fetch_add(1, Ordering::SeqCst);
        // The first waits for a second to begin.
        let begun = Instant::now();
        while begun_of_all.load(Ordering::SeqCst) < 2 && begun.elapsed() < Duration::from_secs(30) {
            std::thread::yield_now();
        }
        Ok((2 * n, begun_of_all.load(Ordering::SeqCst) >= 2))
    });
    assert_eq!(moved.unwrap(), [2, 4, 6, 8, 10].map(|n| (n, true)));
}

#[test]
fn the_first_error_ends_it() {
    let begun = AtomicUsize::new(0);
    let many = Vec::from_iter(0..1000);
    let moved = side_by_side(&many, |n| {
        begun.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(1));
        if *n < 8 { Err(StoreError::Stopped) } else { Ok(()) }
    });
    assert!(matches!(moved, Err(StoreError::Stopped)));
    assert!(begun.into_inner() < 1000, "all of them were begun");
    assert!(side_by_side(&[0], |_| Err::<(), _>(StoreError::Stopped)).is_err());
    assert_eq!(side_by_side(&[], |_: &u8| Ok(())).unwrap(), []);
}
