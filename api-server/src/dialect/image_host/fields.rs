//! Parsed types.
