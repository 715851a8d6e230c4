//! The signal to stop: one trigger, many that wait for it.

use tokio::sync::watch;

/// Waits for the signal. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Shutdown {
    receiver: watch::Receiver<bool>,
}

/// Gives the signal, once. Dropping it gives the signal too, so nothing waits for ever.
#[derive(Debug)]
pub struct ShutdownTrigger {
    sender: watch::Sender<bool>,
}

impl Shutdown {
    /// A trigger and a first waiter.
    pub fn new() -> (ShutdownTrigger, Self) {
        let (sender, receiver) = watch::channel(false);
        (ShutdownTrigger { sender }, Self { receiver })
    }

    /// Returns once the signal was given.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn requested(&self) {
        let mut receiver = self.receiver.clone();
        // An error means that the trigger is gone, which is the signal as well.
        let _ = receiver.wait_for(|requested| *requested).await;
    }

    /// Whether the signal was given.
    pub fn is_requested(&self) -> bool {
        *self.receiver.borrow() || self.receiver.has_changed().is_err()
    }
}

impl ShutdownTrigger {
    /// Gives the signal.
    pub fn trigger(&self) {
        self.sender.send_replace(true);
    }
}
