//! Conformance suite, fault injection and damaged stores for testing mlsm-store.
