//! Which unit is computed next: in the order of the graph, as long as threads are free, and those of one shard one after
//! another, so that what one of them keeps in memory is there for the next.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use mlsm_store::Request;

/// How soon a unit that another process holds is tried again, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));

/// A unit whose inputs exist.
pub(crate) struct Job {
    /// The position of its node, and its own in the node.
    pub place: (usize, usize),
    /// What identifies its result.
    pub request: Request,
    /// How many threads it keeps busy.
    pub threads: usize,
    /// Its shard, empty where its node is not sharded.
    shard: String,
    /// How long it waits when another process holds it.
    pause: Duration,
}

impl Job {
    pub(crate) fn new(place: (usize, usize), request: Request, threads: usize, shard: &str) -> Self {
        Self { place, request, threads: threads.max(1), shard: shard.to_owned(), pause: PAUSE.0 }
    }

    pub(crate) fn node(&self) -> usize {
        self.place.0
    }

    /// What is computed of at most once at a time: a shard of its node.
    fn lane(&self) -> Option<(usize, String)> {
        (!self.shard.is_empty()).then(|| (self.node(), self.shard.clone()))
    }

    /// Tells whether no other process was found to hold it yet.
    pub(crate) fn is_new(&self) -> bool {
        self.pause == PAUSE.0
    }
}

/// The units that can be computed, those that are, and those that another process computes.
pub(crate) struct Queue {
    threads: usize,
    busy: usize,
    running: usize,
    lanes: BTreeSet<(usize, String)>,
    ready: BTreeMap<(usize, usize), Job>,
    held: Vec<(Instant, Job)>,
}

impl Queue {
    /// A queue for so many threads.
    pub(crate) fn new(threads: usize) -> Self {
        Self { threads, busy: 0, running: 0, lanes: BTreeSet::new(), ready: BTreeMap::new(), held: Vec::new() }
    }

    pub(crate) fn push(&mut self, mut job: Job) {
        job.threads = job.threads.min(self.threads);
        self.ready.insert(job.place, job);
    }

    /// Takes the first unit for which threads are free; one that wants more than there are is computed alone.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Job> {
        let (due, later) = std::mem::take(&mut self.held).into_iter().partition(|(until, _)| *until <= now);
        self.held = later;
        due.into_iter().for_each(|(_, job): (Instant, Job)| self.push(job));
        let is_free = |job: &&Job| job.lane().is_none_or(|lane| !self.lanes.contains(&lane));
        let first = self.ready.values().find(is_free)?;
        if self.busy + first.threads > self.threads {
            return None;
        }
        let place = first.place;
        let job = self.ready.remove(&place)?;
        self.lanes.extend(job.lane());
        (self.busy, self.running) = (self.busy + job.threads, self.running + 1);
        Some(job)
    }

    /// Notes that a unit is not computed any more.
    pub(crate) fn ended(&mut self, job: &Job) {
        (self.busy, self.running) = (self.busy - job.threads, self.running - 1);
        if let Some(lane) = job.lane() {
            self.lanes.remove(&lane);
        }
    }

    /// Puts a unit aside that another process computes: others come first.
    pub(crate) fn put_aside(&mut self, mut job: Job, now: Instant) {
        let until = now + job.pause;
        job.pause = (2 * job.pause).min(PAUSE.1);
        self.held.push((until, job));
    }

    /// Gives up what has not begun, of one node or of all; returns the node of each unit.
    pub(crate) fn give_up(&mut self, node: Option<usize>) -> Vec<usize> {
        let is_meant = |job: &Job| node.is_none_or(|node| job.node() == node);
        let given_up: Vec<_> = self.ready.extract_if(.., |_, job| is_meant(job)).map(|((node, _), _)| node).collect();
        let held = self.held.extract_if(.., |(_, job)| is_meant(job)).map(|(_, job)| job.node());
        given_up.into_iter().chain(held).collect()
    }

    /// How many units are being computed.
    pub(crate) fn running(&self) -> usize {
        self.running
    }

    /// When the next unit that was put aside is due.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.held.iter().map(|(until, _)| *until).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(node: usize, unit: usize, threads: usize) -> Job {
        let request = Request { stage: "x".to_owned(), version: 1, recipe: Vec::new(), inputs: Vec::new() };
        Job::new((node, unit), request, threads, "")
    }

    fn taken(queue: &mut Queue, now: Instant) -> Vec<Job> {
        std::iter::from_fn(|| queue.next(now)).collect()
    }

    fn places(jobs: &[Job]) -> Vec<(usize, usize)> {
        jobs.iter().map(|job| job.place).collect()
    }

    #[test]
    fn units_begin_in_the_order_of_the_graph_while_threads_are_free() {
        let (mut queue, now) = (Queue::new(4), Instant::now());
        [job(2, 0, 2), job(0, 1, 1), job(0, 0, 1), job(1, 0, 2)].into_iter().for_each(|job| queue.push(job));
        let first = taken(&mut queue, now);
        assert_eq!(places(&first), [(0, 0), (0, 1), (1, 0)]);
        queue.ended(&first[0]);
        assert!(queue.next(now).is_none(), "one thread is free, and the next wants two");
        queue.ended(&first[1]);
        assert_eq!(places(&taken(&mut queue, now)), [(2, 0)]);
    }

    #[test]
    fn units_of_one_shard_are_computed_one_after_another_and_others_beside_them() {
        let (mut queue, now) = (Queue::new(3), Instant::now());
        let of_shard = |unit, shard: &str| Job { shard: shard.to_owned(), ..job(0, unit, 1) };
        [of_shard(0, "wren"), of_shard(1, "wren"), of_shard(2, "owl")].into_iter().for_each(|job| queue.push(job));
        let first = taken(&mut queue, now);
        assert_eq!(places(&first), [(0, 0), (0, 2)]);
        queue.ended(&first[0]);
        assert_eq!(places(&taken(&mut queue, now)), [(0, 1)]);
    }

    #[test]
    fn a_unit_that_wants_more_threads_than_there_are_is_computed_alone() {
        let (mut queue, now) = (Queue::new(2), Instant::now());
        [job(0, 0, usize::MAX), job(1, 0, 1)].into_iter().for_each(|job| queue.push(job));
        let first = taken(&mut queue, now);
        assert_eq!(places(&first), [(0, 0)]);
        queue.ended(&first[0]);
        assert_eq!(places(&taken(&mut queue, now)), [(1, 0)]);
    }

    #[test]
    fn what_another_process_holds_lets_others_pass_and_is_tried_again() {
        let (mut queue, now) = (Queue::new(1), Instant::now());
        [job(0, 0, 1), job(1, 0, 1)].into_iter().for_each(|job| queue.push(job));
        let held = queue.next(now).unwrap();
        queue.ended(&held);
        queue.put_aside(held, now);
        let other = queue.next(now).unwrap();
        assert_eq!(other.place, (1, 0));
        queue.ended(&other);
        let due = queue.due().unwrap();
        assert_eq!(places(&taken(&mut queue, due)), [(0, 0)]);
    }

    #[test]
    fn what_is_given_up_never_begins() {
        let (mut queue, now) = (Queue::new(1), Instant::now());
        [job(0, 0, 1), job(0, 1, 1), job(1, 0, 1)].into_iter().for_each(|job| queue.push(job));
        let held = queue.next(now).unwrap();
        queue.ended(&held);
        queue.put_aside(held, now);
        assert_eq!(queue.give_up(Some(0)), [0, 0]);
        assert_eq!(queue.give_up(None), [1]);
        assert!(queue.next(now + Duration::from_secs(60)).is_none());
    }
}
