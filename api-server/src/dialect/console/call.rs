//! From method and path to the call that is meant.

use http::Method;
use percent_encoding::percent_decode_str;

use super::refusal::Refusal;
use crate::core::id::FileNumber;
use crate::core::name::UserName;

/// What all paths begin with.
const PREFIX: &str = "/console/api/";

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// What everybody may know of the server.
    Server,
    /// What everybody shares.
    Shares,
    /// A call of a user.
    User(UserCall),
    /// A call for administrators.
    Admin(AdminCall),
}

/// A call of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum UserCall {
    /// The user's account.
    Me,
    /// Changes what the user says about oneself.
    SetMe,
    /// Changes the password.
    Password,
    /// The user's sessions.
    Sessions,
    /// Ends one of them.
    EndSession(String),
    /// Ends the session that the call is made with.
    LogOut,
    /// Exchanges the token.
    Renew,
    /// The user's files, a part of the list or what a search finds.
    Files,
    /// Deletes one of them.
    RemoveFile(FileNumber),
    /// The user's picture shares.
    Pictures,
}

/// A call for administrators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AdminCall {
    /// Sums, and the state of the cluster.
    Overview,
    /// All accounts.
    Accounts,
    /// Makes an account.
    AddAccount,
    /// Promotes, demotes, disables, enables.
    SetStanding(UserName),
    /// Gives an account another password.
    SetPassword(UserName),
}

impl Call {
    /// The call of a request.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotFound`] for a path that is none, [`Refusal::Method`] for a method that it lacks.
    pub(super) fn of(method: &Method, path: &str) -> Result<Self, Refusal> {
        let path = path.strip_prefix(PREFIX).ok_or(Refusal::NotFound)?;
        let segments: Vec<&str> = path.splitn(5, '/').collect();
        // Each path with the methods that it has.
        let calls: &[(Method, Self)] = &match *segments {
            ["server"] => vec![(Method::GET, Self::Server)],
            ["me"] => vec![
                (Method::GET, Self::User(UserCall::Me)),
                (Method::PUT, Self::User(UserCall::SetMe)),
            ],
            ["password"] => vec![(Method::POST, Self::User(UserCall::Password))],
            ["sessions"] => vec![(Method::GET, Self::User(UserCall::Sessions))],
            ["sessions", id] => vec![(
                Method::DELETE,
                Self::User(UserCall::EndSession(id.to_owned())),
            )],
            ["session"] => vec![(Method::DELETE, Self::User(UserCall::LogOut))],
            ["renew"] => vec![(Method::POST, Self::User(UserCall::Renew))],
            ["files"] => vec![(Method::GET, Self::User(UserCall::Files))],
            ["files", id] => vec![(
                Method::DELETE,
                Self::User(UserCall::RemoveFile(file_number(id)?)),
            )],
            ["shares"] => vec![(Method::GET, Self::Shares)],
            ["pictures"] => vec![(Method::GET, Self::User(UserCall::Pictures))],
            ["admin", "overview"] => vec![(Method::GET, Self::Admin(AdminCall::Overview))],
            ["admin", "accounts"] => vec![
                (Method::GET, Self::Admin(AdminCall::Accounts)),
                (Method::POST, Self::Admin(AdminCall::AddAccount)),
            ],
            ["admin", "accounts", user] => {
                let call = AdminCall::SetStanding(user_name(user)?);
                vec![(Method::POST, Self::Admin(call))]
            }
            ["admin", "accounts", user, "password"] => {
                let call = AdminCall::SetPassword(user_name(user)?);
                vec![(Method::POST, Self::Admin(call))]
            }
            _ => return Err(Refusal::NotFound),
        };
        if let Some((_, call)) = calls.iter().find(|(known, _)| known == method) {
            return Ok(call.clone());
        }
        let methods: Vec<&str> = calls.iter().map(|(known, _)| known.as_str()).collect();
        Err(Refusal::Method {
            allowed: methods.join(", "),
        })
    }
}

/// The file of an id. What cannot be one is the id of no file.
fn file_number(id: &str) -> Result<FileNumber, Refusal> {
    // `parse` would take a plus sign, and one file has one id.
    if !id.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Refusal::NotFound);
    }
    id.parse().map(FileNumber).map_err(|_| Refusal::NotFound)
}

/// The name in a segment of a path. What cannot be one is the name of nobody.
fn user_name(segment: &str) -> Result<UserName, Refusal> {
    let name = percent_decode_str(segment).decode_utf8();
    let name = name.map_err(|_| Refusal::NotFound)?;
    name.parse().map_err(|_| Refusal::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(method: &Method, path: &str) -> Result<Call, String> {
        Call::of(method, path).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn a_path_and_a_method_are_a_call() {
        let of = |path| call(&Method::GET, path).unwrap();
        assert_eq!(of("/console/api/server"), Call::Server);
        assert_eq!(of("/console/api/me"), Call::User(UserCall::Me));
        assert_eq!(
            call(&Method::PUT, "/console/api/me"),
            Ok(Call::User(UserCall::SetMe))
        );
        assert_eq!(
            call(&Method::DELETE, "/console/api/files/17"),
            Ok(Call::User(UserCall::RemoveFile(FileNumber(17))))
        );
        let user = "张/三".parse().unwrap();
        assert_eq!(
            call(
                &Method::POST,
                "/console/api/admin/accounts/%E5%BC%A0%2F%E4%B8%89"
            ),
            Ok(Call::Admin(AdminCall::SetStanding(user)))
        );
    }

    #[test]
    fn other_paths_are_not_there_and_other_methods_are_named() {
        for path in [
            "/console/api",
            "/console/api/",
            "/console/api/me/",
            "/console/api/files/",
            "/console/api/files/+1",
            "/console/api/files/-1",
            "/console/api/files/18446744073709551616",
            "/console/api/admin",
            "/console/api/admin/accounts/%ff",
            "/console/api/admin/accounts/",
            "/console/api/admin/accounts/a/password/b",
        ] {
            assert!(
                matches!(Call::of(&Method::GET, path), Err(Refusal::NotFound)),
                "{path}"
            );
        }
        let refused = Call::of(&Method::DELETE, "/console/api/me");
        assert!(matches!(refused, Err(Refusal::Method { allowed }) if allowed == "GET, PUT"));
    }
}
