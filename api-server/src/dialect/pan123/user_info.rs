//! `GET /api/v1/user/info`. Source: docs/api/pan123.md §2.3.

use serde::Serialize;

use super::Pan123;
use super::answer::Answer;
use super::refusal::Refusal;
use crate::backend::Blobs;
use crate::core::accounts;
use crate::core::catalog::Catalog;
use crate::service::Actor;

/// What stands for space without a limit if the cluster cannot be asked.
const UNKNOWN_SPACE: u64 = 1 << 50;

/// Clients check that all members are there.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Model {
    uid: u64,
    nickname: String,
    head_image: &'static str,
    passport: String,
    mail: String,
    space_used: u64,
    space_permanent: u64,
    space_temp: u64,
    space_temp_expr: u64,
    vip: bool,
    direct_traffic: u64,
    #[serde(rename = "isHideUID")]
    is_hide_uid: bool,
    https_count: u64,
    vip_info: Option<()>,
    developer_info: Option<()>,
}

impl<C: Catalog, B: Blobs> Pan123<C, B> {
    /// The user's account.
    pub(super) async fn user_info(&self, actor: &Actor) -> Result<Answer, Refusal> {
        let account = actor.account;
        let (record, holdings) = self
            .service
            .look(move |view| {
                let record = accounts::get(view, account)?;
                Ok((record, accounts::holdings(view, account)?))
            })
            .await?;
        let used = holdings.bytes.saturating_add(holdings.trash_bytes);
        let space = match holdings.quota {
            Some(quota) => quota,
            None => self.free_space().await.saturating_add(used),
        };
        Answer::of(&Model {
            uid: account.0,
            nickname: record.nick.to_string(),
            head_image: "",
            passport: record
                .phone
                .map_or_else(String::new, |phone| phone.to_string()),
            mail: record
                .email
                .map_or_else(String::new, |email| email.as_str().to_owned()),
            space_used: used,
            space_permanent: space,
            space_temp: 0,
            space_temp_expr: 0,
            vip: false,
            direct_traffic: 0,
            is_hide_uid: false,
            https_count: 0,
            vip_info: None,
            developer_info: None,
        })
    }

    /// Bytes that uploads may still take. A cluster that is away takes none now, but clients would not
    /// list or download either if this call failed.
    async fn free_space(&self) -> u64 {
        match self.service.blobs().cluster().await {
            Ok(cluster) => cluster
                .groups
                .iter()
                .map(|group| group.space_free.saturating_sub(group.space_reserved))
                .fold(0, u64::saturating_add),
            Err(_) => UNKNOWN_SPACE,
        }
    }
}
