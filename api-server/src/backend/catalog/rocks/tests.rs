use prometheus::Registry;
use tempfile::TempDir;

use super::super::conformance;
use super::*;

fn open(directory: &Path, durability: Durability) -> Result<RocksCatalog, OpenError> {
    let settings = CatalogSettings {
        durability,
        memtable_len: 256 * 1024,
        ..CatalogSettings::new(directory)
    };
    RocksCatalog::open(&settings, &Registry::new())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_a_catalog_whatever_the_durability() {
    for durability in [
        Durability::Os,
        Durability::Always,
        Durability::Interval(Duration::from_millis(1)),
    ] {
        let directory = TempDir::new().unwrap();
        let count = std::sync::atomic::AtomicU32::new(0);
        let fresh = async || {
            let number = count.fetch_add(1, Ordering::Relaxed);
            open(&directory.path().join(number.to_string()), durability).unwrap()
        };
        conformance::check(fresh, async |catalog| catalog.close().await).await;
    }
}
