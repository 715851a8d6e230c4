//! Applications: credentials for the 123pan and Weiyun calls. Users make their own, and the operator
//! makes some for others.

use common::web::server::RequestBody;

use super::account::text;
use super::answer::Answer;
use super::call::AppCall;
use super::model::{self, Scope};
use super::refusal::Refusal;
use super::who::Administrator;
use super::{Console, read};
use crate::backend::Blobs;
use crate::core::accounts;
use crate::core::apps::{self, AppRecord, Scopes};
use crate::core::catalog::Catalog;
use crate::core::error::CoreError;
use crate::core::id::{AccountId, AppNumber};
use crate::core::name::{NickName, UserName};

impl<C: Catalog, B: Blobs> Console<C, B> {
    /// A call on the applications of an account.
    pub(super) async fn on_apps(
        &self,
        account: AccountId,
        call: AppCall,
        body: RequestBody,
    ) -> Result<Answer, Refusal> {
        match call {
            AppCall::List => self.apps(account).await,
            AppCall::Add => self.add_app(account, read(body).await?).await,
            AppCall::Remove(app) => self.remove_app(account, app).await,
        }
    }

    /// The account of a name, for the operator and nobody else.
    pub(super) async fn account_for_operator(
        &self,
        who: &Administrator,
        user: UserName,
    ) -> Result<AccountId, Refusal> {
        match who {
            Administrator::User(_) => Err(Refusal::Forbidden),
            Administrator::Operator => {
                let found = self
                    .service
                    .look(move |view| accounts::find(view, &user))
                    .await?;
                let (account, _) = found.ok_or(Refusal::Service(CoreError::NoAccount.into()))?;
                Ok(account)
            }
        }
    }

    /// `GET apps`.
    async fn apps(&self, account: AccountId) -> Result<Answer, Refusal> {
        let apps = self
            .service
            .look(move |view| apps::of_account(view, account))
            .await?;
        Answer::of(&model::Apps {
            apps: apps
                .iter()
                .map(|(number, record)| app(*number, record))
                .collect(),
        })
    }

    /// `POST apps`.
    async fn add_app(&self, account: AccountId, wanted: model::AddApp) -> Result<Answer, Refusal> {
        let name: NickName = text("name", &wanted.name)?;
        let scopes = Scopes {
            read: wanted.scopes.contains(&Scope::Read),
            write: wanted.scopes.contains(&Scope::Write),
        };
        if !scopes.read && !scopes.write {
            return Err(Refusal::Value("scopes"));
        }
        let made = self.service.create_app(account, name.clone(), scopes);
        let (number, secret) = made.await?;
        Answer::of(&model::NewApp {
            id: number.to_string(),
            secret: secret.0.into(),
            name: name.to_string(),
            scopes: scope_list(scopes),
        })
    }

    /// `DELETE apps/{id}`.
    async fn remove_app(&self, account: AccountId, app: AppNumber) -> Result<Answer, Refusal> {
        self.service
            .change(move |tx, _| apps::remove(tx, account, app))
            .await?;
        Ok(Answer::Done)
    }
}

fn app(number: AppNumber, record: &AppRecord) -> model::App {
    model::App {
        id: number.to_string(),
        name: record.name.to_string(),
        scopes: scope_list(record.scopes),
        created: record.created,
        used: (record.used != 0).then_some(record.used),
    }
}

fn scope_list(scopes: Scopes) -> Vec<Scope> {
    let all = [(scopes.read, Scope::Read), (scopes.write, Scope::Write)];
    all.iter()
        .filter(|(has, _)| *has)
        .map(|(_, scope)| *scope)
        .collect()
}
