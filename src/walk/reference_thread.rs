//! A reference on a thread of its own. It opens while the candidate opens, and checks operators while the candidate
//! runs the next ones.

use super::contract::OperatorReference;
use crate::engine::Output;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError, channel};
use std::thread::{Builder, Scope};
use std::time::Duration;

/// Work for the reference, or the reason why there is none.
type Job = Box<dyn FnOnce(Result<&mut dyn OperatorReference, String>) + Send>;

/// How often the watcher looks.
const TICK: Duration = Duration::from_millis(50);
/// The weight of one look in the share of the time that the candidate waits. Looks of the last two seconds count most, so
/// a short run between two waits changes nothing, and a candidate that hangs is found out in less than two seconds.
const WEIGHT: f64 = 1.0 / 30.0;
/// From the larger share on the candidate mostly waits, and from the smaller one on it no longer does.
const MOSTLY: [f64; 2] = [0.35, 0.65];

/// A reference that answers in the order of the asks. The thread ends when this is dropped.
pub struct ReferenceThread {
    jobs: Sender<Job>,
    waits: Waits,
    /// What an honest backend of 16 bits would give. No candidate is needed for this, so it begins at once.
    half: Cell<Option<Pending<Vec<Output>>>>,
    /// The watcher ends when this is dropped.
    _watched: Sender<()>,
}

impl ReferenceThread {
    /// Opens a reference on a new thread. If it does not open, each answer is the reason.
    ///
    /// `tell` is called with true when the candidate spends most of its time waiting for the reference, and with false
    /// when it no longer does. In between, the candidate is not to blame for the time.
    pub fn start<'scope, R: OperatorReference>(
        scope: &'scope Scope<'scope, '_>,
        open: impl FnOnce() -> Result<R, String> + Send + 'scope,
        tell: impl Fn(bool) + Send + 'scope,
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
        let (watched, ended) = channel();
        let waits = Waits::default();
        let seen = waits.clone();
        scope.spawn(move || seen.watch(&ended, tell));
        let reference = ReferenceThread { jobs, waits, half: Cell::default(), _watched: watched };
        reference.half.set(Some(reference.ask(|reference| reference.half_outputs())));
        reference
    }

    /// The outputs that an honest backend of 16 bits would give. Call once.
    pub(super) fn half_outputs(&self) -> Result<Vec<Output>, String> {
        self.half.take().map_or_else(|| Err("it was asked for before".to_owned()), Pending::wait)
    }

    /// Shows something to the work that listens, and waits until there is room. Work that has ended takes nothing, and
    /// its answer says why.
    pub(super) fn show<T>(&self, to: &SyncSender<T>, shown: T) {
        if let Err(TrySendError::Full(shown)) = to.try_send(shown) {
            self.waits.during(|| _ = to.send(shown));
        }
    }

    /// Gives the reference work, and does not wait for it.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn OperatorReference) -> Result<T, String> + Send + 'static,
    ) -> Pending<T> {
        let (answer, pending) = channel();
        let wanted = Arc::new(());
        let is_wanted = Arc::downgrade(&wanted);
        let job: Job = Box::new(move |reference| {
            // If the candidate did not open, no work is needed that was asked for before.
            if is_wanted.upgrade().is_none() {
                return;
            }
            // An answer that no caller waits for is not needed.
            let _ = answer.send(reference.and_then(work));
        });
        // If the thread has ended, the answer says so.
        let _ = self.jobs.send(job);
        Pending { answer: pending, waits: self.waits.clone(), _wanted: wanted }
    }
}

/// Whether the candidate waits for the reference now.
#[derive(Clone, Default)]
struct Waits(Arc<AtomicBool>);

impl Waits {
    fn during<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.0.store(true, Ordering::Relaxed);
        let waited = wait();
        self.0.store(false, Ordering::Relaxed);
        waited
    }

    /// Tells when the candidate mostly waits and when it no longer does, until the other end of `ended` is dropped.
    fn watch(&self, ended: &Receiver<()>, tell: impl Fn(bool)) {
        let mut share = WaitShare::default();
        while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
            share.look(self.0.load(Ordering::Relaxed)).into_iter().for_each(&tell);
        }
        if share.mostly {
            tell(false);
        }
    }
}

/// The share of the last seconds that the candidate waits.
#[derive(Default)]
struct WaitShare {
    share: f64,
    mostly: bool,
}

impl WaitShare {
    /// Takes one look, and returns what changed: whether the candidate now mostly waits.
    fn look(&mut self, waits: bool) -> Option<bool> {
        self.share += WEIGHT * (f64::from(u8::from(waits)) - self.share);
        let [least, most] = MOSTLY;
        let mostly = self.share > if self.mostly { least } else { most };
        let changed = mostly != self.mostly;
        self.mostly = mostly;
        changed.then_some(mostly)
    }
}

/// An answer of the reference that may not be there yet.
pub(super) struct Pending<T> {
    answer: Receiver<Result<T, String>>,
    waits: Waits,
    _wanted: Arc<()>,
}

impl<T> Pending<T> {
    /// Waits for the answer.
    pub(super) fn wait(self) -> Result<T, String> {
        let answered = self.waits.during(|| self.answer.recv());
        answered.unwrap_or_else(|_| Err("the reference's thread ended".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::sync_channel;

    /// What the watcher tells if the candidate waits and runs in turn. Each number counts the looks of one turn.
    fn told(turns: &[usize]) -> Vec<bool> {
        let mut share = WaitShare::default();
        let looks = turns.iter().enumerate().flat_map(|(at, turn)| vec![at % 2 == 0; *turn]);
        looks.filter_map(|waits| share.look(waits)).collect()
    }

    #[test]
    fn only_long_waits_are_told() {
        assert_eq!(told(&[4, 1]), [false; 0]);
        assert_eq!(told(&[50, 60]), [true, false]);
        assert_eq!(told(&[50, 5, 50, 1]), [true]);
        // If the candidate waits half of the time, the watcher tells that once at most.
        assert!(told(&[3; 1000]).len() < 2);
    }

    #[test]
    fn work_that_ended_takes_nothing() {
        let (to, listens) = sync_channel(1);
        drop(listens);
        let (jobs, _) = channel();
        let reference = ReferenceThread {
            jobs,
            waits: Waits::default(),
            half: Cell::default(),
            _watched: channel().0,
        };
        reference.show(&to, 1);
        assert!(!reference.waits.0.load(Ordering::Relaxed));
    }
}
