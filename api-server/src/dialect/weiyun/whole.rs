//! A whole file as one form. Source: docs/api/weiyun.md §3.

use http::header::CONTENT_TYPE;
use http::request;

use super::Weiyun;
use super::form::{Charset, Event, Parser};
use super::handler::Opened;
use super::model::Data;
use super::refusal::Refusal;
use crate::backend::Blobs;
use crate::core::catalog::Catalog;
use crate::core::id::UploadId;
use crate::core::upload_sessions::UploadRecord;
use crate::http::caller::Caller;
use crate::service::{ServiceError, Upload};

/// Why the bytes of a form came to nothing.
enum Stopped {
    Refused(Refusal),
    /// More bytes came than the file has.
    TooLong,
}

impl<E: Into<Refusal>> From<E> for Stopped {
    fn from(error: E) -> Self {
        Self::Refused(error.into())
    }
}

impl<C: Catalog, B: Blobs> Weiyun<C, B> {
    /// Makes the file of a form that of an upload. Also says how the answer is to be written, as far as
    /// the form said.
    pub(super) async fn receive_form(
        &self,
        head: &request::Parts,
        caller: &Caller,
        id: UploadId,
        upload: &UploadRecord,
        body: &mut Opened,
    ) -> (Charset, Result<Data, Refusal>) {
        let content_type = head.headers.get(CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok());
        let mut parser = Parser::new(content_type);
        let mut content = self.service.begin_whole(upload);
        let read = read(&mut parser, body, &mut content, upload.size).await;
        let charset = parser.charset();
        let ended = match read {
            Ok(()) => parser.finish().map_err(Stopped::from),
            Err(stopped) => Err(stopped),
        };
        let refusal = match ended {
            Ok(_) => {
                return (
                    charset,
                    self.complete_whole(caller, id, upload, content).await,
                );
            }
            Err(Stopped::Refused(refusal)) => refusal,
            Err(Stopped::TooLong) => self.content_refusal(upload).await,
        };
        content.abort().await;
        (charset, Err(refusal))
    }

    async fn complete_whole(
        &self,
        caller: &Caller,
        id: UploadId,
        upload: &UploadRecord,
        content: Upload<C, B>,
    ) -> Result<Data, Refusal> {
        match self.service.finish_whole(id, upload, content).await {
            Ok(file) => {
                let entry = self.describe_new(upload.account, file, caller).await?;
                Ok(Data::Entry(Box::new(entry)))
            }
            Err(ServiceError::Mismatch { .. }) => Err(self.content_refusal(upload).await),
            Err(error) => Err(self.explained(upload.account, error).await),
        }
    }
}

/// Reads a form to its end.
async fn read<C: Catalog, B: Blobs>(
    parser: &mut Parser,
    body: &mut Opened,
    content: &mut Upload<C, B>,
    size: u64,
) -> Result<(), Stopped> {
    let mut events = Vec::new();
    let mut received = 0_u64;
    while let Some(piece) = body.next().await? {
        // What came before a mistake is not worth storing.
        parser.feed(piece, &mut events)?;
        for event in events.drain(..) {
            if let Event::Content(bytes) = event {
                received = received.saturating_add(bytes.len() as u64);
                if size < received {
                    return Err(Stopped::TooLong);
                }
                content.write(bytes).await?;
            }
        }
    }
    Ok(())
}
