//! Downloads on the storage node's HTTP port: the front of `common::web` over the local store.

use std::sync::Arc;

use common::env::Shutdown;
use common::id::GroupName;
use common::web::anti_leech::Access;
use common::web::front::{Front, FrontSettings, Groups};
use common::web::metrics::HttpMetrics;
use common::web::operations::Operations;
use common::web::server::{self, ServerLimits};
pub use common::web::source::{BlobSource, Content, NoReader, Opened, ReadPieces, SourceError};
use tokio::net::TcpListener;

/// What the HTTP port is told.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// The node's group: blobs of others are answered 404, and URLs without a group mean this one.
    pub group: GroupName,
    /// Who may download.
    pub access: Access,
    /// Connections and timeouts.
    pub limits: ServerLimits,
}

/// Serves the blobs of `source` on `listener` until the signal, then finishes what is under way.
///
/// # Cancel safety
///
/// Dropping the future cuts all downloads off.
pub async fn serve<S: BlobSource>(
    listener: TcpListener,
    source: S,
    settings: HttpSettings,
    operations: Operations,
    metrics: Arc<HttpMetrics>,
    shutdown: Shutdown,
) {
    let front = FrontSettings {
        groups: Groups::Only(settings.group),
        default_group: Some(settings.group),
        access: settings.access,
    };
    let front = Arc::new(Front::new(source, front, operations));
    server::serve(listener, front, settings.limits, metrics, shutdown).await;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use common::code::ErrorCode;
    use common::digest::Crc32;
    use common::id::FileId;
    use common::web::download::{BlobFacts, Version};
    use common::web::operations::Readiness;
    use prometheus::Registry;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    const NAME: &str = "M00/02/44/rBAAD18AISGAP6QrAAACRhizVvQ79062.h";
    const DEADLINE: Duration = Duration::from_secs(20);

    /// Holds one blob, as a slice of something mapped.
    struct OneBlob;

    impl BlobSource for OneBlob {
        type Reader = NoReader;

        async fn open(&self, id: &FileId) -> Result<Opened<NoReader>, SourceError> {
            if id.name.to_text() != NAME {
                return Err(ErrorCode::NotFound.into());
            }
            let bytes = Bytes::from_static(b"hello");
            Ok(Opened {
                facts: BlobFacts {
                    size: 5,
                    time: 1_594_000_000,
                    version: Version::Immutable(Crc32::of(&bytes)),
                },
                content: Content::Whole(bytes),
            })
        }
    }

    #[tokio::test]
    async fn a_node_serves_its_own_group_and_ends_with_the_signal() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let settings = HttpSettings {
            group: "group1".parse().unwrap(),
            access: Access::Public,
            limits: ServerLimits::default(),
        };
        let registry = Registry::new();
        let metrics = HttpMetrics::register(&registry, "storage").unwrap();
        let operations = Operations::new(registry, || Box::pin(async { Readiness::Ready }));
        let (trigger, shutdown) = Shutdown::new();
        let server = serve(listener, OneBlob, settings, operations, metrics, shutdown);
        let server = tokio::spawn(server);
        for (path, expected) in [
            (format!("/group1/{NAME}"), "200"),
            (format!("/{NAME}"), "200"),
            (format!("/group2/{NAME}"), "404"),
            (format!("/group1/{}", NAME.replace("62.h", "63.h")), "404"),
        ] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            let read = stream.read_to_string(&mut answer);
            tokio::time::timeout(DEADLINE, read).await.unwrap().unwrap();
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {expected} ")),
                "{answer}"
            );
            assert_eq!(answer.ends_with("hello"), expected == "200", "{answer}");
        }
        trigger.trigger();
        tokio::time::timeout(DEADLINE, server)
            .await
            .unwrap()
            .unwrap();
    }
}
