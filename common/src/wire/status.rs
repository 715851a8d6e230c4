//! The status byte: Linux errno numbers.

use std::fmt;

/// Status of a response; 0 is success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Status(pub u8);

impl Status {
    /// Success.
    pub const OK: Self = Self(0);
    /// ENOENT: no such file, group, storage or metadata.
    pub const NOT_FOUND: Self = Self(2);
    /// EIO: the disk failed.
    pub const IO: Self = Self(5);
    /// EAGAIN: nobody can answer now.
    pub const AGAIN: Self = Self(11);
    /// EACCES: not for this peer.
    pub const ACCESS: Self = Self(13);
    /// EBUSY: in use, or a limit is reached.
    pub const BUSY: Self = Self(16);
    /// EEXIST: the name is taken.
    pub const EXISTS: Self = Self(17);
    /// EINVAL: malformed request.
    pub const INVALID: Self = Self(22);
    /// ENOSPC: free space is at or below what is reserved.
    pub const NO_SPACE: Self = Self(28);
    /// EROFS: the store path takes no writes.
    pub const READ_ONLY: Self = Self(30);
    /// EOPNOTSUPP: not in this configuration.
    pub const UNSUPPORTED: Self = Self(95);
    /// EALREADY: it is so already.
    pub const ALREADY: Self = Self(114);
    /// ECANCELED: given up because the peer asked for it.
    pub const CANCELED: Self = Self(125);

    /// Whether this is success.
    pub fn is_ok(self) -> bool {
        self == Self::OK
    }

    /// A short English text for people.
    pub fn text(self) -> &'static str {
        match self {
            Self::OK => "success",
            Self::NOT_FOUND => "not found",
            Self::IO => "input/output error on the server",
            Self::AGAIN => "temporarily unavailable",
            Self::ACCESS => "permission denied",
            Self::BUSY => "busy",
            Self::EXISTS => "already exists",
            Self::INVALID => "invalid request",
            Self::NO_SPACE => "no space left",
            Self::READ_ONLY => "read-only",
            Self::UNSUPPORTED => "not supported in this configuration",
            Self::ALREADY => "already done",
            Self::CANCELED => "given up as asked",
            _ => "unknown status",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (status {})", self.text(), self.0)
    }
}
