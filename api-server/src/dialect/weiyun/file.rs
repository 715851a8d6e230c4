//! Calls about one file: `download_file`, the link that it gives, and `delete_file`.
//! Source: docs/api/weiyun.md §5.
//!
//! A link holds the file's id and the second when it ends. What permits to use it is in a cookie: 128
//! bits that only the server can compute of the link. So the catalog remembers no links.

use common::env::{clock, entropy};
use common::web::body::Body;
use common::web::download::{self, Sharing};
use http::header::COOKIE;
use http::{HeaderMap, Response, request};
use subtle::ConstantTimeEq as _;

use super::Weiyun;
use super::model::{Data, Download};
use super::parameters::Parameters;
use super::place::Place;
use super::refusal::Refusal;
use crate::backend::Blobs;
use crate::core::catalog::Catalog;
use crate::core::error::CoreError;
use crate::core::files::FileRecord;
use crate::core::id::{AccountId, FileNumber};
use crate::core::trash;
use crate::core::tree::{self, EntryRow};
use crate::http::caller::Caller;
use crate::service::ServiceError;

/// The cookie that permits a download.
const COOKIE_NAME: &str = "FTN5K";
/// Seconds that a link lasts.
const LINK_LIFE: u32 = 4 * 60 * 60;
/// Characters of a link: a file id without dashes, and eight digits of a second.
const LINK_LEN: usize = 32 + 8;

impl<C: Catalog, B: Blobs> Weiyun<C, B> {
    /// Tells where a file can be fetched.
    pub(super) async fn download(
        &self,
        head: &request::Parts,
        caller: &Caller,
        parameters: &Parameters,
    ) -> Result<Data, Refusal> {
        let login = self.log_in(head, caller, parameters).await?.may_read()?;
        let (account, number) = self.wanted(login.actor.account, parameters).await?;
        self.live_file(account, number).await?;
        let names = self.names().await?;
        let file_id = names.file_id(account, number).replace('-', "");
        let ends = clock::unix_seconds().saturating_add(LINK_LIFE);
        let link = format!("{file_id}{ends:08x}");
        let Place { host, port } = Place::of(caller);
        Ok(Data::Download(Box::new(Download {
            dl_cookie_name: COOKIE_NAME,
            dl_cookie_value: names.permission(&link),
            dl_encrypt_url: link,
            dl_svr_host: host,
            dl_svr_port: port,
        })))
    }

    /// Sends the file of a link.
    pub(super) async fn fetch(
        &self,
        link: &str,
        head: &request::Parts,
    ) -> Result<Response<Body>, Refusal> {
        let permission = self.names().await?.permission(link);
        let is_permitted = cookies(&head.headers)
            .any(|value| permission.as_bytes().ct_eq(value.as_bytes()).into());
        // A link that we did not give has no permission that anybody could know.
        let (account, number, ends) = match self.read_link(link).await? {
            Some(read) if is_permitted => read,
            Some(_) | None => return Err(Refusal::Link),
        };
        if ends <= clock::unix_seconds() {
            return Err(Refusal::Link);
        }
        let (_, file) = self.live_file(account, number).await?;
        let blob = file.blob;
        let opened = self.service.blobs().open(&blob).await;
        let opened = opened.map_err(ServiceError::from)?;
        let plan = download::respond(
            head,
            &opened.facts,
            blob.name.extension(),
            Sharing::Private,
            entropy::random_u64,
        );
        let body = Body::planned(plan.body, opened.content, opened.facts.size);
        let body = body.map_err(ServiceError::from)?;
        Ok(plan.head.map(|()| body))
    }

    /// Moves a file to the trash.
    pub(super) async fn delete(
        &self,
        head: &request::Parts,
        caller: &Caller,
        parameters: &Parameters,
    ) -> Result<Data, Refusal> {
        let login = self.log_in(head, caller, parameters).await?.may_write()?;
        let (account, number) = self.wanted(login.actor.account, parameters).await?;
        self.service
            .change_tree(
                move |tx, moment| match tree::find_in_tree(tx, account, number)? {
                    EntryRow::File(..) => trash::put(tx, account, number, moment),
                    EntryRow::Folder(..) => Err(CoreError::NoEntry),
                },
            )
            .await?;
        Ok(Data::Nothing {})
    }

    /// The number that `file_id` stands for.
    async fn wanted(
        &self,
        account: AccountId,
        parameters: &Parameters,
    ) -> Result<(AccountId, u64), Refusal> {
        let file_id = parameters.filled("file_id").ok_or(Refusal::NoFile)?;
        let found = self.names().await?.entry_of(file_id);
        found
            .filter(|(owner, _)| *owner == account)
            .ok_or(Refusal::NoFile)
    }

    /// A file that is not in the trash.
    async fn live_file(
        &self,
        account: AccountId,
        number: u64,
    ) -> Result<(FileNumber, FileRecord), Refusal> {
        let row = self
            .service
            .look(move |view| tree::find_in_tree(view, account, number))
            .await?;
        match row {
            EntryRow::File(number, file) => Ok((number, file)),
            EntryRow::Folder(..) => Err(Refusal::NoFile),
        }
    }

    /// The file that a link is of, and the second when it ends.
    async fn read_link(&self, link: &str) -> Result<Option<(AccountId, u64, u32)>, Refusal> {
        if link.len() != LINK_LEN || !link.is_ascii() {
            return Ok(None);
        }
        let (file_id, ends) = link.split_at(32);
        let groups = [0..8, 8..12, 12..16, 16..20, 20..32];
        let file_id = groups.map(|group| file_id.get(group).unwrap_or_default());
        let entry = self.names().await?.entry_of(&file_id.join("-"));
        let ends = u32::from_str_radix(ends, 16).ok();
        Ok(entry
            .zip(ends)
            .map(|((account, number), ends)| (account, number, ends)))
    }
}

/// The values of the cookie that permits a download.
fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .filter_map(|(name, value)| (name == COOKIE_NAME).then_some(value))
}
