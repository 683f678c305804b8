//! The stages of the pipeline and their registry.
