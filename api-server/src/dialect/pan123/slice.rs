//! `POST /upload/v2/file/slice`: the bytes of one slice. Source: docs/api/pan123.md §4.2.
//!
//! Bytes go to storage as they come. If the form says first which slice it brings, as all known clients
//! do, they go where they belong at once, and what is wrong is refused at once; else they wait in
//! storage until the form's end.

use http::header::CONTENT_TYPE;
use http::request;

use super::Pan123;
use super::answer::Answer;
use super::multipart::{Event, FORM_LEN_MAX, Reader};
use super::param::{Bag, Name, ParamError, Params, Scalar};
use super::refusal::Refusal;
use crate::backend::Blobs;
use crate::core::catalog::Catalog;
use crate::core::id::{Md5, UploadId};
use crate::http::body::Pieces;
use crate::service::{Actor, ServiceError, SliceUpload, Upload};
use common::web::server::RequestBody;

/// The part that is the bytes.
const FILE: &str = "slice";
/// Bytes of the largest slice of any session: what the setting can be.
const SLICE_LEN_MAX: u64 = 64 * 1024 * 1024;

/// Where the bytes of a form go.
enum Sink<C, B: Blobs> {
    /// None came.
    Nothing,
    /// Where they belong.
    Slice(Box<SliceUpload<C, B>>, Which),
    /// Aside, as it is not known yet where they belong.
    Parked(Box<Upload<C, B>>, u64),
}

/// Which slice of which upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Which {
    id: UploadId,
    number: u64,
}

impl Which {
    fn of(params: &Params) -> Result<Self, Refusal> {
        let id = upload_id(params)?;
        let number = params.natural(Name::SliceNo)?;
        Ok(Self { id, number })
    }
}

/// The upload that a request is about.
///
/// # Errors
///
/// [`Refusal::NoUpload`] for what cannot be the name of one.
pub(super) fn upload_id(params: &Params) -> Result<UploadId, Refusal> {
    params
        .text(Name::PreuploadId)?
        .parse()
        .map_err(|_| Refusal::NoUpload)
}

impl<C: Catalog, B: Blobs> Pan123<C, B> {
    /// Takes a slice.
    pub(super) async fn slice(
        &self,
        actor: &Actor,
        head: &request::Parts,
        body: RequestBody,
    ) -> Result<Answer, Refusal> {
        let mut receipt = Receipt {
            dialect: self,
            actor,
            query: head.uri.query(),
            fields: Bag::default(),
            sink: Sink::Nothing,
        };
        let content_type = head.headers.get(CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok());
        let reader = Reader::new(content_type, FILE);
        let mut pieces = Pieces::new(body, SLICE_LEN_MAX + FORM_LEN_MAX)?;
        match receipt.read(reader, &mut pieces).await {
            Ok(()) => receipt.finish().await,
            Err(refusal) => {
                receipt.sink.abort().await;
                Err(refusal)
            }
        }
    }

    async fn begin_slice(
        &self,
        actor: &Actor,
        which: Which,
        md5: Option<Md5>,
    ) -> Result<Box<SliceUpload<C, B>>, Refusal> {
        let Which { id, number } = which;
        let slice = self.service.begin_slice_of(actor, id, number, md5);
        slice.await.map(Box::new).map_err(of_slice)
    }
}

/// A slice that is being received.
struct Receipt<'a, C, B: Blobs> {
    dialect: &'a Pan123<C, B>,
    actor: &'a Actor,
    query: Option<&'a str>,
    fields: Bag,
    sink: Sink<C, B>,
}

impl<C: Catalog, B: Blobs> Receipt<'_, C, B> {
    /// Reads the body to its end.
    async fn read(&mut self, mut reader: Reader, pieces: &mut Pieces) -> Result<(), Refusal> {
        let mut events = Vec::new();
        while let Some(piece) = pieces.next().await? {
            reader.feed(piece, &mut events)?;
            for event in events.drain(..) {
                self.take(event).await?;
            }
        }
        Ok(reader.finish()?)
    }

    async fn take(&mut self, event: Event) -> Result<(), Refusal> {
        match event {
            Event::Field(name, value) => Ok(self.fields.push(name, Scalar::Text(value))?),
            Event::FileBegins(_) => self.begin().await,
            Event::Content(content) => match &mut self.sink {
                Sink::Slice(slice, _) => slice.write(content).await.map_err(of_slice),
                Sink::Parked(upload, received) => {
                    *received = received.saturating_add(content.len() as u64);
                    if SLICE_LEN_MAX < *received {
                        return Err(Refusal::TooLong { max: SLICE_LEN_MAX });
                    }
                    Ok(upload.write(content).await?)
                }
                Sink::Nothing => Ok(()),
            },
            Event::FileEnds => Ok(()),
        }
    }

    /// What the form says by now.
    fn params(&self) -> Result<Params, Refusal> {
        Ok(Params::of_fields(self.query, self.fields.clone())?)
    }

    async fn begin(&mut self) -> Result<(), Refusal> {
        let params = self.params()?;
        let names = [Name::PreuploadId, Name::SliceNo];
        self.sink = if names.iter().all(|name| params.has(*name)) {
            // A bad digest is better known before the bytes than behind them.
            let md5 = if params.has(Name::SliceMd5) {
                Some(params.parsed::<Md5>(Name::SliceMd5)?)
            } else {
                None
            };
            let which = Which::of(&params)?;
            let slice = self.dialect.begin_slice(self.actor, which, md5);
            Sink::Slice(slice.await?, which)
        } else {
            Sink::Parked(Box::new(self.dialect.service.park()), 0)
        };
        Ok(())
    }

    /// Makes the bytes the slice, if the form says so.
    async fn finish(mut self) -> Result<Answer, Refusal> {
        let sink = std::mem::replace(&mut self.sink, Sink::Nothing);
        let (dialect, actor) = (self.dialect, self.actor);
        let (which, md5) = match self.what() {
            Ok(what) => what,
            Err(refusal) => {
                sink.abort().await;
                return Err(refusal);
            }
        };
        let slice = match sink {
            Sink::Nothing => return Err(Refusal::NoFile(FILE)),
            Sink::Slice(slice, bound) if bound == which => slice,
            Sink::Slice(slice, _) => {
                slice.abort().await;
                return Err(ParamError::Repeated(Name::SliceNo).into());
            }
            Sink::Parked(upload, _) => {
                let mut slice = match dialect.begin_slice(actor, which, Some(md5)).await {
                    Ok(slice) => slice,
                    Err(refusal) => {
                        upload.abort().await;
                        return Err(refusal);
                    }
                };
                if let Err(error) = dialect.service.unpark(*upload, &mut slice).await {
                    slice.abort().await;
                    return Err(of_slice(error));
                }
                slice
            }
        };
        slice.finish(Some(md5)).await.map_err(of_slice)?;
        Ok(Answer::nothing())
    }

    /// Which slice the form brings, and its digest.
    fn what(&self) -> Result<(Which, Md5), Refusal> {
        let params = self.params()?;
        Ok((Which::of(&params)?, params.parsed(Name::SliceMd5)?))
    }
}

impl<C: Catalog, B: Blobs> Sink<C, B> {
    /// Gives up what came.
    async fn abort(self) {
        match self {
            Self::Nothing => {}
            Self::Slice(slice, _) => slice.abort().await,
            Self::Parked(upload, _) => upload.abort().await,
        }
    }
}

/// The refusal of a slice: what is not as announced is the slice and not the file.
pub(super) fn of_slice(error: ServiceError) -> Refusal {
    if matches!(error, ServiceError::Mismatch { .. }) {
        Refusal::Slice(error)
    } else {
        error.into()
    }
}
