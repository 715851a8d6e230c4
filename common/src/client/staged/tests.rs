//! Staged uploads against a node that says what a test wants.
