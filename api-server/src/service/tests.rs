//! The service over a catalog and storage that fail on request.
