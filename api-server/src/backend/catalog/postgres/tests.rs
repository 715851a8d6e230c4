#[path = "../../../../../tests/support/ports.rs"]
mod ports;
#[path = "../../../../../tests/support/postgres.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use common::config::DatabaseUrl;
use tokio::task::JoinSet;

use super::super::conformance;
use super::super::{CatalogSettings, CopyError, CopyPlace, OpenError, RocksCatalog, copy};
use super::*;
use crate::core::catalog::Direction;
use support::{DATABASE_PASSWORD, Postgres};

/// The URL of a schema of its own, which is empty.
fn url_of(postgres: &Postgres, schema: &str) -> String {
    postgres.sql(&format!("CREATE SCHEMA {schema}"));
    format!("{}?options=-csearch_path%3D{schema}", postgres.url())
}

async fn open(url: &str) -> Result<PostgresCatalog, PostgresError> {
    let url: DatabaseUrl = url.parse().unwrap();
    PostgresCatalog::open(&url, &Registry::new()).await
}

async fn refused(url: &str) -> PostgresError {
    let error = open(url).await.unwrap_err();
    let said = common::web::text::chain(&error);
    assert!(said.contains("remedy"), "{said}");
    assert!(!said.contains(DATABASE_PASSWORD), "{said}");
    error
}

async fn put(catalog: &impl Catalog, key: &str, value: &str) -> Result<(), CatalogError> {
    let (key, value) = (key.as_bytes().to_vec(), value.as_bytes().to_vec());
    catalog.write(move |tx| tx.put(&key, &value)).await
}

async fn get(catalog: &impl Catalog, key: &'static str) -> Result<Option<Vec<u8>>, CatalogError> {
    catalog.read(move |view| view.get(key.as_bytes())).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_a_catalog() {
    let Some(postgres) = Postgres::start() else {
        return;
    };
    let count = AtomicU32::new(0);
    let fresh = async || {
        let schema = format!("fresh{}", count.fetch_add(1, Ordering::Relaxed));
        open(&url_of(&postgres, &schema)).await.unwrap()
    };
    conformance::check(fresh, async |catalog| catalog.close().await).await;
}

/// Two servers over one database count, and look at what the other counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_are_serial_and_see_what_the_other_kept() {
    const CALLERS: u32 = 4;
    const ROUNDS: u32 = 25;
    let Some(postgres) = Postgres::start() else {
        return;
    };
    // Both make the table.
    let url = url_of(&postgres, "shared");
    let (one, other) = tokio::join!(open(&url), open(&url));
    let servers = [one.unwrap(), other.unwrap()];
    let mut tasks = JoinSet::new();
    for server in &servers {
        for _ in 0..CALLERS {
            let server = server.clone();
            tasks.spawn(async move {
                let mut drawn = Vec::new();
                for _ in 0..ROUNDS {
                    let write = server.write(|tx| {
                        let value = tx.get(b"counter")?;
                        let next = 1 + value
                            .map_or(0, |value| u32::from_be_bytes(value.try_into().unwrap()));
                        tx.put(b"counter", &next.to_be_bytes())?;
                        tx.put(&[b"k", next.to_be_bytes().as_slice()].concat(), b"")?;
                        Ok::<_, CatalogError>(next)
                    });
                    drawn.push(write.await.unwrap());
                }
                drawn
            });
        }
    }
    let mut drawn = tasks.join_all().await.concat();
    drawn.sort_unstable();
    let expected: Vec<u32> = (1..=2 * CALLERS * ROUNDS).collect();
    assert_eq!(drawn, expected, "nobody draws what another has drawn");
    for server in &servers {
        let read = server.read(|view| {
            let mut count = 0_u32;
            view.scan(b"k", b"l", Direction::Descending, &mut |_, _| {
                count += 1;
                std::ops::ControlFlow::Continue(())
            })?;
            Ok::<_, CatalogError>(count)
        });
        assert_eq!(read.await.unwrap(), 2 * CALLERS * ROUNDS);
    }
    for round in 0..20_u8 {
        let (writer, reader) = (
            &servers[usize::from(round % 2)],
            &servers[usize::from(round / 2 % 2)],
        );
        put(writer, "seen", &round.to_string()).await.unwrap();
        let seen = get(reader, "seen").await.unwrap().unwrap();
        assert_eq!(seen, round.to_string().as_bytes());
    }
    for server in &servers {
        server.close().await;
    }
    let open = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hayloft'";
    assert_eq!(postgres.sql(open), "0", "all connections are closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_went_away_is_an_error_with_a_remedy_and_comes_back() {
    let Some(mut postgres) = Postgres::start() else {
        return;
    };
    let catalog = open(&postgres.url()).await.unwrap();
    put(&catalog, "a", "1").await.unwrap();
    assert_eq!(get(&catalog, "a").await.unwrap().unwrap(), b"1");
    postgres.kill();
    for error in [
        put(&catalog, "a", "2").await.unwrap_err(),
        get(&catalog, "a").await.unwrap_err(),
    ] {
        let said = error.to_string();
        assert!(matches!(error, CatalogError::Unreachable(_)), "{error:?}");
        assert!(
            said.contains("remedy") && !said.contains(DATABASE_PASSWORD),
            "{said}"
        );
    }
    assert!(matches!(
        refused(&postgres.url()).await,
        PostgresError::Unreachable { .. }
    ));
    postgres.restart();
    assert_eq!(get(&catalog, "a").await.unwrap().unwrap(), b"1");
    put(&catalog, "a", "3").await.unwrap();
    // Connections that are open while the database starts anew are no use, and nobody notices.
    postgres.restart();
    put(&catalog, "b", "4").await.unwrap();
    postgres.restart();
    assert_eq!(get(&catalog, "a").await.unwrap().unwrap(), b"3");
    assert_eq!(get(&catalog, "b").await.unwrap().unwrap(), b"4");
    // What an operator ends is made anew, too.
    postgres.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'hayloft'",
    );
    put(&catalog, "c", "5").await.unwrap();
    assert_eq!(get(&catalog, "c").await.unwrap().unwrap(), b"5");
    let wrong = postgres.url().replace(DATABASE_PASSWORD, "wrong");
    let error = refused(&wrong).await;
    assert!(
        error.to_string().contains("password authentication"),
        "{error}"
    );
    catalog.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_transaction_that_the_database_refuses_harms_no_other() {
    let Some(postgres) = Postgres::start() else {
        return;
    };
    let catalog = open(&postgres.url()).await.unwrap();
    // Longer than an index of PostgreSQL takes, and nothing that could be made shorter.
    let mut long = vec![0; 8_000];
    blake3::Hasher::new().finalize_xof().fill(&mut long);
    long.insert(0, b'x');
    let mut tasks = JoinSet::new();
    for round in 0..40_u32 {
        let (catalog, long) = (catalog.clone(), long.clone());
        tasks.spawn(async move {
            let write = catalog.write(move |tx| {
                if round % 10 == 3 {
                    tx.put(&long, b"")?;
                }
                tx.put(&[b"k", round.to_be_bytes().as_slice()].concat(), b"")
            });
            (round, write.await)
        });
    }
    for (round, written) in tasks.join_all().await {
        if round % 10 == 3 {
            assert!(
                matches!(written, Err(CatalogError::Database(_))),
                "{written:?}"
            );
        } else {
            written.unwrap();
        }
    }
    assert_eq!(
        postgres.sql("SELECT count(*) - 1 FROM hayloft_catalog"),
        "36"
    );
    catalog.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_catalog_of_this_version_is_refused_by_name() {
    let Some(postgres) = Postgres::start() else {
        return;
    };
    let url = postgres.url();
    postgres.sql("CREATE TABLE hayloft_catalog (id int, note text)");
    assert!(matches!(refused(&url).await, PostgresError::Foreign { .. }));
    postgres.sql("DROP TABLE hayloft_catalog");
    let catalog = open(&url).await.unwrap();
    put(&catalog, "a", "1").await.unwrap();
    catalog.close().await;
    postgres
        .sql(r"UPDATE hayloft_catalog SET value = '\x00000009' WHERE key = '\x0076657273696f6e'");
    let error = refused(&url).await;
    assert!(
        matches!(error, PostgresError::Version { found: 9, .. }),
        "{error}"
    );
    postgres.sql(r"DELETE FROM hayloft_catalog WHERE key = '\x0076657273696f6e'");
    assert!(matches!(
        refused(&url).await,
        PostgresError::Incomplete { .. }
    ));
    postgres.sql("DELETE FROM hayloft_catalog");
    open(&url).await.unwrap().close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_catalog_is_copied_there_and_back_and_no_other_is_overwritten() {
    let Some(postgres) = Postgres::start() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let directory = |name: &str| CatalogSettings {
        directory: dir.path().join(name),
        ..CatalogSettings::new(dir.path())
    };
    let (first, second) = (directory("first"), directory("second"));
    let embedded = |settings: &CatalogSettings| CopyPlace::Embedded(settings.directory.clone());
    let database = CopyPlace::Database(postgres.url().parse().unwrap());
    let missing = copy(&embedded(&first), &database, |_, _| {}).await;
    assert!(matches!(missing, Err(CopyError::Missing(_))), "{missing:?}");
    assert!(!first.directory.exists(), "nothing was made");

    let catalog = RocksCatalog::open(&first, &Registry::new()).unwrap();
    let write = catalog.write(|tx| {
        for number in 0..2_500_u32 {
            // Some of them in the tree of the counts.
            let kind = if number % 2 == 0 { b'R' } else { b'F' };
            let key = [&[kind][..], &number.to_be_bytes()].concat();
            tx.put(&key, &vec![7; (number % 900) as usize])?;
        }
        Ok::<_, CatalogError>(())
    });
    write.await.unwrap();
    let in_use = copy(&embedded(&first), &database, |_, _| {}).await;
    let is_in_use = matches!(in_use, Err(CopyError::Embedded(OpenError::Failed { .. })));
    assert!(is_in_use, "{in_use:?}");
    catalog.close().await;

    let (mut copied, mut verified) = (0, 0);
    let source = embedded(&first);
    let report = copy(&source, &database, |step, entries| match step {
        super::super::Step::Copy => copied += entries,
        super::super::Step::Verify => verified += entries,
    });
    let report = report.await.unwrap();
    assert_eq!((report.entries, copied, verified), (2_500, 2_500, 2_500));
    let again = copy(&embedded(&first), &database, |_, _| {}).await;
    let is_occupied = matches!(
        again,
        Err(CopyError::Database(PostgresError::Occupied { .. }))
    );
    assert!(is_occupied, "{again:?}");

    let catalog = open(&postgres.url()).await.unwrap();
    let key = b"R\0\0\0\x02";
    let value = catalog.read(|view| view.get(key)).await.unwrap();
    assert_eq!(value.unwrap(), [7, 7]);
    // A server may go on meanwhile: the copy is of one state. An empty catalog is no obstacle.
    let empty = RocksCatalog::open(&second, &Registry::new()).unwrap();
    empty.close().await;
    let back = copy(&database, &embedded(&second), |_, _| {})
        .await
        .unwrap();
    assert_eq!(back, report);
    catalog.close().await;
    let occupied = copy(&database, &embedded(&second), |_, _| {}).await;
    assert!(
        matches!(occupied, Err(CopyError::Occupied(_))),
        "{occupied:?}"
    );
    let catalog = RocksCatalog::open(&second, &Registry::new()).unwrap();
    let value = catalog
        .read(|view| view.get(b"F\0\0\x03\x83"))
        .await
        .unwrap();
    assert_eq!(value.unwrap().len(), 899);
    catalog.close().await;
}

/// Has the database speak TLS with a certificate for its address; the file of that certificate.
fn encrypt(postgres: &Postgres, folder: &Path) -> PathBuf {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
    let issued = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let data = PathBuf::from(postgres.sql("SHOW data_directory"));
    let owner = std::fs::metadata(&data).unwrap();
    for (name, text) in [
        ("server.crt", issued.cert.pem()),
        ("server.key", issued.signing_key.serialize_pem()),
    ] {
        let file = data.join(name);
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        chown(&file, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
    postgres.sql("ALTER SYSTEM SET ssl = on");
    postgres.sql("SELECT pg_reload_conf()");
    let roots = folder.join("roots.pem");
    std::fs::write(&roots, issued.cert.pem()).unwrap();
    roots
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_encrypted_to_whoever_has_the_right_certificate_and_nobody_else() {
    let Some(postgres) = Postgres::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let roots = encrypt(&postgres, folder.path());
    let verified = format!(
        "{}?sslmode=verify-full&sslrootcert={}",
        postgres.url(),
        roots.display()
    );
    // The database notices its settings by and by.
    let opening = async {
        loop {
            match open(&verified).await {
                Ok(catalog) => return catalog,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    let limit = std::time::Duration::from_mins(1);
    let catalog = tokio::time::timeout(limit, opening).await.unwrap();
    put(&catalog, "a", "1").await.unwrap();
    let encrypted = "SELECT count(*) > 0 AND bool_and(ssl) FROM pg_stat_ssl \
                     JOIN pg_stat_activity USING (pid) WHERE application_name = 'hayloft'";
    assert_eq!(postgres.sql(encrypted), "t");
    catalog.close().await;
    let elsewhere = verified.replace("127.0.0.1", "localhost");
    let unknown = format!("{}?sslmode=require", postgres.url());
    for url in [elsewhere, unknown] {
        let error = refused(&url).await;
        let is_about_it = error.to_string().contains("certificate");
        assert!(is_about_it, "{error}");
    }
    let missing = verified.replace("roots.pem", "none.pem");
    assert!(matches!(
        refused(&missing).await,
        PostgresError::Roots { .. }
    ));
}
