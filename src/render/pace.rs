//! How often it is told how far a node is.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Lets something be told of a node at most once in a while.
pub struct Pace {
    every: Duration,
    told: Mutex<BTreeMap<String, Instant>>,
}

impl Pace {
    /// Once in `every`; always where that is zero.
    pub const fn new(every: Duration) -> Self {
        Self { every, told: Mutex::new(BTreeMap::new()) }
    }

    /// Tells whether it is time. The clock starts when a node is first asked for: the first line of a short node would say
    /// nothing.
    pub fn is_due(&self, node: &str) -> bool {
        let mut told = self.told.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        #[expect(clippy::disallowed_methods, reason = "when something is due")]
        let now = Instant::now();
        let last = told.entry(node.to_owned()).or_insert(now);
        let is_due = now - *last >= self.every;
        if is_due {
            *last = now;
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_node_is_told_of_once_in_a_while() {
        let rarely = Pace::new(Duration::from_millis(20));
        assert!(!rarely.is_due("crop") && !rarely.is_due("crop"));
        std::thread::sleep(Duration::from_millis(21));
        assert!(rarely.is_due("crop") && !rarely.is_due("crop") && !rarely.is_due("ingest"));
        assert!(Pace::new(Duration::ZERO).is_due("crop"));
    }
}
