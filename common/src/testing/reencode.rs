//! Decodes a packet and encodes what was understood, for golden tests and fuzzing.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "each function handles the commands of one server; the golden vectors show that none is \
              missing"
)]

use bytes::BytesMut;

use crate::codec::CodecError;
use crate::wire::storage::{
    AppendHead, ArrangeRequest, BlobRequest, DownloadRequest, FileInfo, Metadata, ModifyHead,
    Piece, PreparedResponse, QueryFileInfo, RegenerateRequest, SetMetadata, SlaveHead,
    StoredResponse, Streamed, TruncateRequest, UploadHead, UploadKind,
};
use crate::wire::tracker::{
    ClientDialect, FetchTarget, FetchTargets, GroupResponse, GroupStatistics, LeaderResponse,
    ListingLayout, NodeIdResponse, NodeStatusResponse, Parameters, Request, StorageIds,
    StorageStatistics, StoreTarget, StoreTargets, TrackerStatistics, TrunkServerResponse,
    decode_groups, decode_storages, encode_groups, encode_storages,
};
use crate::wire::{
    AddressWidth, Command, HEADER_LEN, Header, WireError, encode_bare_request, encode_empty,
};

const WIDTHS: [AddressWidth; 2] = [AddressWidth::V4, AddressWidth::V6];
const LISTINGS: [ListingLayout; 3] = [ListingLayout::Current, ListingLayout::V5, ListingLayout::V4];

/// Reads a request as a storage node does and encodes it as a client does.
pub fn reencode_storage_request(header: Header, body: &[u8]) -> Result<BytesMut, WireError> {
    let unknown = WireError::UnknownCommand(header.command);
    let mut out = BytesMut::new();
    match Command::from_byte(header.command).ok_or(unknown)? {
        Command::Upload => upload(UploadKind::Normal, header, body, &mut out)?,
        Command::UploadAppender => upload(UploadKind::Appender, header, body, &mut out)?,
        Command::UploadSlave => streamed::<SlaveHead>(header, body, &mut out)?,
        Command::Append => streamed::<AppendHead>(header, body, &mut out)?,
        Command::Modify => streamed::<ModifyHead>(header, body, &mut out)?,
        Command::Truncate => TruncateRequest::decode(body)?.encode(&mut out),
        Command::RegenerateAppender => RegenerateRequest::decode(body)?.encode(&mut out),
        Command::Delete => BlobRequest::decode(body)?.encode_delete(&mut out),
        Command::GetMetadata => BlobRequest::decode(body)?.encode_get_metadata(&mut out),
        Command::Download => DownloadRequest::decode(body)?.encode(&mut out),
        Command::SetMetadata => SetMetadata::decode(body)?.encode(&mut out),
        Command::ArrangeStaging => ArrangeRequest::decode(body)?.encode(&mut out),
        Command::QueryFileInfo => QueryFileInfo::decode(body, header.status)?.encode(&mut out),
        command @ (Command::ActiveTest
        | Command::Quit
        | Command::CommitUpload
        | Command::AbandonUpload) => encode_bare_request(&mut out, command),
        _ => return Err(unknown),
    }
    Ok(out)
}

/// Reads a request as the tracker does and encodes it as a client does.
pub fn reencode_tracker_request(header: Header, body: &[u8]) -> Result<BytesMut, WireError> {
    let mut out = BytesMut::new();
    Request::decode(header.command, body)?.encode(&mut out);
    Ok(out)
}

/// Reads the answer to a command as a client does and encodes it as the server does, in the dialect
/// that gives the same length. `None` for commands that have no structured answer.
pub fn reencode_response(command: u8, body: &[u8]) -> Option<Result<BytesMut, WireError>> {
    let command = Command::from_byte(command)?;
    has_structured_answer(command).then(|| response(command, body))
}

fn has_structured_answer(command: Command) -> bool {
    match command {
        // The content itself.
        Command::Download
        // No answer at all.
        | Command::Quit
        // Between servers.
        | Command::NodeJoin
        | Command::NodeReport
        | Command::TrackerHello
        | Command::ClusterStatus
        | Command::ClusterOrder
        | Command::Authenticate => false,
        _ => true,
    }
}

fn response(command: Command, body: &[u8]) -> Result<BytesMut, WireError> {
    let mut out = BytesMut::new();
    match command {
        Command::Upload
        | Command::UploadAppender
        | Command::UploadSlave
        | Command::RegenerateAppender => StoredResponse::decode(body)?.encode(&mut out),
        Command::PrepareUpload | Command::ArrangeStaging => {
            PreparedResponse::decode(body)?.encode(&mut out);
        }
        Command::ExtendStaging => Piece::decode(body)?.encode_response(&mut out),
        Command::GetMetadata => Metadata::parse(body).encode_response(&mut out),
        Command::QueryFileInfo => {
            let info = FileInfo::decode(body)?;
            return of_same_length(body, WIDTHS, |width, out| info.encode(width, out));
        }
        Command::QueryStoreAnyOne | Command::QueryStoreGroupOne => {
            let target = StoreTarget::decode(body)?;
            return of_same_length(body, WIDTHS, |width, out| target.encode(width, out));
        }
        Command::QueryStoreAnyAll | Command::QueryStoreGroupAll => {
            let targets = StoreTargets::decode(body)?;
            return of_same_length(body, WIDTHS, |width, out| targets.encode(width, out));
        }
        Command::QueryFetchOne | Command::QueryUpdate => {
            let target = FetchTarget::decode(body)?;
            return of_same_length(body, WIDTHS, |width, out| target.encode(width, out));
        }
        Command::QueryFetchAll => {
            let targets = FetchTargets::decode(body)?;
            return of_same_length(body, WIDTHS, |width, out| targets.encode(width, out));
        }
        Command::ListOneGroup | Command::ListAllGroups => {
            let groups = decode_groups(body)?;
            return of_same_length(body, dialects(), |dialect, out| {
                encode_groups(&groups, dialect, out);
            });
        }
        Command::ListStorages => {
            let storages = decode_storages(body)?;
            return of_same_length(body, dialects(), |dialect, out| {
                encode_storages(&storages, dialect, out);
            });
        }
        Command::FetchStorageIds => {
            let ids = StorageIds::decode(body)?;
            StorageIds::encode_page(ids.total, &ids.lines, &mut out);
        }
        Command::GetStorageId => NodeIdResponse::decode(body)?.encode(&mut out),
        Command::GetStorageStatus => NodeStatusResponse::decode(body)?.encode(&mut out),
        Command::GetParameters => Parameters::decode(body)?.encode(&mut out),
        Command::GetGroup => GroupResponse::decode(body)?.encode(&mut out),
        Command::GetLeader => LeaderResponse::decode(body)?.encode(&mut out),
        Command::SetTrunkServer => TrunkServerResponse::decode(body)?.encode(&mut out),
        Command::TrackerStatistics => TrackerStatistics::decode(body)?.encode(&mut out),
        Command::StorageStatistics => StorageStatistics::decode(body)?.encode(&mut out),
        Command::GroupStatistics => GroupStatistics::decode(body)?.encode(&mut out),
        _ => {
            crate::codec::Reader::new(body).finish()?;
            encode_empty(&mut out);
        }
    }
    Ok(out)
}

fn dialects() -> impl Iterator<Item = ClientDialect> {
    LISTINGS.into_iter().flat_map(|listing| {
        WIDTHS
            .into_iter()
            .map(move |address| ClientDialect { address, listing })
    })
}

/// The first encoding that is as long as `body`.
fn of_same_length<D>(
    body: &[u8],
    dialects: impl IntoIterator<Item = D>,
    encode: impl Fn(D, &mut BytesMut),
) -> Result<BytesMut, WireError> {
    dialects
        .into_iter()
        .map(|dialect| {
            let mut out = BytesMut::new();
            encode(dialect, &mut out);
            out
        })
        .find(|out| out.len() == HEADER_LEN + body.len())
        .ok_or(CodecError::Field("layout").into())
}

fn upload(
    kind: UploadKind,
    header: Header,
    body: &[u8],
    out: &mut BytesMut,
) -> Result<(), WireError> {
    let (head, content) = head_and_content::<UploadHead>(header, body)?;
    head.encode_as(kind, out);
    out.extend_from_slice(content);
    Ok(())
}

fn streamed<T: Streamed>(header: Header, body: &[u8], out: &mut BytesMut) -> Result<(), WireError> {
    let (head, content) = head_and_content::<T>(header, body)?;
    head.encode(out);
    out.extend_from_slice(content);
    Ok(())
}

/// The steps of a server that reads the content later.
fn head_and_content<T: Streamed>(header: Header, body: &[u8]) -> Result<(T, &[u8]), WireError> {
    let mut reader = crate::codec::Reader::new(body);
    let fixed = reader.take(T::fixed_len(header.body_len)?)?;
    let name = reader.take(T::name_len(fixed, header.body_len)?)?;
    let head = T::decode(fixed, name)?;
    let content = reader.rest();
    if content.len() as u64 != head.content_len() {
        // The header announces a body that the fuzzer did not supply.
        return Err(WireError::Lengths {
            declared: head.content_len(),
            body_len: content.len() as u64,
        });
    }
    Ok((head, content))
}
