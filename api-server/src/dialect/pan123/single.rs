//! `POST /upload/v2/file/single/create`: a whole file in one request.
//! Source: docs/api/pan123.md §5.2.
//!
//! The bytes may come first, as in the document's sample, so where they go and whether they are the
//! right ones may be known only at the end. They stream into storage all the same; nobody sees them
//! before everything is right.

use common::id::Extension;
use common::web::server::RequestBody;
use http::header::CONTENT_TYPE;
use http::request;
use serde::Serialize;

use super::Pan123;
use super::answer::Answer;
use super::create::of_place;
use super::multipart::{Event, FORM_LEN_MAX, Reader};
use super::param::{Bag, Name, Params, Scalar};
use super::refusal::Refusal;
use super::target;
use crate::backend::Blobs;
use crate::core::catalog::Catalog;
use crate::http::body::Pieces;
use crate::service::{Actor, Upload};

/// The part that is the bytes.
const FILE: &str = "file";
/// Bytes of the largest file: 1 GB in the document, read the generous way.
const SINGLE_SIZE_MAX: u64 = 1 << 30;
/// What is required besides the bytes.
const REQUIRED: [Name; 4] = [Name::ParentFileId, Name::FileName, Name::Etag, Name::Size];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Model {
    #[serde(rename = "fileID")]
    file_id: u64,
    completed: bool,
}

/// A file that is being received.
struct Receipt<'a, C, B: Blobs> {
    dialect: &'a Pan123<C, B>,
    actor: &'a Actor,
    query: Option<&'a str>,
    size_max: u64,
    fields: Bag,
    upload: Option<Upload<C, B>>,
    received: u64,
    /// Bytes that the file has, if the form said so before them.
    announced: Option<u64>,
}

impl<C: Catalog, B: Blobs> Pan123<C, B> {
    /// Takes a file.
    pub(super) async fn single_create(
        &self,
        actor: &Actor,
        head: &request::Parts,
        body: RequestBody,
    ) -> Result<Answer, Refusal> {
        let size_max = self.size_max(SINGLE_SIZE_MAX);
        let mut receipt = Receipt {
            dialect: self,
            actor,
            query: head.uri.query(),
            size_max,
            fields: Bag::default(),
            upload: None,
            received: 0,
            announced: None,
        };
        let content_type = head.headers.get(CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok());
        let reader = Reader::new(content_type, FILE);
        let too_large = |_| Refusal::TooLarge { max: size_max };
        let mut pieces = Pieces::new(body, size_max + FORM_LEN_MAX).map_err(too_large)?;
        let refusal = match receipt.read(reader, &mut pieces).await {
            Ok(()) => match receipt.finish().await {
                Ok(answer) => return Ok(answer),
                Err(refusal) => refusal,
            },
            Err(refusal) => {
                receipt.abort().await;
                refusal
            }
        };
        // Many clients read no answer before they have sent everything, and take a connection that
        // breaks meanwhile for a failure of the network, which they try again. So the rest is read,
        // up to what the call would have taken; it is thrown away as it comes.
        while let Ok(Some(_)) = pieces.next().await {}
        Err(refusal)
    }
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
            Event::FileBegins(file_name) => self.begin(file_name.as_deref()).await,
            Event::Content(content) => {
                self.received = self.received.saturating_add(content.len() as u64);
                if self.size_max < self.received {
                    return Err(Refusal::TooLarge { max: self.size_max });
                }
                if self.announced.is_some_and(|size| size < self.received) {
                    return Err(Refusal::Failed(None));
                }
                match &mut self.upload {
                    Some(upload) => Ok(upload.write(content).await?),
                    None => Ok(()),
                }
            }
            Event::FileEnds => Ok(()),
        }
    }

    /// What the form says by now.
    fn params(&self) -> Result<Params, Refusal> {
        Ok(Params::of_fields(self.query, self.fields.clone())?)
    }

    /// Refuses what can be refused before the bytes come.
    async fn begin(&mut self, file_name: Option<&str>) -> Result<(), Refusal> {
        let params = self.params()?;
        // The name that the form gives counts; this one only says what kind of file it is.
        let mut named = file_name.unwrap_or_default().to_owned();
        if REQUIRED.iter().all(|name| params.has(*name)) {
            let new = target::new_file(&params, self.size_max)?;
            self.dialect.check_place(self.actor.account, &new).await?;
            self.announced = Some(new.size);
            named = new.name.to_string();
        }
        let extension = Extension::of_file_name(&named);
        self.upload = Some(self.dialect.service.begin_upload(extension));
        Ok(())
    }

    /// Makes the bytes a file, if all is as the form says.
    async fn finish(mut self) -> Result<Answer, Refusal> {
        let new = self
            .params()
            .and_then(|params| target::new_file(&params, self.size_max));
        let (dialect, actor) = (self.dialect, self.actor);
        let upload = self.upload.take().ok_or(Refusal::NoFile(FILE))?;
        let checked = match &new {
            // Before anything of it is stored for good.
            Ok(new) => dialect.check_place(actor.account, new).await,
            Err(_) => Ok(()),
        };
        let new = match checked.and(new) {
            Ok(new) => new,
            Err(refusal) => {
                upload.abort().await;
                return Err(refusal);
            }
        };
        let conflict = new.conflict;
        let file = upload
            .finish_below(actor, new)
            .await
            .map_err(|error| of_place(error, conflict))?;
        Answer::of(&Model {
            file_id: file.0,
            completed: true,
        })
    }

    /// Gives up what came.
    async fn abort(self) {
        if let Some(upload) = self.upload {
            upload.abort().await;
        }
    }
}
