//! Content-addressed artifacts, manifests and fingerprints.
