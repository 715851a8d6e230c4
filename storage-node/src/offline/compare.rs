//! The second half of a check: from the index to what was met in the volumes.

use std::collections::HashSet;

use super::Stopped;
use super::report::Content;
use super::walk::{Walk, affected};
use crate::disk::VolumeFile as _;
use crate::format::{
    IndexKey, IndexValue, Manifest, PartId, Position, RECORD_HEADER_LEN, RecordKind,
};
use crate::index::{self, IndexError, RocksIndex};

impl Walk<'_> {
    /// Looks whether everything that the index shows was met, and is whole.
    pub(super) fn compare(&mut self) -> Result<(), Stopped> {
        let Some(index) = self.index else {
            return Ok(());
        };
        let mut needed = HashSet::new();
        let mut unreadable_manifests = 0_u64;
        index::each(index, IndexKey::BLOB, |key, value| {
            self.report.blobs += 1;
            let value = decode(value)?;
            let IndexKey::Blob(name) = key else {
                return Ok(());
            };
            let why = if !self.is_found(&value.extent) {
                unreadable_manifests += u64::from(value.kind == RecordKind::Manifest);
                Some(self.why_not_found(&value.extent))
            } else if value.kind == RecordKind::Manifest {
                self.manifest(name, &value, &mut needed)?
            } else {
                None
            };
            self.note(name, Content::Blob, &value, why);
            Ok::<_, Stopped>(())
        })?;
        index::each(index, IndexKey::METADATA, |key, value| {
            let value = decode(value)?;
            if let IndexKey::Metadata(name) = key {
                let is_found = self.is_found(&value.extent);
                let why = (!is_found).then(|| self.why_not_found(&value.extent));
                self.note(name, Content::Metadata, &value, why);
            }
            Ok::<_, Stopped>(())
        })?;
        if unreadable_manifests == 0 {
            self.count_unowned(index, needed)?;
        }
        Ok(())
    }

    fn note(&mut self, name: &[u8], content: Content, value: &IndexValue, why: Option<String>) {
        let Some(why) = why else {
            return;
        };
        let at = Position {
            volume: value.extent.volume,
            offset: value.extent.offset,
        };
        let id = self.place.id(name);
        self.report.affected.push(affected(id, content, why, at));
    }

    /// What is wrong with a blob of several parts, whose manifest was met.
    fn manifest(
        &self,
        name: &[u8],
        value: &IndexValue,
        needed: &mut HashSet<PartId>,
    ) -> Result<Option<String>, Stopped> {
        let start = value.extent.offset + (RECORD_HEADER_LEN + name.len()) as u64;
        let mut payload = vec![0; value.extent.payload_len as usize];
        let Some(file) = self.files.get(&value.extent.volume) else {
            return Ok(Some(self.why_not_found(&value.extent)));
        };
        if let Err(error) = file.read_at(&mut payload, start) {
            return Ok(Some(format!(
                "the list of its parts cannot be read: {error}"
            )));
        }
        let manifest = match Manifest::decode(&payload) {
            Ok(manifest) => manifest,
            Err(error) => return Ok(Some(error.to_string())),
        };
        let mut why = None;
        for segment in manifest.segments() {
            if segment.part == PartId::HOLE {
                continue;
            }
            // A part may be used several times.
            needed.insert(segment.part);
            if why.is_some() {
                continue;
            }
            let number = segment.part.0;
            why = match self.locate(IndexKey::Part(segment.part))? {
                None => Some(format!("its part {number} is missing in the index")),
                Some(part) if !self.is_found(&part.extent) => {
                    let (volume, offset) = (part.extent.volume, part.extent.offset);
                    let why = self.why_not_found(&part.extent);
                    Some(format!(
                        "its part {number} at {offset} of volume {volume}: {why}"
                    ))
                }
                Some(part)
                    if part.extent.payload_len < segment.start.saturating_add(segment.len) =>
                {
                    Some(format!("its part {number} is too short"))
                }
                Some(_) => None,
            };
        }
        Ok(why)
    }

    fn count_unowned(
        &mut self,
        index: &RocksIndex,
        mut needed: HashSet<PartId>,
    ) -> Result<(), Stopped> {
        // Parts of an upload that was under way go at the next start.
        index::each(index, IndexKey::OPEN_PART, |key, _| {
            if let IndexKey::OpenPart(part) = key {
                needed.insert(part);
            }
            Ok::<_, Stopped>(())
        })?;
        index::each(index, IndexKey::PART, |key, _| {
            if let IndexKey::Part(part) = key {
                self.report.unowned_parts += u64::from(!needed.contains(&part));
            }
            Ok::<_, Stopped>(())
        })
    }
}

fn decode(value: &[u8]) -> Result<IndexValue, IndexError> {
    Ok(IndexValue::decode(value)?)
}
