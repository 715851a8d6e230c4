//! The disk of one node is full: the others go on, the reason shows, and it comes back by itself.
//!
//! A disk of a size of its own is a file system in memory, which root may mount. Where that cannot be done
//! the test is skipped with a message.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;

use common::code::ErrorCode;

use super::harness::{Cluster, HEALING_LIMIT, Plan, seed};
use super::load::Access;
use super::steady::Kept;
use crate::support::deadline::eventually;
use crate::support::http::Http;
use crate::support::tell;

/// Room for some volumes beside what a node keeps free.
const DISK_MIB: u64 = 420;
/// Less than the nodes reserve.
const LEFT_MIB: u64 = 80;
const BLOBS: u64 = 45;
const BLOB_LEN: usize = 2_000_000;

#[test]
fn a_full_disk_on_one_node_stops_nobody_and_is_used_again_when_there_is_room() {
    let seed = seed();
    let mut cluster = Cluster::start(Plan {
        disks: 1,
        ..Plan::default()
    });
    cluster.nodes[2].terminate();
    let Some(disk) = SmallDisk::mount(&cluster.disk(3, 0)) else {
        return;
    };
    cluster.nodes[2].start();
    cluster.wait_whole();

    let filler = disk.fill();
    for tracker in 1..=2 {
        eventually(
            "a tracker says that the node is full",
            HEALING_LIMIT,
            || {
                let node = cluster.node_status(tracker, 3)?;
                node.reasons.contains(&"full".to_owned()).then_some(())
            },
        );
    }
    let access = Access::to(&cluster);
    // More than fits into the volume that the node has, so it lacks some of them.
    let kept: Vec<Kept> = (0..BLOBS)
        .map(|number| Kept::store(&access, seed ^ number, BLOB_LEN).unwrap())
        .collect();
    let lacking = eventually("the full node is sent no readers", HEALING_LIMIT, || {
        let node = cluster.node_status(1, 3)?;
        (!node.paths.first()?.is_complete).then_some(node.reasons)
    });
    assert!(lacking.contains(&"full".to_owned()) || lacking.contains(&"incomplete".to_owned()));
    let mut refused = 0;
    for kept in &kept {
        assert!(access.download(&kept.id).unwrap() == kept.content());
        for number in 1..=3 {
            match access.download_from(cluster.place(number), &kept.id) {
                Ok(bytes) => assert!(bytes == kept.content(), "{}", kept.id),
                // Never that there is no such blob.
                Err(error) if number == 3 && error.code() == ErrorCode::Unavailable => refused += 1,
                Err(error) => panic!("node {number}: {error}"),
            }
        }
    }

    fs::remove_file(filler).unwrap();
    cluster.wait_whole();
    eventually("the node is not full any more", HEALING_LIMIT, || {
        let node = cluster.node_status(1, 3)?;
        node.reasons.is_empty().then_some(())
    });
    cluster.wait_copied();
    cluster.wait_followed(3);
    for node in &mut cluster.nodes[..2] {
        node.terminate();
    }
    let mut http = Http::connect(cluster.place(3).http).unwrap();
    for kept in &kept {
        let answer = http
            .ask("GET", &format!("/{}", kept.id), &[], None)
            .unwrap();
        assert_eq!(answer.status, 200, "{}: {}", kept.id, answer.text());
        assert!(answer.body == kept.content(), "{}", kept.id);
    }
    tell(format_args!(
        "a full disk with seed {seed}: {BLOBS} uploads while it was full, none refused; it could not read \
         {refused} of them itself"
    ));
    cluster.nodes[2].terminate();
    drop(disk);
}

/// A file system in memory at a directory, until the value goes.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<Self> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={DISK_MIB}m"), "none"])
            .arg(at)
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(at.to_owned())),
            failed => {
                tell(format_args!(
                    "SKIPPED: a full disk was not tried: {failed:?}"
                ));
                None
            }
        }
    }

    /// Leaves less free than what nodes reserve. Gives the file that is in the way.
    fn fill(&self) -> PathBuf {
        let filler = self.0.join("filler");
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&filler);
        let space = rustix::fs::statvfs(&self.0).unwrap();
        let free = space.f_bavail * space.f_frsize;
        let len = free - LEFT_MIB * 1024 * 1024;
        rustix::fs::fallocate(file.unwrap(), rustix::fs::FallocateFlags::empty(), 0, len).unwrap();
        filler
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A node that a failed test left behind may still be there: then it goes with that.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
    }
}
