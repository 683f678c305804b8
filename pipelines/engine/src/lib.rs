//! Stages, plans and runs over the store.
