//! Members of a cluster that prove who they are, for tests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use common::id::NodeNumber;
use common::rpc::Connection;
use common::rpc::auth::{self, Credentials, Member, Purpose};
use common::secret::{Secret, Secrets};
use common::wire::report::NodeIdentity;
use tokio::net::{TcpListener, TcpStream};

use crate::format::Stamp;
use crate::replica::{CopySettings, Replica, Stamps};

pub(super) const DEADLINE: Duration = Duration::from_secs(20);

pub(super) fn credentials(identity: NodeIdentity) -> Credentials {
    let secret = Secret::try_from("the secret of these tests").unwrap();
    Credentials::new(identity, &Secrets::new(secret))
}

/// Node 1, which stores nothing.
pub(super) fn replica() -> Arc<Replica> {
    let number = NodeNumber::try_from(1).unwrap();
    let stamps = Stamps::new(1, Box::new(|| 5), Stamp::default());
    Replica::new(number, BTreeMap::new(), stamps, CopySettings::default())
}

/// Lets the next member in that connects to replicate.
pub(super) async fn accept(listener: &TcpListener, own: &Credentials) -> Member<TcpStream> {
    let (stream, _) = listener.accept().await.unwrap();
    let mut connection = Connection::new(stream, DEADLINE);
    let header = connection.header().await.unwrap().unwrap();
    let accepted = auth::accept(connection, &header, own, &[Purpose::Replicate], DEADLINE);
    accepted.await.unwrap()
}
