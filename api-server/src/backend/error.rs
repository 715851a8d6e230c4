//! Why storage did not do what it was asked.

use std::time::Duration;

use common::client::ClientError;
use common::code::ErrorCode;
use common::web::source::SourceError;
use common::wire::Command;

/// Why storage did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BlobsError {
    /// A server refused, or none was reached.
    #[error(transparent)]
    Cluster(ClientError),
    /// Nothing came in time.
    #[error("no answer from the cluster within {0:?}")]
    Late(Duration),
    /// It was asked for, and nobody said whether it was done.
    #[error("whether the change was made is not known")]
    Uncertain(#[source] Box<Self>),
    /// The tracker does not know who must be asked.
    #[error("the tracker does not know the node that stored the blob")]
    SourceUnknown,
    /// A test wanted it.
    #[cfg(any(test, feature = "testing"))]
    #[error("a failure that a test asked for")]
    Wanted(ErrorCode),
    /// A double of storage refused, as storage would have.
    #[cfg(any(test, feature = "testing"))]
    #[error("refused by the double of storage")]
    Double(ErrorCode),
}

impl BlobsError {
    /// The classification that all of Hayloft shares.
    ///
    /// "Not found" is said only when nodes said so. A tracker says it also while a group's nodes have
    /// not reported yet, and a node that breaks off has said nothing.
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            Self::Cluster(error) => {
                let code = error.code();
                let nobody_said_no = code == ErrorCode::Interrupted
                    || (code == ErrorCode::NotFound && is_by_tracker(error));
                if nobody_said_no {
                    ErrorCode::Unavailable
                } else {
                    code
                }
            }
            Self::Late(_) => ErrorCode::Busy,
            Self::Uncertain(_) => ErrorCode::Interrupted,
            Self::SourceUnknown => ErrorCode::Unavailable,
            #[cfg(any(test, feature = "testing"))]
            Self::Wanted(code) | Self::Double(code) => *code,
        }
    }

    /// The same for a change that was asked for: unless a server refused, it may have been made.
    pub(super) fn of_change(self) -> Self {
        let is_open = match &self {
            Self::Cluster(error) => error.status().is_none() && !is_before_sending(error),
            Self::Late(_) => true,
            Self::Uncertain(_) | Self::SourceUnknown => false,
            #[cfg(any(test, feature = "testing"))]
            Self::Wanted(_) | Self::Double(_) => false,
        };
        if is_open {
            Self::Uncertain(Box::new(self))
        } else {
            self
        }
    }
}

/// Whether a tracker answered, which knows nodes and no blobs.
fn is_by_tracker(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::Refused {
            command: Command::QueryFetchOne
                | Command::QueryFetchAll
                | Command::QueryUpdate
                | Command::QueryStoreAnyOne
                | Command::ListStorages,
            ..
        }
    )
}

/// Whether no request can have reached a node.
fn is_before_sending(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::Connect { .. }
            | ClientError::ConnectTimeout { .. }
            | ClientError::Trackers { .. }
            | ClientError::NoTracker
            | ClientError::Closed
    )
}

impl From<BlobsError> for SourceError {
    fn from(error: BlobsError) -> Self {
        Self::new(error.code(), error)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use common::client::{Address, Phase};
    use common::rpc::ConnectionError;
    use common::wire::Status;

    use super::*;

    fn refused(command: Command, status: Status) -> BlobsError {
        BlobsError::Cluster(ClientError::Refused {
            address: Address::new("h", 1),
            command,
            status,
        })
    }

    #[test]
    fn a_tracker_that_does_not_know_has_not_said_that_a_blob_is_missing() {
        for command in [Command::QueryUpdate, Command::ListStorages] {
            let error = refused(command, Status::NOT_FOUND);
            assert_eq!(error.code(), ErrorCode::Unavailable, "{command:?}");
        }
        let error = refused(Command::Delete, Status::NOT_FOUND);
        assert_eq!(error.code(), ErrorCode::NotFound);
    }

    #[test]
    fn a_change_whose_answer_is_lost_is_uncertain_and_a_refused_one_is_not() {
        let address = Address::new("h", 1);
        let lost = BlobsError::Cluster(ClientError::Connection {
            address: address.clone(),
            phase: Phase::Answer,
            source: ConnectionError::Closed,
        });
        let late = BlobsError::Late(Duration::from_secs(1));
        for error in [lost, late] {
            let error = error.of_change();
            assert!(matches!(error, BlobsError::Uncertain(_)), "{error:?}");
            assert!(!error.code().has_no_side_effects());
        }
        let away = BlobsError::Cluster(ClientError::Connect {
            address,
            source: io::ErrorKind::ConnectionRefused.into(),
        });
        for error in [away, refused(Command::CommitUpload, Status::NO_SPACE)] {
            let error = error.of_change();
            assert!(matches!(error, BlobsError::Cluster(_)), "{error:?}");
            assert!(error.code().has_no_side_effects());
        }
    }
}
