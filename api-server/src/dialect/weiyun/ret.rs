//! The return codes. Source: docs/api/weiyun.md §2.4.

/// Whose concern a refusal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blame {
    /// The client's: it sent what it should not.
    Request,
    /// The user's or the operator's: it is not allowed.
    Permission,
    /// Nobody's: what is there does not go with it.
    State,
    /// The server's: later it may work.
    Server,
}

/// What `ret` says.
///
/// The numbers are the document's and never change. Which refusal gives which, and which of them this
/// server never has a reason for, is the table of docs/api/weiyun.md §2.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub(super) enum Ret {
    /// No such call, or not with this method. Ours: the document has no number for it.
    NoSuchCall = -1,
    /// It was done.
    Ok = 0,
    /// Too much is under way; the same request may be sent again.
    Busy = 1013,
    /// What has no better number.
    Internal = 1014,
    /// The account has no place for files and could not be given one.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "documented, and never the case here")
    )]
    NotCreated = 1015,
    /// The account was locked or removed after the token was given out.
    NoUser = 1016,
    /// The folder was deleted in between.
    NoFolder = 1019,
    /// No such file. Ours: the document has no call that names a file.
    NoFile = 1020,
    /// The key was used and its file is complete.
    Complete = 1022,
    /// The upload is recorded, but no storage takes bytes now; apply again later to resume.
    NoAddress = 1023,
    /// The catalog cannot be read.
    Bitmap = 1025,
    /// The parent folder is unknown or somebody else's.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "documented, and never the case here")
    )]
    NoParent = 1026,
    /// The account has as many entries as it may have.
    TooMany = 1028,
    /// The file is larger than files may be.
    TooBig = 1029,
    /// The folder has an entry of this name.
    NameTaken = 1051,
    /// The account's space is used up.
    NoSpace = 1053,
    /// An unfinished upload of this name is of other bytes, or the bytes are not the announced ones.
    Changed = 1057,
    /// The account store failed.
    AccountStore = 1071,
    /// The account's record is damaged.
    AccountRecord = 1072,
    /// The operator does not want this file.
    Blacklisted = 1076,
    /// The operator has not admitted this account.
    NotAdmitted = 1078,
    /// The dialect itself failed.
    Access = 20008,
    /// No such application.
    NoApplication = 20014,
    /// A key, a signature, or an openid is wrong.
    Key = 20015,
    /// The query is too long.
    BufferTooShort = 30003,
    /// `sha` is no SHA-1.
    Sha = 100_003,
    /// `md5` is no MD5.
    Md5 = 100_004,
    /// The memory that uploads may take is used up.
    OutOfMemory = 100_006,
    /// A node did not answer.
    Link = 100_009,
    /// Tokens cannot be looked up yet.
    LoginNotReady = 100_013,
    /// The token is missing or not valid.
    Login = 100_014,
    /// `appid` is no number, or another one than the token's.
    AppId = 100_017,
    /// `upload_type` is none of the two.
    UploadType = 100_018,
    /// `pdirkey` is no folder's key.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "documented, and never the case here")
    )]
    Parent = 100_019,
}

impl Ret {
    /// All of them, in the order of their numbers.
    #[cfg(test)]
    pub(super) const ALL: [Self; 34] = [
        Self::NoSuchCall,
        Self::Ok,
        Self::Busy,
        Self::Internal,
        Self::NotCreated,
        Self::NoUser,
        Self::NoFolder,
        Self::NoFile,
        Self::Complete,
        Self::NoAddress,
        Self::Bitmap,
        Self::NoParent,
        Self::TooMany,
        Self::TooBig,
        Self::NameTaken,
        Self::NoSpace,
        Self::Changed,
        Self::AccountStore,
        Self::AccountRecord,
        Self::Blacklisted,
        Self::NotAdmitted,
        Self::Access,
        Self::NoApplication,
        Self::Key,
        Self::BufferTooShort,
        Self::Sha,
        Self::Md5,
        Self::OutOfMemory,
        Self::Link,
        Self::LoginNotReady,
        Self::Login,
        Self::AppId,
        Self::UploadType,
        Self::Parent,
    ];

    /// The number.
    pub(super) fn number(self) -> i32 {
        self as i32
    }

    /// Whose concern it is.
    pub(super) fn blame(self) -> Blame {
        match self {
            Self::NoSuchCall
            | Self::Internal
            | Self::TooBig
            | Self::BufferTooShort
            | Self::Sha
            | Self::Md5
            | Self::AppId
            | Self::UploadType
            | Self::Parent => Blame::Request,
            Self::NoUser
            | Self::Blacklisted
            | Self::NotAdmitted
            | Self::NoApplication
            | Self::Key
            | Self::Login => Blame::Permission,
            Self::NoFolder
            | Self::NoFile
            | Self::Complete
            | Self::NoParent
            | Self::TooMany
            | Self::NameTaken
            | Self::NoSpace
            | Self::Changed => Blame::State,
            Self::Ok
            | Self::Busy
            | Self::NotCreated
            | Self::NoAddress
            | Self::Bitmap
            | Self::AccountStore
            | Self::AccountRecord
            | Self::Access
            | Self::OutOfMemory
            | Self::Link
            | Self::LoginNotReady => Blame::Server,
        }
    }

    /// What `msg` says.
    pub(super) fn message(self) -> &'static str {
        match self {
            Self::NoSuchCall => "no such call",
            Self::Ok => "ok",
            Self::Busy => "storage is busy, send the request again",
            Self::Internal => "the request is malformed or could not be carried out",
            Self::NotCreated => "the user could not be created in storage",
            Self::NoUser => "the user does not exist",
            Self::NoFolder => "the folder does not exist",
            Self::NoFile => "the file does not exist",
            Self::Complete => "the file exists already",
            Self::NoAddress => "the upload is recorded, resume it later",
            Self::Bitmap => "the catalog cannot be read",
            Self::NoParent => "the parent folder does not exist",
            Self::TooMany => "the account has too many folders or files",
            Self::TooBig => "the file is too big",
            Self::NameTaken => "the folder has an entry of this name",
            Self::NoSpace => "the user's space is used up",
            Self::Changed => "the content is not that of the upload",
            Self::AccountStore => "the account store failed",
            Self::AccountRecord => "the account's record is damaged",
            Self::Blacklisted => "the file is not allowed",
            Self::NotAdmitted => "the user is not admitted",
            Self::Access => "the access service failed",
            Self::NoApplication => "the appid does not exist",
            Self::Key => "the key is wrong",
            Self::BufferTooShort => "the request is too long",
            Self::Sha => "the sha is invalid",
            Self::Md5 => "the md5 is invalid",
            Self::OutOfMemory => "the server is out of memory, send the request again",
            Self::Link => "a part of the server does not answer",
            Self::LoginNotReady => "logins cannot be checked yet",
            Self::Login => "the login check failed",
            Self::AppId => "the appid is invalid",
            Self::UploadType => "the upload type is invalid",
            Self::Parent => "the parent folder is invalid",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_document_and_two_of_ours() {
        let documented = [
            0, 1013, 1014, 1015, 1016, 1019, 1022, 1023, 1025, 1026, 1028, 1029, 1051, 1053, 1057,
            1071, 1072, 1076, 1078, 20008, 20014, 20015, 30003, 100_003, 100_004, 100_006, 100_009,
            100_013, 100_014, 100_017, 100_018, 100_019,
        ];
        let mut expected = vec![-1, 1020];
        expected.extend(documented);
        expected.sort_unstable();
        assert_eq!(Ret::ALL.map(Ret::number).to_vec(), expected);
    }

    #[test]
    fn every_number_says_something_else() {
        let mut messages = Ret::ALL.map(Ret::message).to_vec();
        messages.sort_unstable();
        messages.dedup();
        assert_eq!(messages.len(), Ret::ALL.len());
    }
}
