//! The whole of it, over a source in memory.
