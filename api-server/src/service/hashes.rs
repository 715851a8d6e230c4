//! What is computed of content: in one pass over the whole, and piecewise for uploads in slices.

use std::fmt;
use std::future::Future;

use blake3::hazmat::{self, HasherExt as _, Mode};
use bytes::Bytes;
use md5::digest::common::hazmat::SerializableState;
use md5::{Digest as _, Md5 as Md5Hasher};
use sha1::Sha1 as Sha1Hasher;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::core::id::{ContentHash, Md5, Sha1};
use crate::core::upload_sessions::HashState;
use crate::core::uploads::Digests;

/// Bytes that are hashed before other tasks get their turn: less than a millisecond's work.
const TURN_LEN: usize = 128 * 1024;

/// The turns of a task that hashes. While bytes come faster than they are hashed nothing makes it wait,
/// and a thread that many of them share would come to others, such as a node's heartbeat, after
/// hundreds of milliseconds.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// Bytes that were hashed in this turn.
    hashed: usize,
}

impl Turn {
    /// Counts bytes that were hashed, and lets other tasks run if they were many.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(super) async fn pass(&mut self, hashed: usize) {
        self.hashed = self.hashed.saturating_add(hashed);
        if TURN_LEN <= self.hashed {
            self.hashed = 0;
            tokio::task::yield_now().await;
        }
    }
}

/// All digests of content that passes once.
#[derive(Clone, Default)]
pub(super) struct Hashers {
    sequence: Sequence,
    blake3: Box<blake3::Hasher>,
}

impl fmt::Debug for Hashers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hashers").finish_non_exhaustive()
    }
}

impl Hashers {
    pub(super) fn update(&mut self, content: &[u8]) {
        self.sequence.update(content);
        self.blake3.update(content);
    }

    /// The digests of `size` bytes.
    pub(super) fn digests(&self, size: u64) -> Digests {
        let hash = ContentHash(*self.blake3.finalize().as_bytes());
        self.sequence.digests(hash, size)
    }
}

/// The digests that need the bytes in their order.
#[derive(Clone, Default)]
pub(super) struct Sequence {
    md5: Md5Hasher,
    sha1: Sha1Hasher,
}

impl fmt::Debug for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sequence").finish_non_exhaustive()
    }
}

impl Sequence {
    pub(super) fn update(&mut self, content: &[u8]) {
        self.md5.update(content);
        self.sha1.update(content);
    }

    /// What the catalog keeps between two slices.
    pub(super) fn save(&self) -> HashState {
        let (md5, sha1) = (self.md5.serialize(), self.sha1.serialize());
        HashState([md5.as_slice(), sha1.as_slice()].concat().into())
    }

    /// Goes on from what was kept. `None` if that is not ours: then all has to be read again.
    pub(super) fn restore(kept: &HashState) -> Option<Self> {
        if kept.0.is_empty() {
            return Some(Self::default());
        }
        let len = Md5Hasher::default().serialize().len();
        let (md5, sha1) = kept.0.split_at_checked(len)?;
        Some(Self {
            md5: Md5Hasher::deserialize(md5.try_into().ok()?).ok()?,
            sha1: Sha1Hasher::deserialize(sha1.try_into().ok()?).ok()?,
        })
    }

    /// The digests of content that has this identity.
    pub(super) fn digests(&self, hash: ContentHash, size: u64) -> Digests {
        Digests {
            hash,
            md5: Md5(self.md5.clone().finalize().into()),
            sha1: Sha1(self.sha1.clone().finalize().into()),
            size,
        }
    }
}

/// Takes bytes one piece after the other.
pub(super) trait TakeBytes: Send {
    /// Takes the next piece; whether more is wanted.
    fn take(&mut self, bytes: Bytes) -> impl Future<Output = bool> + Send;
}

impl<F: FnMut(Bytes) -> bool + Send> TakeBytes for F {
    fn take(&mut self, bytes: Bytes) -> impl Future<Output = bool> + Send {
        std::future::ready(self(bytes))
    }
}

/// Takes bytes by hashing them where it is, and lets other tasks have their turns in between.
#[derive(Debug)]
pub(super) struct InTurns<F> {
    hash: F,
    turn: Turn,
}

impl<F: FnMut(Bytes) -> bool + Send> InTurns<F> {
    /// Hashes with `hash`, which says whether more is wanted.
    pub(super) fn new(hash: F) -> Self {
        let turn = Turn::default();
        Self { hash, turn }
    }
}

impl<F: FnMut(Bytes) -> bool + Send> TakeBytes for InTurns<F> {
    async fn take(&mut self, bytes: Bytes) -> bool {
        let len = bytes.len();
        let wants_more = (self.hash)(bytes);
        self.turn.pass(len).await;
        wants_more
    }
}

/// Pieces that may wait for a thread of [`Apart`].
const APART_PIECES_MAX: usize = 2;

/// A [`Sequence`] whose hashes are computed on two threads while the next bytes are read: each needs
/// the bytes in their order, so nothing else can be done at the same time.
pub(super) struct Apart {
    md5: Worker<Md5Hasher>,
    sha1: Worker<Sha1Hasher>,
    stopping: CancellationToken,
}

struct Worker<D> {
    pieces: mpsc::Sender<Bytes>,
    done: JoinHandle<D>,
}

impl<D: md5::Digest + Send + 'static> Worker<D> {
    fn start(mut hasher: D) -> Self {
        let (pieces, mut receiver) = mpsc::channel::<Bytes>(APART_PIECES_MAX);
        let done = tokio::task::spawn_blocking(move || {
            while let Some(piece) = receiver.blocking_recv() {
                hasher.update(&piece);
            }
            hasher
        });
        Self { pieces, done }
    }

    async fn end(self) -> Option<D> {
        drop(self.pieces);
        // An error: the runtime is ending, or the work panicked, which its thread reported.
        self.done.await.ok()
    }
}

impl Sequence {
    /// Hashes on threads of their own until `stopping`.
    pub(super) fn apart(self, stopping: CancellationToken) -> Apart {
        Apart {
            md5: Worker::start(self.md5),
            sha1: Worker::start(self.sha1),
            stopping,
        }
    }
}

impl Apart {
    /// The hashes of all that was taken; `None` if the runtime is ending.
    pub(super) async fn together(self) -> Option<Sequence> {
        let (md5, sha1) = tokio::join!(self.md5.end(), self.sha1.end());
        Some(Sequence {
            md5: md5?,
            sha1: sha1?,
        })
    }
}

impl TakeBytes for &mut Apart {
    async fn take(&mut self, bytes: Bytes) -> bool {
        let (md5, sha1) = tokio::join!(
            self.md5.pieces.send(bytes.clone()),
            self.sha1.pieces.send(bytes)
        );
        md5.is_ok() && sha1.is_ok() && !self.stopping.is_cancelled()
    }
}

/// The hashes of one slice, wherever in the content it is: its MD5, and its part of the BLAKE3 of the
/// whole.
pub(super) struct SliceHashers {
    md5: Md5Hasher,
    subtree: Box<blake3::Hasher>,
}

impl fmt::Debug for SliceHashers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SliceHashers").finish_non_exhaustive()
    }
}

impl SliceHashers {
    /// For the slice of this number, from 1 on. The size of slices is a power of two and at least that
    /// of a BLAKE3 chunk, 1024 bytes: so a slice is a subtree.
    pub(super) fn new(number: u64, slice_size: u64) -> Self {
        let mut subtree = Box::<blake3::Hasher>::default();
        subtree.set_input_offset(number.saturating_sub(1).saturating_mul(slice_size));
        Self {
            md5: Md5Hasher::default(),
            subtree,
        }
    }

    pub(super) fn update(&mut self, content: &[u8]) {
        self.md5.update(content);
        self.subtree.update(content);
    }

    pub(super) fn md5(&self) -> Md5 {
        Md5(self.md5.clone().finalize().into())
    }

    /// The chaining value. In an upload of one slice, which is the root of its own tree, it is the hash.
    pub(super) fn chaining(&self, is_only: bool) -> ContentHash {
        ContentHash(if is_only {
            *self.subtree.finalize().as_bytes()
        } else {
            self.subtree.finalize_non_root()
        })
    }
}

/// The BLAKE3 of the whole, of the chaining values of its slices.
pub(super) fn whole(chaining: &[ContentHash]) -> ContentHash {
    match chaining {
        [] => ContentHash(*blake3::hash(&[]).as_bytes()),
        [only] => *only,
        _ => {
            let (left, right) = halves(chaining);
            let (left, right) = (subtree(left), subtree(right));
            ContentHash(*hazmat::merge_subtrees_root(&left, &right, Mode::Hash).as_bytes())
        }
    }
}

fn subtree(chaining: &[ContentHash]) -> hazmat::ChainingValue {
    match chaining {
        [] => hazmat::ChainingValue::default(),
        [only] => only.0,
        _ => {
            let (left, right) = halves(chaining);
            hazmat::merge_subtrees_non_root(&subtree(left), &subtree(right), Mode::Hash)
        }
    }
}

/// The tree is full on its left: as many slices as the largest power of two below all.
fn halves(chaining: &[ContentHash]) -> (&[ContentHash], &[ContentHash]) {
    let left = chaining.len().next_power_of_two() / 2;
    chaining.split_at_checked(left).unwrap_or((chaining, &[]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_digests_are_those_of_the_standards() {
        let mut hashers = Hashers::default();
        hashers.update(b"a");
        hashers.update(b"bc");
        let digests = hashers.digests(3);
        assert_eq!(digests.md5.to_string(), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(
            digests.sha1.to_string(),
            "a9993e364706816aba3e25717850c26c9cd0d89d"
        );
        assert_eq!(digests.hash.0, *blake3::hash(b"abc").as_bytes());
        assert_eq!(whole(&[]).0, *blake3::hash(b"").as_bytes());
    }

    #[tokio::test]
    async fn others_get_their_turn_between_many_bytes_and_not_between_few() {
        use std::sync::Arc;
        use std::sync::atomic::{AtomicBool, Ordering};
        let had_turn = Arc::new(AtomicBool::new(false));
        let other = Arc::clone(&had_turn);
        let other = tokio::spawn(async move { other.store(true, Ordering::Relaxed) });
        let mut turn = Turn::default();
        for _ in 0..7 {
            turn.pass(TURN_LEN / 8).await;
        }
        assert!(!had_turn.load(Ordering::Relaxed));
        turn.pass(TURN_LEN / 8).await;
        assert!(had_turn.load(Ordering::Relaxed));
        other.await.unwrap();
    }

    #[test]
    fn what_is_not_a_state_is_refused() {
        for len in [1, 40, 200, 255] {
            let kept = HashState(vec![0xff; len].into());
            assert!(Sequence::restore(&kept).is_none(), "{len}");
        }
    }

    proptest! {
        #[test]
        fn slices_make_the_hash_of_the_whole_in_any_split(
            len in 1_usize..40_000,
            slice_size in prop::sample::select(vec![1024_usize, 2048, 8192]),
            seed in any::<u8>(),
        ) {
            let content: Vec<u8> = (0..len).map(|at| u8::try_from(at % 251).unwrap().wrapping_mul(31) ^ seed).collect();
            let slices: Vec<&[u8]> = content.chunks(slice_size).collect();
            let mut sequence = Sequence::default();
            let mut chaining = Vec::new();
            for (number, slice) in (1..).zip(&slices) {
                let mut hashers = SliceHashers::new(number, slice_size as u64);
                let (front, back) = slice.split_at(slice.len() / 3);
                hashers.update(front);
                hashers.update(back);
                prop_assert_eq!(hashers.md5().0, <[u8; 16]>::from(Md5Hasher::digest(slice)));
                chaining.push(hashers.chaining(slices.len() == 1));
                // Each slice may be hashed by another process.
                sequence = Sequence::restore(&sequence.save()).unwrap();
                sequence.update(slice);
            }
            let mut all = Hashers::default();
            all.update(&content);
            let expected = all.digests(len as u64);
            prop_assert_eq!(sequence.digests(whole(&chaining), len as u64), expected);
        }
    }
}
