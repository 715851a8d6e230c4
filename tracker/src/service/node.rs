//! What nodes and other trackers ask.

use bytes::BytesMut;
use common::rpc::auth::Purpose;
use common::wire::report::{
    HelloAnswer, JoinAnswer, NodeJoin, NodeReport, REPORT_VERSION, ReportError, TrackerHello,
    version_of,
};
use common::wire::{Status, encode_empty};
use tracing::{debug, error, info, warn};

use super::{Service, put_answer};

impl Service {
    pub(super) async fn node_join(
        &mut self,
        body: &[u8],
        out: &mut BytesMut,
    ) -> Result<(), Status> {
        let member = self.member_for(Purpose::Report)?;
        let join = match NodeJoin::decode(body) {
            Ok(join) => join,
            Err(ReportError::TooNew { theirs }) => {
                warn!(
                    peer = %self.peer, theirs, known = REPORT_VERSION,
                    "a node speaks a later version; remedy: upgrade the trackers first"
                );
                let known = REPORT_VERSION;
                put_answer(out, |body| JoinAnswer::VersionTooNew { known }.encode(body));
                return Ok(());
            }
            Err(ReportError::Malformed(error)) => {
                warn!(peer = %self.peer, %error, "malformed join");
                return Err(Status::INVALID);
            }
        };
        if join.identity != member.peer() {
            warn!(
                peer = %self.peer, number = %join.number,
                "a node joins with another identity than it proved; it is defective or meddled with"
            );
            return Err(Status::ACCESS);
        }
        // A node that joins again on its connection begins anew.
        self.end_session();
        let (number, group) = (join.number, join.group);
        let (joined, generation) = {
            let mut cluster = self.shared.cluster();
            let joined = cluster.join(&join, self.peer.ip(), self.shared.now());
            (joined, cluster.generation())
        };
        let answer = match joined {
            Ok(joined) => {
                self.session = Some(joined.session);
                if let Some(from) = joined.moved_from {
                    info!(%number, %group, %from, to = %joined.address, "node moved");
                    if joined.replaced_live_session {
                        warn!(
                            %number, %group, %from, to = %joined.address,
                            "the node was in service at its old address a moment ago; \
                             remedy: if its data directory was copied, stop one of the two"
                        );
                    }
                }
                info!(%number, %group, address = %joined.address, "node joined");
                // It serves even if that fails: nodes bring their numbers along, so what is at stake
                // is only that a number is refused to another while this one is away.
                if !self.shared.persistence.stored(generation).await {
                    warn!(%number, "node joined but its registration is not stored yet");
                }
                JoinAnswer::Accepted {
                    address: joined.address,
                }
            }
            Err(refusal) => {
                error!(
                    %number, %group, peer = %self.peer, %refusal,
                    "node refused; remedy: give it a node number and group of its own, or, if the \
                     node that has the number is gone for good, give the number free: \
                     hayloft cluster remove {number} --release-number"
                );
                refusal.answer(version_of(body))
            }
        };
        put_answer(out, |body| answer.encode(body));
        Ok(())
    }

    pub(super) fn node_report(&mut self, body: &[u8], out: &mut BytesMut) -> Result<(), Status> {
        self.member_for(Purpose::Report)?;
        let session = self.session.ok_or(Status::ACCESS)?;
        let report = NodeReport::decode(body).map_err(|error| {
            warn!(peer = %self.peer, %error, "malformed report");
            Status::INVALID
        })?;
        let now = self.shared.now();
        let known = report.view;
        let (taken, answer) = {
            let mut cluster = self.shared.cluster();
            let taken = cluster.report(session, report, now);
            (taken, cluster.members_answer(session, known, now))
        };
        match taken {
            Ok(change) => {
                if change.is_news() {
                    self.shared.node_changed.notify_waiters();
                    info!(
                        number = %session.number(),
                        from = change.from.text(), to = change.to.text(),
                        "node changed its state"
                    );
                }
                if version_of(body) < 2 {
                    // Its layout has no answer.
                    encode_empty(out);
                } else {
                    put_answer(out, |body| answer.encode(body));
                }
                Ok(())
            }
            Err(error) => {
                debug!(peer = %self.peer, %error, "report refused");
                self.session = None;
                Err(Status::ACCESS)
            }
        }
    }

    pub(super) fn tracker_hello(&mut self, body: &[u8], out: &mut BytesMut) -> Result<(), Status> {
        self.member_for(Purpose::Hello)?;
        // Any greeting gets an answer in our version: the other side judges whether it understands.
        let hello = match TrackerHello::decode(body) {
            Ok(hello) => hello,
            Err(ReportError::TooNew { .. }) => TrackerHello::default(),
            Err(ReportError::Malformed(_)) => return Err(Status::INVALID),
        };
        let shared = &self.shared;
        // A position that another instance gave says nothing about this one's changes.
        let known = Some(hello.position).filter(|_| hello.told_by == shared.peers.instance);
        shared.peers.greeted(hello.instance, hello.changes, known);
        let (entries, position) = shared.cluster().changes_for(hello.told_by, hello.position);
        let answer = HelloAnswer {
            instance: shared.peers.instance,
            yours: self.peer.ip().to_canonical(),
            started: shared.started,
            connections: shared.metrics.connections(shared.connections_max),
            software: shared.software,
            position,
            entries,
        };
        let version = version_of(body);
        put_answer(out, |body| answer.encode_as(version, body));
        Ok(())
    }

    /// Takes the node of this connection out of service.
    pub(super) fn end_session(&mut self) {
        let Some(session) = self.session.take() else {
            return;
        };
        if self.shared.cluster().leave(session) {
            warn!(number = %session.number(), peer = %self.peer, "node left");
        }
    }
}
