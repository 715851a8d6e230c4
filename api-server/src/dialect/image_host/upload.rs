//! `POST /api/upload`: takes a file. Source: docs/api/image-host.md §4.15, §5.
//!
//! The body streams: content goes to the service as it comes, and only a piece of it is in memory.
//! Fields may stand before or behind the file, and browsers send the user's name behind it; so who
//! uploads is often known only at the end. Until then nothing of an upload is seen, and whatever is
//! wrong by then, it leaves nothing.

use common::id::Extension;
use http::header::CONTENT_TYPE;
use http::request;
use tokio::sync::OwnedSemaphorePermit;

use crate::backend::Blobs;
use crate::core::catalog::Catalog;
use crate::core::files::Naming;
use crate::core::name::{FileName, UserName};
use crate::http::Exchange;
use crate::http::body::Pieces;
use crate::http::caller::Caller;
use crate::service::{Actor, Announced, Proof, Service, ServiceError, TokenlessCall, Upload};

use super::ImageHost;
use super::answer::Answer;
use super::form::{Event, FIELD_LEN_MAX, Form, HEAD_LEN_MAX, PARTS_MAX, Parser, Values};
use super::json::MemberError;
use super::proof;
use super::refusal::{Codes, ONLY_ONE, Refusal};
use super::request::{parse_md5, parse_new_file_name};

/// A bad token is 1 here.
pub(super) const CODES: Codes = ONLY_ONE;

/// Bytes that a body may have besides the content: all parts with the longest heads and values.
const FORM_LEN_MAX: u64 = (PARTS_MAX * (HEAD_LEN_MAX + FIELD_LEN_MAX)) as u64;

/// Takes a file.
pub(super) async fn answer<C: Catalog, B: Blobs>(
    host: &ImageHost<C, B>,
    exchange: Exchange,
) -> Result<Answer, Refusal> {
    let Exchange { head, caller, body } = exchange;
    proof::refuse_foreign_pages(&caller)?;
    let size_max = host.upload_size_max;
    let mut pieces = Pieces::new(body, size_max.saturating_add(FORM_LEN_MAX))?;
    let content_type = head.headers.get(CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let sender = Sender {
        service: &host.service,
        head: &head,
        caller: &caller,
    };
    let mut receipt = Receipt::new(sender, size_max, host.unknown_sender_len_max);
    match receipt.read(Parser::new(content_type), &mut pieces).await {
        Ok(form) => receipt.finish(&form).await,
        Err(refusal) => {
            receipt.abort().await;
            Err(refusal)
        }
    }
}

/// What tells who uploads, besides the form.
struct Sender<'a, C, B> {
    service: &'a Service<C, B>,
    head: &'a request::Parts,
    caller: &'a Caller,
}

impl<C: Catalog, B: Blobs> Sender<'_, C, B> {
    /// The user whom a form names, if the sender may act for that user.
    async fn actor(&self, values: &Values) -> Result<Actor, Refusal> {
        let field = "user";
        let user = values.user.as_deref();
        let user: UserName = user
            .ok_or(MemberError::Missing(field))?
            .parse()
            .map_err(|source| Refusal::Text { field, source })?;
        let md5 = values.md5.as_deref().map(parse_md5).transpose()?;
        let proof = match &values.token {
            Some(text) => proof::of_text(text)?,
            None => Proof::Nothing,
        };
        let call = TokenlessCall::Upload(md5);
        let (service, head, caller) = (self.service, self.head, self.caller);
        proof::accept(service, &user, proof, head, caller, call).await
    }

    /// Whether a token beside the body is somebody's, or the user who is named by now would do
    /// without one. Whether that counts is seen at the end of the body.
    async fn is_somebody(&self, values: &Values) -> bool {
        match proof::of_head(self.head) {
            Ok(Proof::Nothing) => {}
            Ok(proof) => return self.service.actor_of(&proof).await.is_ok(),
            Err(_) => return false,
        }
        let user = values.user.as_deref().map(str::parse);
        let md5 = values.md5.as_deref().map(parse_md5).transpose();
        match (user, md5) {
            (Some(Ok(user)), Ok(md5)) => {
                let (address, call) = (self.caller.address(), TokenlessCall::Upload(md5));
                self.service.named(&user, address, call).await.is_ok()
            }
            _ => false,
        }
    }
}

/// An upload that is being received.
struct Receipt<'a, C, B: Blobs> {
    sender: Sender<'a, C, B>,
    size_max: u64,
    /// Once the file has begun.
    upload: Option<Upload<C, B>>,
    /// What the file is called, once it has begun.
    name: Option<FileName>,
    /// Bytes of content so far.
    received: u64,
    /// Whether a field came by itself: then others may come behind the file.
    has_fields: bool,
    /// The user, if that could be told before the content came.
    actor: Option<Actor>,
    /// Bytes of content that somebody may send who has shown neither name nor token.
    unknown_len_max: u64,
    /// Bytes of content that this sender may send.
    received_max: u64,
    /// Held by strangers, of whom there may be only some.
    place: Option<OwnedSemaphorePermit>,
}

impl<'a, C: Catalog, B: Blobs> Receipt<'a, C, B> {
    fn new(sender: Sender<'a, C, B>, size_max: u64, unknown_len_max: u64) -> Self {
        Self {
            sender,
            size_max,
            upload: None,
            name: None,
            received: 0,
            has_fields: false,
            actor: None,
            unknown_len_max,
            received_max: size_max,
            place: None,
        }
    }

    /// Reads the body to its end.
    async fn read(&mut self, mut parser: Parser, pieces: &mut Pieces) -> Result<Form, Refusal> {
        let mut events = Vec::new();
        while let Some(piece) = pieces.next().await? {
            // What came before a mistake is not worth storing.
            parser.feed(piece, &mut events)?;
            for event in events.drain(..) {
                self.take(event).await?;
            }
        }
        let form = parser.finish(&mut events)?;
        for event in events.drain(..) {
            self.take(event).await?;
        }
        Ok(form)
    }

    async fn take(&mut self, event: Event) -> Result<(), Refusal> {
        match event {
            Event::FileBegins(form) => self.begin(&form).await,
            Event::Content(content) => {
                self.received = self.received.saturating_add(content.len() as u64);
                self.check_size(self.received)?;
                if self.received_max < self.received {
                    let max = self.received_max;
                    return Err(Refusal::UnknownSender { max });
                }
                if let Some(upload) = &mut self.upload {
                    upload.write(content).await?;
                }
                Ok(())
            }
            Event::Field(..) => {
                self.has_fields = true;
                Ok(())
            }
            Event::FileEnds => Ok(()),
        }
    }

    /// Refuses what can be refused before content comes.
    async fn begin(&mut self, form: &Form) -> Result<(), Refusal> {
        let name = parse_new_file_name(&form.file_name)?;
        let values = &form.values;
        if let Some(size) = values.size {
            self.check_size(size)?;
        }
        // In the literal format all is said by now. In the ordinary one a token decides, and a field
        // that is to come may be one.
        let is_complete = !self.has_fields || values.token.is_some();
        if values.user.is_some() && is_complete {
            self.actor = Some(self.sender.actor(values).await?);
        } else if !self.sender.is_somebody(values).await {
            self.received_max = self.unknown_len_max;
            self.place = self.sender.service.admit_stranger();
            if self.place.is_none() {
                return Err(ServiceError::TooOften.into());
            }
        }
        let extension = Extension::of_file_name(name.as_str());
        self.upload = Some(self.sender.service.begin_upload(extension));
        self.name = Some(name);
        Ok(())
    }

    fn check_size(&self, size: u64) -> Result<(), Refusal> {
        let max = self.size_max;
        if max < size {
            return Err(Refusal::TooLarge { max });
        }
        Ok(())
    }

    /// Makes the content a file, if everything that is known by now allows it.
    async fn finish(mut self, form: &Form) -> Result<Answer, Refusal> {
        let checked = self.check(form).await;
        // A form without a file is refused by its parser.
        let (Some(upload), Some(name)) = (self.upload.take(), self.name.take()) else {
            return Err(super::form::FormError::NoFile.into());
        };
        match checked {
            Ok((actor, announced)) => {
                upload
                    .finish(&actor, Naming::Label(name), announced)
                    .await?;
                Ok(Answer::Done)
            }
            Err(refusal) => {
                upload.abort().await;
                Err(refusal)
            }
        }
    }

    async fn check(&mut self, form: &Form) -> Result<(Actor, Announced), Refusal> {
        let values = &form.values;
        let announced = Announced {
            md5: values.md5.as_deref().map(parse_md5).transpose()?,
            sha1: None,
            size: values.size,
        };
        let actor = match self.actor.take() {
            Some(actor) => actor,
            None => self.sender.actor(values).await?,
        };
        Ok((actor, announced))
    }

    async fn abort(self) {
        if let Some(upload) = self.upload {
            upload.abort().await;
        }
    }
}
