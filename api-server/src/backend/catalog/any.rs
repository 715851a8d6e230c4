//! The catalog that the settings choose.

use super::{PostgresCatalog, RocksCatalog};
use crate::core::catalog::{Catalog, CatalogError, Transaction, View};

/// The catalog that the settings choose. Clones share it.
#[derive(Clone, Debug)]
pub enum AnyCatalog {
    /// In a directory of this server.
    Embedded(RocksCatalog),
    /// In a database, which other servers use, too.
    Database(PostgresCatalog),
}

impl AnyCatalog {
    /// Refuses what comes from now on and waits for what came before.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop the closing, but nobody knows when it ended.
    pub async fn close(&self) {
        match self {
            Self::Embedded(catalog) => catalog.close().await,
            Self::Database(catalog) => catalog.close().await,
        }
    }
}

impl Catalog for AnyCatalog {
    async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<CatalogError> + Send + 'static,
        F: Fn(&dyn View) -> Result<T, E> + Send + Sync + 'static,
    {
        match self {
            Self::Embedded(catalog) => catalog.read(work).await,
            Self::Database(catalog) => catalog.read(work).await,
        }
    }

    async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<CatalogError> + Send + 'static,
        F: FnMut(&mut dyn Transaction) -> Result<T, E> + Send + 'static,
    {
        match self {
            Self::Embedded(catalog) => catalog.write(work).await,
            Self::Database(catalog) => catalog.write(work).await,
        }
    }

    fn is_shared(&self) -> bool {
        match self {
            Self::Embedded(catalog) => catalog.is_shared(),
            Self::Database(catalog) => catalog.is_shared(),
        }
    }
}
