//! `GET /weiyun/upload_file`: applies for an upload. Source: docs/api/weiyun.md §2.

use http::request;

use super::Weiyun;
use super::announcement::Announcement;
use super::describe::file_id_of_upload;
use super::key::UploadKey;
use super::model::{Admission, Data};
use super::parameters::Parameters;
use super::place::Place;
use super::refusal::Refusal;
use crate::backend::Blobs;
use crate::core::catalog::Catalog;
use crate::http::caller::Caller;
use crate::service::{Application, Applied};

impl<C: Catalog, B: Blobs> Weiyun<C, B> {
    /// Admits a file, or says why not.
    pub(super) async fn apply(
        &self,
        head: &request::Parts,
        caller: &Caller,
        parameters: &Parameters,
    ) -> Result<Data, Refusal> {
        let login = self.log_in(head, caller, parameters).await?.may_write()?;
        let announced = Announcement::parse(parameters, self.settings.size_max)?;
        if self.settings.blocked.contains(&announced.sha1) {
            return Err(Refusal::Blocked);
        }
        let application = Application {
            name: announced.name,
            size: announced.size,
            md5: announced.md5,
            sha1: announced.sha1,
        };
        let key = UploadKey::random();
        let account = login.actor.account;
        let applied = self
            .service
            .apply(&login.actor, application, key.hash())
            .await;
        let (id, upload) = match applied {
            Ok(Applied::Open(id, upload)) => (id, upload),
            Ok(Applied::Different(id, upload)) => {
                let received = self.service.next_offset(id, &upload).await?;
                let entry = self.describe_upload(&upload, received).await?;
                return Err(Refusal::Changed(Box::new(entry)));
            }
            Err(error) => return Err(self.explained(account, error).await),
        };
        // The upload is in the catalog by now: the same request resumes it when storage is back.
        if !self.takes_bytes().await {
            return Err(Refusal::NoAddress);
        }
        let received = self.service.next_offset(id, &upload).await?;
        let Place { host, port } = Place::of(caller);
        Ok(Data::Admission(Box::new(Admission {
            csum: key.digits(),
            file_id: file_id_of_upload(self.names().await?, &upload),
            host,
            port,
            file_cur_size: received.to_string(),
        })))
    }

    /// Whether some node takes uploads now.
    async fn takes_bytes(&self) -> bool {
        let state = self.service.blobs().cluster().await;
        state.is_ok_and(|state| state.groups.iter().any(|group| 0 < group.writable_count))
    }
}
