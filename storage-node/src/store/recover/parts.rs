//! Parts that nothing refers to after a restart.

use std::collections::HashSet;
use std::ops::ControlFlow;

use tracing::{error, warn};

use super::super::plan::{Plan, parts_of};
use super::super::shared::record_key;
use super::{Opening, RecoveryMode};
use crate::disk::Disk;
use crate::error::{OpenError, StoreError};
use crate::format::{Extent, IndexKey, IndexValue, Manifest, PartId, RecordKind};
use crate::index::Index;

impl<D: Disk, I: Index> Opening<D, I> {
    /// Uploads that were under way when the process ended are over.
    ///
    /// A rebuild that could not read everything cannot tell them from parts whose manifest is damaged:
    /// these stay, for repair, and are only no longer called open.
    pub(super) fn drop_open_parts(&mut self) -> Result<(), OpenError> {
        let mut open = Vec::new();
        self.engine
            .shared
            .index
            .scan(IndexKey::OPEN_PART, &[], &mut |key, _| {
                if let Ok(IndexKey::OpenPart(part)) = IndexKey::decode(key) {
                    open.push(part);
                }
                ControlFlow::Continue(())
            })?;
        if self.is_hurt_rebuild() {
            warn!(
                parts = open.len(),
                "parts are kept, for records around them are damaged"
            );
            let mut plan = Plan::default();
            let marks = open.into_iter().map(IndexKey::OpenPart);
            plan.deletes.extend(marks.map(IndexKey::encode));
            self.engine.group.apply(plan, None);
            self.engine.flush();
            return Ok(());
        }
        self.drop_parts(&open)
    }

    fn is_hurt_rebuild(&self) -> bool {
        let is_hurt = self.has_skipped_manifest || !self.recovery.damage.is_empty();
        is_hurt && self.recovery.mode == RecoveryMode::Rebuilt
    }

    /// After a rebuild: parts that no manifest refers to, because it was deleted and its volume is
    /// gone. Blobs that lack parts are reported.
    pub(super) fn sweep_parts(&mut self) -> Result<(), OpenError> {
        let mut manifests = Vec::new();
        self.engine
            .shared
            .index
            .scan(IndexKey::BLOB, &[], &mut |key, value| {
                if IndexValue::decode(value).is_ok_and(|value| value.kind == RecordKind::Manifest) {
                    manifests.push(key.to_vec());
                }
                ControlFlow::Continue(())
            })?;
        let mut needed: HashSet<PartId> = HashSet::new();
        for key in manifests {
            let Ok(key) = IndexKey::decode(&key) else {
                continue;
            };
            match self.engine.shared.read(key) {
                Ok(Some((value, record))) => {
                    let manifest = Manifest::decode(&record.payload).map_err(StoreError::from)?;
                    let parts = parts_of(&manifest);
                    self.report_incomplete(key, value.extent, &parts)?;
                    needed.extend(parts);
                }
                Ok(None) => {}
                Err(error) => {
                    // Whatever it refers to may be needed once it is repaired.
                    error!(%error, "a manifest is unreadable; no parts are swept");
                    return Ok(());
                }
            }
        }
        if self.is_hurt_rebuild() {
            return Ok(());
        }
        let mut unneeded = Vec::new();
        self.engine
            .shared
            .index
            .scan(IndexKey::PART, &[], &mut |key, _| {
                if let Ok(IndexKey::Part(part)) = IndexKey::decode(key)
                    && !needed.contains(&part)
                {
                    unneeded.push(part);
                }
                ControlFlow::Continue(())
            })?;
        self.drop_parts(&unneeded)
    }

    fn report_incomplete(
        &mut self,
        key: IndexKey<'_>,
        extent: Extent,
        parts: &HashSet<PartId>,
    ) -> Result<(), OpenError> {
        for part in parts {
            if self.engine.shared.locate_part(*part)?.is_none() {
                let name = self.name_of(record_key(key));
                error!(name, ?extent, part = part.0, "a blob lacks a part");
                self.recovery.lost.push((name, extent));
                break;
            }
        }
        Ok(())
    }

    fn drop_parts(&mut self, parts: &[PartId]) -> Result<(), OpenError> {
        for part in parts {
            let mut plan = Plan::default();
            plan.drop_part(&mut self.engine, *part)?;
            self.engine.group.apply(plan, None);
            self.recovery.dropped_parts += 1;
        }
        self.engine.flush();
        Ok(())
    }
}
