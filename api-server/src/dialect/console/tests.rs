//! The calls over a catalog and blobs in memory.
