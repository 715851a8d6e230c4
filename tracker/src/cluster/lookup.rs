//! Where to read and where to change. Source: docs/wire.md, choosing a node for reading.
//!
//! The tracker knows no blobs, only what names say: who made the blob and when. A node that told how
//! far it is complete is preferred over one that did not; when nobody qualifies, any node in service
//! is named, because a node answers for its whole group. A node counts for a volume path only while
//! it holds everything there: one that rebuilds a disk serves its other disks meanwhile.

use common::id::{BlobKind, GroupName, RemoteName, Source};
use common::wire::AddressWidth;

use super::placement::next_after;
use super::{Cluster, Endpoint, Group, Node};

impl Cluster {
    /// One node that can be expected to have the blob: its source, else the next complete one, else
    /// the next one in service.
    pub fn fetch_one(
        &mut self,
        group: &GroupName,
        name: &RemoteName,
        width: AddressWidth,
    ) -> Option<Endpoint> {
        let group = self.groups.get_mut(group)?;
        let path = name.volume_path();
        let is_readable = |node: &Node| node.is_readable_at(path) && node.fits(width);
        let answers = |node: &Node| node.answers_reads() && node.fits(width);
        if let Some(source) = group.source(name).filter(|node| is_readable(node)) {
            return Some(source.endpoint());
        }
        let start = group.next_reader.checked_rem(group.nodes().len())?;
        let nodes = group.nodes_slice();
        let idx = next_after(nodes, start, |node| {
            is_readable(node) && is_complete(node, name)
        })
        .or_else(|| next_after(nodes, start, is_readable))
        .or_else(|| next_after(nodes, start, answers))?;
        group.next_reader = idx + 1;
        Some(group.nodes_slice().get(idx)?.endpoint())
    }

    /// All nodes that can be expected to have the blob, its source first. Never an empty list.
    pub fn fetch_all(
        &self,
        group: &GroupName,
        name: &RemoteName,
        width: AddressWidth,
    ) -> Option<Vec<Endpoint>> {
        let group = self.groups.get(group)?;
        let path = name.volume_path();
        let is_readable = |node: &&Node| node.is_readable_at(path) && node.fits(width);
        let source = group.source(name).filter(is_readable);
        let mut endpoints = Vec::with_capacity(group.readable_count());
        endpoints.extend(source.map(Node::endpoint));
        // Changes of appenders and slaves come after the time in the name, so only the source is
        // known to have them.
        let follows_source = matches!(name.kind(), BlobKind::Appender | BlobKind::Slave);
        if source.is_none() || !follows_source {
            let source = source.map(|node| node.entry().number);
            let readable = group.nodes().filter(is_readable);
            let complete = readable.filter(|node| is_complete(node, name));
            let others = complete.filter(|node| Some(node.entry().number) != source);
            endpoints.extend(others.map(Node::endpoint));
        }
        if endpoints.is_empty() {
            let readable = group.nodes().filter(is_readable);
            endpoints.extend(readable.map(Node::endpoint));
        }
        if endpoints.is_empty() {
            let answers = |node: &&Node| node.answers_reads() && node.fits(width);
            endpoints.extend(group.nodes().filter(answers).map(Node::endpoint));
        }
        (!endpoints.is_empty()).then_some(endpoints)
    }

    /// The node that changes shall be sent to: the source, else the next one that takes writes.
    /// Space does not matter: deleting needs next to none.
    pub fn update(
        &mut self,
        group: &GroupName,
        name: &RemoteName,
        width: AddressWidth,
    ) -> Option<Endpoint> {
        let group = self.groups.get_mut(group)?;
        let path = name.volume_path();
        let is_writable = |node: &Node| node.is_changeable_at(path) && node.fits(width);
        if let Some(source) = group.source(name).filter(|node| is_writable(node)) {
            return Some(source.endpoint());
        }
        let start = group.next_reader.checked_rem(group.nodes().len())?;
        let idx = next_after(group.nodes_slice(), start, is_writable)?;
        group.next_reader = idx + 1;
        Some(group.nodes_slice().get(idx)?.endpoint())
    }
}

impl Group {
    /// The node that accepted the upload. An address in a name that an original server made is only
    /// compared with those of known nodes: no name sends anyone to an address.
    fn source(&self, name: &RemoteName) -> Option<&Node> {
        match name.stem().source {
            Source::Node(number) => self.node(number),
            Source::Address(address) => self
                .nodes()
                .find(|node| node.entry().place.address == address),
        }
    }
}

fn is_complete(node: &Node, name: &RemoteName) -> bool {
    node.is_complete_at(name.stem().time)
}
