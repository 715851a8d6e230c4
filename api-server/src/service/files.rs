//! Calls that touch more than one transaction: instant upload, deletion.

use super::error::ServiceError;
use super::sessions::Actor;
use super::{Service, random_bytes};
use crate::backend::Blobs;
use crate::core::catalog::Catalog;
use crate::core::error::CoreError;
use crate::core::id::{FileNumber, Md5, PictureLink};
use crate::core::name::FileName;
use crate::core::{files, pictures};

impl<C: Catalog, B: Blobs> Service<C, B> {
    /// Adds a file of content that is there already, found by its MD5.
    ///
    /// # Errors
    ///
    /// [`CoreError::NoContent`], and the client goes on to upload; [`CoreError::FileExists`];
    /// [`ServiceError::TooOften`] after many digests that nobody has.
    pub(crate) async fn add_by_md5(
        &self,
        actor: &Actor,
        md5: Md5,
        name: FileName,
    ) -> Result<FileNumber, ServiceError> {
        let misses = &self.shared.rates.misses;
        if !misses.is_open(&actor.user) {
            return Err(ServiceError::TooOften);
        }
        let account = actor.account;
        let added = self
            .change(move |tx, moment| files::add_by_md5(tx, account, md5, name.clone(), moment))
            .await;
        if let Err(ServiceError::Core(CoreError::NoContent)) = &added {
            misses.take(actor.user.clone());
            self.issue_ticket(account, md5).await?;
        }
        added
    }

    /// Makes a link to a file of a user; each call makes another one.
    pub(crate) async fn share_picture(
        &self,
        actor: &Actor,
        md5: Md5,
        name: FileName,
    ) -> Result<PictureLink, ServiceError> {
        let (account, link) = (actor.account, PictureLink(random_bytes()));
        self.change(move |tx, moment| pictures::share(tx, account, md5, &name, link, moment))
            .await?;
        Ok(link)
    }

    /// Deletes a file that an MD5 and a name mean. The bytes are gone, too, when this returns, if
    /// nobody else has them and storage answers.
    pub(crate) async fn remove_labelled(
        &self,
        actor: &Actor,
        md5: Md5,
        name: FileName,
    ) -> Result<(), ServiceError> {
        let account = actor.account;
        let orphan = self
            .change(move |tx, moment| {
                let (number, _) = files::find(tx, account, md5, &name)?;
                files::remove(tx, account, number, moment.now)
            })
            .await?;
        self.delete_orphan(orphan).await;
        Ok(())
    }

    /// Deletes a file by its number. The bytes are gone, too, when this returns, if nobody else has
    /// them and storage answers.
    pub(crate) async fn remove(
        &self,
        actor: &Actor,
        number: FileNumber,
    ) -> Result<(), ServiceError> {
        let (account, now) = (actor.account, self.now());
        let orphan = self
            .change(move |tx, _| files::remove(tx, account, number, now))
            .await?;
        self.delete_orphan(orphan).await;
        Ok(())
    }
}
