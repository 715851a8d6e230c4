//! What must be true of upload sessions after each step, and after all of them.

use super::*;

impl World {
    /// What is true at any time.
    pub(super) fn check(&self) {
        self.check_blobs();
        self.check_usage();
        for session in &self.model.sessions {
            self.check_session(session);
        }
        self.check_tables();
    }

    /// Each blob is one content's, one session's, or an orphan: API-2.
    fn check_blobs(&self) {
        let contents = keys::scan::<Contents>(&self.state, &(), 1_000).unwrap();
        let mut found: Vec<_> = contents.iter().map(|(_, content)| content.blob).collect();
        let orphans = keys::scan::<Orphans>(&self.state, &(), 1_000).unwrap();
        found.extend(orphans.iter().map(|((blob,), _)| *blob));
        for (_, record) in keys::scan::<Uploads>(&self.state, &(), 1_000).unwrap() {
            found.extend(record.staging);
            if let UploadState::Committing(blobs) = record.state {
                found.extend(blobs);
            }
        }
        found.sort_unstable();
        let mut made = self.blobs.clone();
        made.sort_unstable();
        assert_eq!(found, made);
        // What nobody is about to own any more is to be deleted.
        let dead = orphans
            .iter()
            .filter(|(_, orphan)| orphan.state == OrphanState::Pending(7));
        let ever_staged =
            |blob: &FileId| self.model.sessions.iter().any(|s| s.owned.contains(blob));
        for ((blob,), _) in dead {
            assert!(!ever_staged(blob), "{blob} was a session's");
        }
    }

    /// What is reserved is what sessions under way announced.
    fn check_usage(&self) {
        for account in (1..=USERS).map(AccountId) {
            let usage = accounts::usage(&self.state, account).unwrap();
            let mine = self.model.sessions.iter();
            let mine: Vec<_> = mine
                .filter(|session| session.account == account && session.holds_room())
                .collect();
            assert_eq!(usage.uploads, mine.len() as u64);
            let bytes: u64 = mine.iter().map(|session| session.size).sum();
            assert_eq!(usage.upload_bytes, bytes);
            let open = mine.iter().filter(|session| {
                session.committing.is_empty() && self.now < session.renewed + LIFE
            });
            let open: BTreeSet<_> = open.map(|session| session.id).collect();
            let rows = of_account(&self.state, account, 1_000, self.now).unwrap();
            assert_eq!(
                rows.iter().map(|(id, _)| *id).collect::<BTreeSet<_>>(),
                open
            );
            let rows = of_account(&self.state, account, 1, self.now).unwrap();
            assert_eq!(rows.len(), open.len().min(1));
        }
    }

    fn check_session(&self, session: &Session) {
        let state = &self.state;
        let found = get(state, session.account, session.id, self.now);
        if session.is_ended || session.renewed + LIFE <= self.now {
            assert!(matches!(found, Err(CoreError::NoUpload)), "{found:?}");
            for key in &session.keys {
                let found = by_key(state, key, self.now);
                assert!(matches!(found, Err(CoreError::NoUpload)), "{found:?}");
            }
            return;
        }
        let record = found.unwrap();
        let expected = match (session.file, &session.committing[..]) {
            (Some(file), _) => UploadState::Done(file),
            (None, []) => UploadState::Open,
            (None, blobs) => UploadState::Committing(blobs.to_vec()),
        };
        assert_eq!(record.state, expected);
        assert_eq!(record.staging, session.staging);
        assert_eq!(record.renewed, session.renewed);
        assert_eq!(record.staged, session.appended);
        assert_eq!(record.hashed, session.hashed.len() as u64);
        assert_eq!(record.hashes, hashes(&session.hashed));
        for key in &session.keys {
            assert_eq!(by_key(state, key, self.now).unwrap().0, session.id);
        }
        let stranger = AccountId(session.account.0 % USERS + 1);
        let found = get(state, stranger, session.id, self.now);
        assert!(matches!(found, Err(CoreError::NoUpload)));
        if session.file.is_some() {
            return;
        }
        let slices = slices(state, session.id).unwrap();
        if session.is_in_order {
            let blocks = session.blocks.iter();
            assert_eq!(
                slices,
                blocks.map(|(at, block)| (*at, *block)).collect::<Vec<_>>()
            );
            assert_eq!(record.received, session.received());
            assert_eq!(record.blocks, session.blocks.len() as u64);
            for offset in 0..session.received() + 2 {
                let found = block_at(state, session.id, offset).unwrap();
                assert_eq!(found.map(|(start, _)| start), session.block_start(offset));
            }
            return;
        }
        let expected: Vec<_> = session
            .slices
            .iter()
            .map(|(number, (_, slice))| (*number, *slice))
            .collect();
        assert_eq!(slices, expected);
        // The hashes are those of the slices as they are now.
        let first = session.slices.iter().map(|(_, (content, _))| *content);
        let first: Vec<_> = first.take(session.hashed.len()).collect();
        assert_eq!(session.hashed, first);
        for max in [1, 100] {
            let missing = missing(state, session.id, &record, max).unwrap();
            assert_eq!(missing, session.missing(max));
        }
    }

    /// Of sessions that ended nothing is left, but that somebody will look when they would be due.
    fn check_tables(&self) {
        let state = &self.state;
        let kept = |session: &&Session| !session.is_ended;
        let sessions: Vec<&Session> = self.model.sessions.iter().filter(kept).collect();
        let count = |predicate: &dyn Fn(&Session) -> bool| {
            sessions.iter().filter(|session| predicate(session)).count()
        };
        let records = keys::scan::<Uploads>(state, &(), 1_000).unwrap();
        assert_eq!(records.len(), sessions.len());
        let of_account = keys::scan::<UploadsOfAccount>(state, &(), 1_000).unwrap();
        assert_eq!(of_account.len(), count(&Session::holds_room));
        let slices = keys::scan::<Slices>(state, &(), 1_000).unwrap();
        let under_way = sessions.iter().filter(|session| session.holds_room());
        let expected: usize = under_way
            .map(|session| session.slices.len() + session.blocks.len())
            .sum();
        // What is left of the others somebody knows of.
        let all = self.model.sessions.iter();
        let with_left: Vec<&Session> = all.filter(|session| session.left != 0).collect();
        let ids: BTreeSet<UploadId> = with_left.iter().map(|session| session.id).collect();
        assert_eq!(BTreeSet::from_iter(left(state, 1_000).unwrap()), ids);
        let left: usize = with_left.iter().map(|session| session.left).sum();
        assert_eq!(slices.len(), expected + left);
        let keys: usize = sessions.iter().map(|session| session.keys.len()).sum();
        assert_eq!(
            keys::scan::<UploadKeys>(state, &(), 1_000).unwrap().len(),
            keys
        );
        let of_upload = keys::scan::<UploadKeysOfUpload>(state, &(), 1_000).unwrap();
        assert_eq!(of_upload.len(), keys);
        for (key, id) in keys::scan::<UploadsByName>(state, &(), 1_000).unwrap() {
            let named = sessions.iter().find(|session| session.id == id).unwrap();
            assert!(named.is_in_order && named.holds_room());
            assert_eq!(key, (named.account, named.place.name.clone()));
        }
        let due = keys::scan::<UploadsByDue>(state, &(), 1_000).unwrap();
        for session in sessions {
            let mut looks = due.iter().filter(|((_, id), ())| *id == session.id);
            let ((due, _), ()) = looks.next().expect("somebody looks when it is over");
            assert!(due.0 <= session.renewed + LIFE);
            assert_eq!(looks.count(), 0);
        }
    }

    /// After all time nothing is left of any session.
    pub(super) fn check_end(mut self) {
        self.now += 3 * LIFE;
        self.expire();
        self.check();
        while let Some(id) = left(&self.state, 1).unwrap().pop() {
            forget_left(&mut self.state, id).unwrap();
        }
        assert!(
            keys::scan::<Slices>(&self.state, &(), 1)
                .unwrap()
                .is_empty()
        );
        assert!(
            keys::scan::<Uploads>(&self.state, &(), 1)
                .unwrap()
                .is_empty()
        );
        assert!(
            keys::scan::<UploadsByDue>(&self.state, &(), 1)
                .unwrap()
                .is_empty()
        );
        assert!(
            keys::scan::<UploadsByName>(&self.state, &(), 1)
                .unwrap()
                .is_empty()
        );
    }
}
