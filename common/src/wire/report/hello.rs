//! How trackers greet one another, and pull what the other knows.
//!
//! A greeting names how far the asker has followed the other's list of changes. The answer carries
//! what changed since, oldest first, at most [`crate::limits::TRACKER_ENTRIES_MAX`] entries at a
//! time; an asker that gets some asks again at once. A position is worth something only to the
//! instance that gave it, so after a restart everything is told again.
//!
//! A greeting also says how far the list of the asker goes, so that the other one knows at once that
//! there is something to ask for.

use std::net::IpAddr;

use bytes::BytesMut;

use super::entries::{entries, put_entries};
use super::{
    Entry, REPORT_VERSION, ReportError, SOFTWARE_LEN, WITH_MEMBERS, address, connections,
    put_connections, put_optional_address, software, spoken, version_of, versioned,
};
use crate::codec::{Reader, Writer};
use crate::wire::VersionText;
use crate::wire::tracker::Connections;

/// Body of command 162: a tracker greets another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrackerHello {
    /// Drawn at its start; a tracker that meets its own recognises itself in its list of peers.
    pub instance: u64,
    /// The instance that gave `position`; 0 for none.
    pub told_by: u64,
    /// How far the other's changes were followed.
    pub position: u64,
    /// How far the asker's own changes go.
    pub changes: u64,
}

/// Answer to a [`TrackerHello`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelloAnswer {
    /// Drawn at the start of the answering tracker.
    pub instance: u64,
    /// The address that the greeting came from.
    pub yours: IpAddr,
    /// Unix seconds of its start.
    pub started: u32,
    /// Its connections.
    pub connections: Connections,
    /// Version of its program.
    pub software: VersionText,
    /// How far its changes are followed with these entries.
    pub position: u64,
    /// What changed behind the position that was asked about.
    pub entries: Vec<Entry>,
}

impl TrackerHello {
    /// Decodes a whole body.
    pub fn decode(body: &[u8]) -> Result<Self, ReportError> {
        let mut reader = versioned(body)?;
        let mut hello = Self {
            instance: reader.u64()?,
            ..Self::default()
        };
        if WITH_MEMBERS <= version_of(body) {
            hello.told_by = reader.u64()?;
            hello.position = reader.u64()?;
            hello.changes = reader.u64()?;
        }
        reader.finish()?;
        Ok(hello)
    }

    /// Appends the body in the latest layout. A tracker that does not know it answers all the same,
    /// in its own.
    pub fn encode(&self, out: &mut BytesMut) {
        let mut writer = Writer::new(out);
        writer.u16(REPORT_VERSION);
        writer.u64(self.instance);
        writer.u64(self.told_by);
        writer.u64(self.position);
        writer.u64(self.changes);
    }
}

impl HelloAnswer {
    /// Decodes a whole body.
    pub fn decode(body: &[u8]) -> Result<Self, ReportError> {
        let mut reader = versioned(body)?;
        let mut answer = Self {
            instance: reader.u64()?,
            yours: address(&mut reader)?,
            started: reader.u32()?,
            connections: connections(&mut reader)?,
            software: software(&mut reader)?,
            position: 0,
            entries: Vec::new(),
        };
        if WITH_MEMBERS <= version_of(body) {
            answer.take_entries(&mut reader)?;
        }
        reader.finish()?;
        Ok(answer)
    }

    fn take_entries(&mut self, reader: &mut Reader<'_>) -> Result<(), ReportError> {
        self.position = reader.u64()?;
        self.entries = entries(reader)?;
        Ok(())
    }

    /// Appends the body in the layout of `version`, which is that of the greeting.
    pub fn encode_as(&self, version: u16, out: &mut BytesMut) {
        let version = spoken(version);
        let mut writer = Writer::new(out);
        writer.u16(version);
        writer.u64(self.instance);
        put_optional_address(&mut writer, Some(self.yours));
        writer.u32(self.started);
        put_connections(&mut writer, self.connections);
        writer.padded(self.software.as_bytes(), SOFTWARE_LEN);
        if WITH_MEMBERS <= version {
            writer.u64(self.position);
            put_entries(&mut writer, &self.entries);
        }
    }
}
