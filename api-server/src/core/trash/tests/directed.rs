//! Cases of the trash.
