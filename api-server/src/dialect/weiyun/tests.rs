//! The dialect over doubles of catalog and storage.
