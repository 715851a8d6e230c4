//! The seam to how messages get to a peer.

use std::fmt::Debug;
use std::sync::Arc;

use common::id::NodeNumber;
use futures_util::future::BoxFuture;

use super::message::{Answer, MessageError, Parcel, Request};
use super::stamps::Stamps;

/// Why there is no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LinkError {
    /// No connection, or it ended: the request may have been carried out or not.
    #[error("the peer is out of reach: {0}")]
    Down(String),
    /// It took too long: the request may have been carried out or not.
    #[error("the peer did not answer in time")]
    Silent,
    /// The answer is malformed.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// The answer is none to this request.
    #[error("the peer gave an answer to another question")]
    Unexpected,
}

/// Takes requests to one peer and brings its answers. Requests overtake each other.
pub trait Link: Debug + Send + Sync + 'static {
    /// Sends a request and waits for its answer.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not take the request back.
    fn call(&self, request: Parcel) -> BoxFuture<'static, Result<Parcel, LinkError>>;

    /// Whether the peer answered lately.
    fn is_up(&self) -> bool;
}

/// Another node of the group.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its number.
    pub number: NodeNumber,
    /// The way to it.
    pub link: Arc<dyn Link>,
}

impl Peer {
    /// Asks the peer.
    pub(super) fn ask(
        &self,
        stamps: &Arc<Stamps>,
        request: &Request,
    ) -> BoxFuture<'static, Result<Answer, LinkError>> {
        let stamps = Arc::clone(stamps);
        let answer = self.link.call(request.encode(stamps.last()));
        Box::pin(async move {
            let (stamp, answer) = Answer::decode(answer.await?)?;
            stamps.see(stamp);
            Ok(answer)
        })
    }
}
