//! Backbones, few-shot methods, Grad-CAM, optimisers and weights.
