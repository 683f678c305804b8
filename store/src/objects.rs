//! Files in an object store outside, such as the photos of a data set: listed and read, never written. Who implements this
//! knows the service; who uses it knows none.

use std::fmt::Debug;
use std::sync::Arc;

use crate::StoreError;

/// A file in an object store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its path below the place that was opened, with forward slashes.
    pub path: String,
    /// How many bytes it has.
    pub bytes: u64,
    /// What the service changes with its bytes.
    pub version: String,
}

/// A place in an object store.
pub trait Objects: Debug + Send + Sync {
    /// Returns its address, as people name it.
    fn address(&self) -> &str;

    /// Lists all files below it, by their paths.
    ///
    /// # Errors
    /// [`StoreError::Remote`] when the service refuses or does not answer; [`StoreError::Stopped`].
    fn list(&self) -> Result<Vec<Object>, StoreError>;

    /// Reads files, some at once, and hands each over with its position in `paths`, in any order; nothing where there is no
    /// such file. What `each` returns ends the reading.
    ///
    /// # Errors
    /// [`StoreError::Remote`] when the service refuses or does not answer; [`StoreError::Stopped`]; those of `each`.
    fn read(
        &self,
        paths: &[&str],
        each: &mut dyn FnMut(usize, Option<Vec<u8>>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError>;

    /// Reads the first bytes of a file, which has one at least.
    ///
    /// # Errors
    /// [`StoreError::Remote`] when the service refuses or does not answer; [`StoreError::Stopped`].
    fn read_first(&self, path: &str, bytes: u64) -> Result<Vec<u8>, StoreError>;
}

/// Opens a place by its address; nothing is asked of the service yet.
pub type OpenObjects<'a> = &'a (dyn Fn(&str) -> Result<Arc<dyn Objects>, StoreError> + Sync);

/// Tells whether a path is the address of a place in an object store.
pub fn is_address(path: &str) -> bool {
    path.contains("://")
}
