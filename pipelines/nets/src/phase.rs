//! Whether a network learns or is measured.

/// What a forward pass is for: batch normalisation, and what a method keeps of a graph, depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Learning: batch normalisation uses the statistics of the batch and updates the running ones.
    Train,
    /// Measuring: batch normalisation uses the running statistics.
    Evaluate,
}
