//! The user's applications: credentials for the 123pan and Weiyun calls.

use super::Console;
use super::account::text;
use super::answer::Answer;
use super::model::{self, Scope};
use super::refusal::Refusal;
use super::who::User;
use crate::backend::Blobs;
use crate::core::apps::{self, AppRecord, Scopes};
use crate::core::catalog::Catalog;
use crate::core::id::AppNumber;
use crate::core::name::NickName;

impl<C: Catalog, B: Blobs> Console<C, B> {
    /// `GET apps`.
    pub(super) async fn apps(&self, user: &User) -> Result<Answer, Refusal> {
        let account = user.actor.account;
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
    pub(super) async fn add_app(
        &self,
        user: &User,
        wanted: model::AddApp,
    ) -> Result<Answer, Refusal> {
        let name: NickName = text("name", &wanted.name)?;
        let scopes = Scopes {
            read: wanted.scopes.contains(&Scope::Read),
            write: wanted.scopes.contains(&Scope::Write),
        };
        if !scopes.read && !scopes.write {
            return Err(Refusal::Value("scopes"));
        }
        let made = self
            .service
            .create_app(user.actor.account, name.clone(), scopes);
        let (number, secret) = made.await?;
        Answer::of(&model::NewApp {
            id: number.to_string(),
            secret: secret.0.into(),
            name: name.to_string(),
            scopes: scope_list(scopes),
        })
    }

    /// `DELETE apps/{id}`.
    pub(super) async fn remove_app(&self, user: &User, app: AppNumber) -> Result<Answer, Refusal> {
        let account = user.actor.account;
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
