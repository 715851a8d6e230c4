//! The core against a small model.
