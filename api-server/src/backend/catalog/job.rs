//! A transaction on its way through a writer, whatever its work answers.

use tokio::sync::oneshot;

use super::overlay::Verdict;
use crate::core::catalog::{CatalogError, Transaction};

/// A transaction that waits for the writer or for its group.
pub(super) trait Job: Send {
    /// Runs the work and remembers what it answered.
    fn run(&mut self, transaction: &mut dyn Transaction) -> Verdict;

    /// Answers whoever waits: what the work answered, or why that does not count.
    fn answer(self: Box<Self>, kept: Result<(), CatalogError>);
}

/// A job with the types of its work.
pub(super) struct Work<T, E, F> {
    run: F,
    answer: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<T, E, F> Work<T, E, F> {
    /// A job, and where its answer arrives.
    pub(super) fn new(run: F) -> (Self, oneshot::Receiver<Result<T, E>>) {
        let (reply, receiver) = oneshot::channel();
        let job = Self {
            run,
            answer: None,
            reply,
        };
        (job, receiver)
    }
}

impl<T, E, F> Job for Work<T, E, F>
where
    T: Send,
    E: From<CatalogError> + Send,
    F: FnMut(&mut dyn Transaction) -> Result<T, E> + Send,
{
    fn run(&mut self, transaction: &mut dyn Transaction) -> Verdict {
        let answer = (self.run)(transaction);
        let verdict = match &answer {
            Ok(_) => Verdict::Keep,
            Err(_) => Verdict::Forget,
        };
        self.answer = Some(answer);
        verdict
    }

    fn answer(self: Box<Self>, kept: Result<(), CatalogError>) {
        let answer = match (kept, self.answer) {
            (Err(error), _) => Err(error.into()),
            (Ok(()), Some(answer)) => answer,
            (Ok(()), None) => Err(CatalogError::Contradiction("a job that did not run").into()),
        };
        // Whoever asked may have gone; the transaction happened all the same.
        let _ = self.reply.send(answer);
    }
}
