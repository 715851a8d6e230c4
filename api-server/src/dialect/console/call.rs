//! From method and path to the call that is meant.

use http::Method;
use percent_encoding::percent_decode_str;

use super::refusal::Refusal;
use crate::core::id::{AppNumber, FileNumber, FolderNumber, UploadId};
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
    /// A call on folders and what is in them.
    Tree(TreeCall),
    /// A call on uploads.
    Upload(UploadCall),
    /// The user's applications.
    App(AppCall),
}

/// A call on folders and what is in them, and on the trash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TreeCall {
    /// A part of a folder.
    Folder(FolderNumber),
    /// Makes a folder.
    MakeFolder,
    /// Gives an entry another name.
    Rename,
    /// Moves entries to a folder.
    Move,
    /// Puts entries into the trash.
    Discard,
    /// What is in the trash.
    Trash,
    /// Takes entries out of the trash.
    Restore,
    /// Deletes entries of the trash for good.
    Purge,
    /// Deletes everything in the trash for good.
    EmptyTrash,
}

/// A call on the applications of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AppCall {
    /// All of them.
    List,
    /// Makes one.
    Add,
    /// Removes one.
    Remove(AppNumber),
}

/// A call on uploads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum UploadCall {
    /// Those under way.
    List,
    /// Begins one.
    Begin,
    /// What is there of one.
    Show(UploadId),
    /// Gives one up.
    GiveUp(UploadId),
    /// Takes a slice of one.
    Slice(UploadId, u64),
    /// Makes one a file.
    Complete(UploadId),
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
    /// Promotes, demotes, disables, enables, limits.
    ChangeAccount(UserName),
    /// Gives an account another password.
    SetPassword(UserName),
    /// The applications of an account. For the operator only: an application acts for its account, and
    /// nobody would see that it is not the user who does.
    App(UserName, AppCall),
}

impl Call {
    /// The call of a request.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotFound`] for a path that is none, [`Refusal::Method`] for a method that it lacks.
    pub(super) fn of(method: &Method, path: &str) -> Result<Self, Refusal> {
        let path = path.strip_prefix(PREFIX).ok_or(Refusal::NotFound)?;
        let segments: Vec<&str> = path.splitn(6, '/').collect();
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
                Self::User(UserCall::RemoveFile(FileNumber(number(id)?))),
            )],
            ["folders"] => vec![(Method::POST, tree(TreeCall::MakeFolder))],
            ["folders", id] => {
                let folder = FolderNumber(number(id)?);
                vec![(Method::GET, tree(TreeCall::Folder(folder)))]
            }
            ["entries", "rename"] => vec![(Method::POST, tree(TreeCall::Rename))],
            ["entries", "move"] => vec![(Method::POST, tree(TreeCall::Move))],
            ["entries", "trash"] => vec![(Method::POST, tree(TreeCall::Discard))],
            ["trash"] => vec![
                (Method::GET, tree(TreeCall::Trash)),
                (Method::DELETE, tree(TreeCall::EmptyTrash)),
            ],
            ["trash", "restore"] => vec![(Method::POST, tree(TreeCall::Restore))],
            ["trash", "purge"] => vec![(Method::POST, tree(TreeCall::Purge))],
            ["uploads"] => vec![
                (Method::GET, upload(UploadCall::List)),
                (Method::POST, upload(UploadCall::Begin)),
            ],
            ["uploads", id] => {
                let id = upload_id(id)?;
                vec![
                    (Method::GET, upload(UploadCall::Show(id))),
                    (Method::DELETE, upload(UploadCall::GiveUp(id))),
                ]
            }
            ["uploads", id, "slices", slice] => {
                let call = UploadCall::Slice(upload_id(id)?, number(slice)?);
                vec![(Method::PUT, upload(call))]
            }
            ["uploads", id, "complete"] => {
                let call = UploadCall::Complete(upload_id(id)?);
                vec![(Method::POST, upload(call))]
            }
            ["apps"] => vec![
                (Method::GET, app(AppCall::List)),
                (Method::POST, app(AppCall::Add)),
            ],
            ["apps", id] => {
                let call = AppCall::Remove(AppNumber(number(id)?));
                vec![(Method::DELETE, app(call))]
            }
            ["shares"] => vec![(Method::GET, Self::Shares)],
            ["pictures"] => vec![(Method::GET, Self::User(UserCall::Pictures))],
            ["admin", "overview"] => vec![(Method::GET, Self::Admin(AdminCall::Overview))],
            ["admin", "accounts"] => vec![
                (Method::GET, Self::Admin(AdminCall::Accounts)),
                (Method::POST, Self::Admin(AdminCall::AddAccount)),
            ],
            ["admin", "accounts", user] => {
                let call = AdminCall::ChangeAccount(user_name(user)?);
                vec![(Method::POST, Self::Admin(call))]
            }
            ["admin", "accounts", user, "password"] => {
                let call = AdminCall::SetPassword(user_name(user)?);
                vec![(Method::POST, Self::Admin(call))]
            }
            ["admin", "accounts", user, "apps"] => {
                let user = user_name(user)?;
                let list = AdminCall::App(user.clone(), AppCall::List);
                let add = AdminCall::App(user, AppCall::Add);
                vec![
                    (Method::GET, Self::Admin(list)),
                    (Method::POST, Self::Admin(add)),
                ]
            }
            ["admin", "accounts", user, "apps", id] => {
                let call = AppCall::Remove(AppNumber(number(id)?));
                let call = AdminCall::App(user_name(user)?, call);
                vec![(Method::DELETE, Self::Admin(call))]
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

fn tree(call: TreeCall) -> Call {
    Call::User(UserCall::Tree(call))
}

fn app(call: AppCall) -> Call {
    Call::User(UserCall::App(call))
}

fn upload(call: UploadCall) -> Call {
    Call::User(UserCall::Upload(call))
}

/// The number of an id. What cannot be one is the id of nothing.
pub(super) fn number(id: &str) -> Result<u64, Refusal> {
    // `parse` would take a plus sign, and one thing has one id.
    if !id.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Refusal::NotFound);
    }
    id.parse().map_err(|_| Refusal::NotFound)
}

/// The upload of an id.
fn upload_id(id: &str) -> Result<UploadId, Refusal> {
    id.parse().map_err(|_| Refusal::NotFound)
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
        assert_eq!(
            of("/console/api/folders/0"),
            tree(TreeCall::Folder(FolderNumber::ROOT))
        );
        let id = "0b".repeat(UploadId::LEN);
        assert_eq!(
            call(&Method::PUT, &format!("/console/api/uploads/{id}/slices/3")),
            Ok(upload(UploadCall::Slice(UploadId([11; UploadId::LEN]), 3)))
        );
        let user = "张/三".parse().unwrap();
        assert_eq!(
            call(
                &Method::POST,
                "/console/api/admin/accounts/%E5%BC%A0%2F%E4%B8%89"
            ),
            Ok(Call::Admin(AdminCall::ChangeAccount(user)))
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
            "/console/api/folders/",
            "/console/api/folders/a",
            "/console/api/entries",
            "/console/api/uploads/1",
            "/console/api/uploads/00000000000000000000000000000000/slices/x",
            "/console/api/apps/x",
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
