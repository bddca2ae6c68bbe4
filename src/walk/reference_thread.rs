//! A reference on a thread of its own. It opens while the candidate opens, and checks operators while the candidate
//! runs the next ones.

use super::contract::OperatorReference;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, Scope};

/// Work for the reference, or the reason why there is none.
type Job = Box<dyn FnOnce(Result<&mut dyn OperatorReference, String>) + Send>;

/// A reference that answers in the order of the asks. The thread ends when this is dropped.
pub struct ReferenceThread {
    jobs: Sender<Job>,
}

impl ReferenceThread {
    /// Opens a reference on a new thread. If it does not open, each answer is the reason.
    pub fn start<'scope, R: OperatorReference>(
        scope: &'scope Scope<'scope, '_>,
        open: impl FnOnce() -> Result<R, String> + Send + 'scope,
    ) -> Self {
        let (jobs, asked) = channel::<Job>();
        let named = Builder::new().name("reference".into());
        let started = named.spawn_scoped(scope, move || {
            let mut reference = open();
            for job in asked {
                job(match &mut reference {
                    Ok(reference) => Ok(reference),
                    Err(reason) => Err(reason.clone()),
                });
            }
        });
        started.expect("the system has room for one more thread");
        ReferenceThread { jobs }
    }

    /// Gives the reference work, and does not wait for it.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn OperatorReference) -> Result<T, String> + Send + 'static,
    ) -> Pending<T> {
        let (answer, pending) = channel();
        let job: Job = Box::new(move |reference| {
            // An answer that no caller waits for is not needed.
            let _ = answer.send(reference.and_then(work));
        });
        // If the thread has ended, the answer says so.
        let _ = self.jobs.send(job);
        Pending(pending)
    }
}

/// An answer of the reference that may not be there yet.
pub(super) struct Pending<T>(Receiver<Result<T, String>>);

impl<T> Pending<T> {
    /// Waits for the answer.
    pub(super) fn wait(self) -> Result<T, String> {
        self.0.recv().unwrap_or_else(|_| Err("the reference's thread ended".to_owned()))
    }
}
