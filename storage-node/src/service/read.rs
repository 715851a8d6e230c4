//! Download, file information, get metadata. Source: docs/wire.md, reads.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use common::digest::Crc32;
use common::id::Source;
use common::rpc::ConnectionError;
use common::wire::storage::{BlobRequest, DownloadRequest, FileInfo, Metadata, QueryFileInfo};
use common::wire::{AddressText, Header};
use tracing::error;

use super::change::{store_in_group, too_long};
use super::{Failure, Outcome, Session};
use crate::error::StoreError;
use crate::node::Node;
use crate::replica::GroupPieces;

impl Session {
    pub(super) async fn download(&mut self, header: &Header) -> Result<Outcome, ConnectionError> {
        let Some(body) = self.body(header).await? else {
            return Ok(too_long(header));
        };
        let node = Arc::clone(&self.service.node);
        let (len, mut pieces, first) = match open(&node, &body).await {
            Ok(opened) => opened,
            Err(failure) => {
                node.counters.download.add(1, false);
                return Ok(Outcome::Status(failure.status()));
            }
        };
        let head = Bytes::copy_from_slice(&Header::success(len).encode());
        self.connection.send_buf(&mut head.chain(first)).await?;
        loop {
            match pieces.next().await {
                Ok(Some(mut piece)) => self.connection.send_buf(&mut piece).await?,
                Ok(None) => break,
                Err(error) => {
                    // The length is promised, so the only honest answer is to end the connection.
                    error!(
                        error = &error as &dyn std::error::Error,
                        "a download broke off"
                    );
                    node.counters.download.add(1, false);
                    return Err(ConnectionError::Closed);
                }
            }
        }
        node.counters.download.add(1, true);
        node.counters.download_bytes.add(len, true);
        Ok(Outcome::Sent)
    }

    pub(super) async fn get_metadata(
        &mut self,
        header: &Header,
    ) -> Result<Outcome, ConnectionError> {
        let Some(body) = self.body(header).await? else {
            return Ok(too_long(header));
        };
        let node = Arc::clone(&self.service.node);
        let read = metadata(&node, &body).await;
        node.counters.get_metadata.add(1, read.is_ok());
        Ok(match read {
            Ok(metadata) => {
                metadata.encode_response(&mut self.out);
                Outcome::Body
            }
            Err(failure) => Outcome::Status(failure.status()),
        })
    }

    pub(super) async fn file_info(&mut self, header: &Header) -> Result<Outcome, ConnectionError> {
        let Some(body) = self.body(header).await? else {
            return Ok(too_long(header));
        };
        let node = Arc::clone(&self.service.node);
        let own = self
            .connection
            .get_ref()
            .local_addr()
            .ok()
            .map(|address| address.ip());
        Ok(match info(&node, &body, header.status, own).await {
            Ok(info) => {
                info.encode(self.service.address_width, &mut self.out);
                Outcome::Body
            }
            Err(failure) => Outcome::Status(failure.status()),
        })
    }
}

/// The address of a blob's source; for this node without a configured one, where the client came in.
fn address_text(node: &Node, source: Source, own: Option<IpAddr>) -> AddressText {
    let is_own = source == Source::Node(node.number());
    let address = node.address_of(source).or(own.filter(|_| is_own));
    let text = address
        .map(|address| address.to_string())
        .unwrap_or_default();
    // An address is at most 45 characters, which is what the type holds.
    AddressText::from_bytes(text.as_bytes()).unwrap_or_default()
}

/// The pieces of a download; the first one is read before the header says success.
async fn open(node: &Node, body: &[u8]) -> Result<(u64, GroupPieces, Bytes), Failure> {
    let request = DownloadRequest::decode(body)?;
    let store = store_in_group(node, request.group, &request.name)?;
    let blob = store.open(&request.name.to_key()).await?;
    let blob = blob.ok_or(StoreError::NotFound)?;
    let outside = StoreError::OutOfRange {
        offset: request.offset,
        len: blob.len(),
    };
    let range = request.range(blob.len()).ok_or(outside)?;
    let len = range.end - range.start;
    let mut pieces = store.pieces(request.name.to_key(), &blob, range);
    let first = pieces.next().await?.unwrap_or_default();
    Ok((len, pieces, first))
}

async fn metadata(node: &Node, body: &[u8]) -> Result<Metadata, Failure> {
    let request = BlobRequest::decode(body)?;
    let store = store_in_group(node, request.group, &request.name)?;
    // None is an error too: clients tell the two apart by file information only.
    let packed = store.metadata(&request.name.to_key()).await?;
    Ok(Metadata::parse(&packed.ok_or(StoreError::NotFound)?))
}

async fn info(
    node: &Node,
    body: &[u8],
    flags: u8,
    own: Option<IpAddr>,
) -> Result<FileInfo, Failure> {
    let request = QueryFileInfo::decode(body, flags)?;
    let store = store_in_group(node, request.group, &request.name)?;
    let key = request.name.to_key();
    let blob = store.open(&key).await?;
    let blob = blob.ok_or(StoreError::NotFound)?;
    let crc = match blob.crc() {
        Some(crc) => crc,
        None if request.skips_checksum() => Crc32(0),
        None => store.checksum(key, &blob).await?,
    };
    let source = address_text(node, request.name.stem().source, own);
    Ok(FileInfo {
        size: blob.len(),
        time: u64::from(blob.time()),
        crc,
        source,
    })
}
