//! What a stage sees while it runs: its inputs, the store, checkpoints, progress and the request to stop.

use mlsm_store::{Blob, Digest, Fingerprint, Input, Output, Request, Store};

use crate::{Cancel, Event, Item, StageError, Subscriber, Task, UnitInput};

/// The surroundings of one unit of work.
pub struct Context<'a> {
    pub(crate) store: &'a Store,
    pub(crate) node: &'a str,
    pub(crate) fingerprint: Fingerprint,
    /// The inputs as the graph has them, and as the request has them, in one order.
    pub(crate) wiring: &'a [UnitInput],
    pub(crate) inputs: &'a [Input],
    pub(crate) cancel: &'a Cancel,
    pub(crate) subscriber: &'a dyn Subscriber,
    /// A sharded node counts its shards itself; only a single unit's own progress is passed on.
    pub(crate) is_single: bool,
}

impl Context<'_> {
    /// Returns the fingerprint of the unit's request.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Returns that of another unit, which gives the same inputs to another task.
    pub fn fingerprint_of(&self, task: &dyn Task) -> Fingerprint {
        let (stage, version, recipe) = (task.stage().to_owned(), task.version(), task.recipe());
        Request { stage, version, recipe, inputs: self.inputs.to_vec() }.fingerprint()
    }

    /// Returns the inputs in the order of the request.
    pub fn inputs(&self) -> &[Input] {
        self.inputs
    }

    /// Returns the artifacts of a port that takes many.
    pub fn items<'s>(&'s self, port: &'s str) -> impl Iterator<Item = (&'s Item, Digest)> {
        let wired = self.wiring.iter().zip(self.inputs).filter(move |(wired, _)| wired.port == port);
        wired.filter_map(|(wired, input)| Some((wired.item.as_ref()?, input.digest)))
    }

    /// Returns the digest of one of the artifacts of a port, by its key.
    ///
    /// # Errors
    /// [`StageError::Failed`] when the unit was given no such artifact.
    pub fn item(&self, port: &str, key: u32) -> Result<Digest, StageError> {
        let found = self.items(port).find(|(item, _)| item.key == key).map(|(_, digest)| digest);
        found.ok_or_else(|| StageError::defect(format!("{} was given no input `{port}` {key}", self.node)))
    }

    /// Tells whether the unit was given an input.
    pub fn has(&self, port: &str) -> bool {
        self.wiring.iter().any(|wired| wired.port == port)
    }

    /// Returns the digest of the artifact of a port that takes one.
    ///
    /// # Errors
    /// [`StageError::Failed`] when the unit was given no such input.
    pub fn digest(&self, port: &str) -> Result<Digest, StageError> {
        let wired = self.wiring.iter().zip(self.inputs).find(|(wired, _)| wired.port == port);
        let found = wired.map(|(_, input)| input.digest);
        found.ok_or_else(|| StageError::defect(format!("{} was given no input `{port}`", self.node)))
    }

    /// Opens an input, verified.
    ///
    /// # Errors
    /// [`StageError::Store`] when it is damaged or gone.
    pub fn open(&self, name: &str) -> Result<Blob, StageError> {
        Ok(self.store.open_blob(&self.digest(name)?)?)
    }

    /// Opens an artifact by its digest, verified.
    ///
    /// # Errors
    /// [`StageError::Store`] when it is damaged or gone.
    pub fn open_digest(&self, digest: &Digest) -> Result<Blob, StageError> {
        Ok(self.store.open_blob(digest)?)
    }

    /// Stores an artifact.
    ///
    /// # Errors
    /// [`StageError::Store`] when the store cannot be written.
    pub fn put(&self, bytes: &[u8]) -> Result<Output, StageError> {
        Ok(self.store.put(bytes)?)
    }

    /// Returns the store, for artifacts that are streamed.
    pub fn store(&self) -> &Store {
        self.store
    }

    /// Returns what an earlier, interrupted attempt at this very request left, if whole.
    ///
    /// # Errors
    /// [`StageError::Store`] when the store cannot be read.
    pub fn load_checkpoint(&self) -> Result<Option<Vec<u8>>, StageError> {
        Ok(self.store.load_checkpoint(&self.fingerprint)?)
    }

    /// Keeps the state of long work; the engine drops it when the unit is committed.
    ///
    /// # Errors
    /// [`StageError::Store`] when the store cannot be written.
    pub fn save_checkpoint(&self, bytes: &[u8]) -> Result<(), StageError> {
        Ok(self.store.save_checkpoint(&self.fingerprint, bytes)?)
    }

    /// Tells whether stopping was asked for, for stages that checkpoint before they obey.
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Stops the stage when stopping was asked for.
    ///
    /// # Errors
    /// [`StageError::Cancelled`].
    pub fn check(&self) -> Result<(), StageError> {
        self.cancel.check()
    }

    /// Returns the request to stop, for work that looks for it by itself.
    pub fn cancel(&self) -> &Cancel {
        self.cancel
    }

    /// Returns who is told of the run, for work that tells more than how far it is.
    pub fn subscriber(&self) -> &dyn Subscriber {
        self.subscriber
    }

    /// Tells how far the unit is.
    pub fn progress(&self, done: u64, total: u64, unit: &str, detail: &str) {
        if self.is_single {
            let (node, unit, detail) = (self.node.to_owned(), unit.to_owned(), detail.to_owned());
            self.subscriber.on(&Event::Progress { node, done, total, unit, detail });
        }
    }

    /// Says something that people should read.
    pub fn warn(&self, message: impl Into<String>) {
        self.subscriber.on(&Event::Warning { node: self.node.to_owned(), message: message.into() });
    }
}
