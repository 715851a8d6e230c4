//! `POST /api/reg`: makes an account. Source: docs/api/image-host.md §4.1.

use crate::backend::Blobs;
use crate::core::accounts::Profile;
use crate::core::catalog::Catalog;
use crate::core::name::NameError;
use crate::service::{Registration, Secret, Service};

use super::answer::Answer;
use super::json::Object;
use super::refusal::{Cause, Codes, Refusal};
use super::request::Request;

pub(super) const CODES: Codes = &[(Cause::NameTaken, 2)];

/// Makes an account.
pub(super) async fn answer<C: Catalog, B: Blobs>(
    service: &Service<C, B>,
    request: Request,
) -> Result<Answer, Refusal> {
    let registration = parse(&request.body)?;
    let address = request.caller.address();
    service.register(address, registration).await?;
    Ok(Answer::Done)
}

fn parse(body: &Object) -> Result<Registration, Refusal> {
    let secret = "firstPwd";
    Ok(Registration {
        user: required(body, "userName")?,
        secret: Secret::new(body.string(secret)?).ok_or(Refusal::Secret(secret))?,
        profile: Profile {
            nick: required(body, "nickName")?,
            email: optional(body, "email")?,
            phone: optional(body, "phone")?,
        },
    })
}

fn required<T>(body: &Object, field: &'static str) -> Result<T, Refusal>
where
    T: std::str::FromStr<Err = NameError>,
{
    let text = body.string(field)?;
    text.parse()
        .map_err(|source| Refusal::Text { field, source })
}

/// Front ends send fields that the user left blank as empty texts.
fn optional<T>(body: &Object, field: &'static str) -> Result<Option<T>, Refusal>
where
    T: std::str::FromStr<Err = NameError>,
{
    match body.string_if_any(field)? {
        None | Some("") => Ok(None),
        Some(_) => required(body, field).map(Some),
    }
}
