//! Passwords: Argon2id, on few threads, in equal time for known and unknown users.
//!
//! What clients send is an MD5 of the password. Whoever has it can log in, so it is treated as the
//! password itself. Each computation takes 19 MiB, so few run at the same time.
//! Source: docs/api/image-host.md §11; RFC 9106; the parameters are those that OWASP recommends.

use std::fmt;
use std::sync::{Arc, OnceLock};

use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use super::error::ServiceError;
use super::random_bytes;
use crate::core::accounts::PasswordHash;

/// Computations at the same time; others wait their turn. Bounds memory to as many times 19 MiB.
const AT_ONCE_MAX: usize = 2;
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// What a client sends in place of a password.
///
/// * 1 to 128 characters
/// * an MD5 in hexadecimal digits is folded to lower case
/// * never printed
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(Box<str>);

impl Secret {
    /// Characters it may have.
    const LEN_MAX: usize = 128;

    /// The secret of a text, if it can be one.
    pub(crate) fn new(text: &str) -> Option<Self> {
        if text.is_empty() || Self::LEN_MAX < text.chars().count() {
            return None;
        }
        let is_md5 = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        Some(Self(if is_md5 {
            text.to_ascii_lowercase().into()
        } else {
            text.into()
        }))
    }
}

impl Secret {
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Hashes and compares passwords.
#[derive(Debug)]
pub(super) struct Passwords {
    places: Arc<Semaphore>,
    /// Compared with when there is no account, so that this takes as long as when there is one.
    nobody: PasswordHash,
}

impl Passwords {
    pub(super) fn new() -> Result<Self, ServiceError> {
        // Its salt is of no use to anybody, so one is enough for a process.
        static NOBODY: OnceLock<PasswordHash> = OnceLock::new();
        let nobody = if let Some(nobody) = NOBODY.get() {
            nobody.clone()
        } else {
            let nobody = hash(&Secret("nobody has this password".into()))?;
            NOBODY.get_or_init(|| nobody).clone()
        };
        Ok(Self {
            places: Arc::new(Semaphore::new(AT_ONCE_MAX)),
            nobody,
        })
    }

    /// What to keep of a password.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe; a computation that began goes on.
    pub(super) async fn hash(&self, secret: Secret) -> Result<PasswordHash, ServiceError> {
        self.compute(move || hash(&secret)).await?
    }

    /// Whether a password is the one that was kept. `None`, for an account that is not there, takes
    /// as long and is never right.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe; a computation that began goes on.
    pub(super) async fn verify(
        &self,
        secret: Secret,
        kept: Option<PasswordHash>,
    ) -> Result<bool, ServiceError> {
        let is_somebody = kept.is_some();
        let kept = kept.unwrap_or_else(|| self.nobody.clone());
        let is_right = self.compute(move || verify(&secret, &kept)).await??;
        Ok(is_right && is_somebody)
    }

    async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ServiceError> {
        // The semaphore is never closed.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        Ok(tokio::task::spawn_blocking(move || {
            let _place = place;
            work()
        })
        .await?)
    }
}

fn argon2() -> Result<Argon2<'static>, ServiceError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)
        .map_err(|error| ServiceError::Password(error.into()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(secret: &Secret) -> Result<PasswordHash, ServiceError> {
    let salt = SaltString::encode_b64(&random_bytes()).map_err(ServiceError::Password)?;
    let hash = argon2()?
        .hash_password(secret.0.as_bytes(), &salt)
        .map_err(ServiceError::Password)?;
    Ok(PasswordHash(hash.to_string().into()))
}

fn verify(secret: &Secret, kept: &PasswordHash) -> Result<bool, ServiceError> {
    let kept = argon2::PasswordHash::new(&kept.0).map_err(ServiceError::Password)?;
    match argon2()?.verify_password(secret.0.as_bytes(), &kept) {
        Ok(()) => Ok(true),
        Err(argon2::password_hash::Error::Password) => Ok(false),
        Err(error) => Err(ServiceError::Password(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_bounded_folded_and_never_printed() {
        let md5 = "E10ADC3949BA59ABBE56E057F20F883E";
        assert_eq!(Secret::new(md5), Secret::new(&md5.to_lowercase()));
        assert_ne!(Secret::new("ABC"), Secret::new("abc"));
        assert_eq!(Secret::new(""), None);
        assert!(Secret::new(&"汉".repeat(128)).is_some());
        assert_eq!(Secret::new(&"x".repeat(129)), None);
        assert_eq!(format!("{:?}", Secret::new("abc").unwrap()), "Secret(…)");
    }

    #[tokio::test]
    async fn a_password_is_kept_as_argon2id_and_found_again() {
        let passwords = Passwords::new().unwrap();
        let secret = Secret::new("e10adc3949ba59abbe56e057f20f883e").unwrap();
        let kept = passwords.hash(secret.clone()).await.unwrap();
        assert!(
            kept.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{}",
            kept.0
        );
        let again = passwords.hash(secret.clone()).await.unwrap();
        assert_ne!(kept, again, "salts differ");
        assert!(
            passwords
                .verify(secret.clone(), Some(kept.clone()))
                .await
                .unwrap()
        );
        let wrong = Secret::new("wrong").unwrap();
        assert!(!passwords.verify(wrong, Some(kept)).await.unwrap());
        assert!(!passwords.verify(secret, None).await.unwrap());
        let nobody = Secret::new("nobody has this password").unwrap();
        assert!(!passwords.verify(nobody, None).await.unwrap());
    }
}
