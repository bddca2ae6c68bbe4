//! Work on a few threads, with results in order.

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::{iter, thread};

/// Does `work` on every item, on `jobs` threads or one thread per processor. The results are in the
/// order of the items.
pub(super) fn on_threads<T: Sync, R: Send>(
    items: &[T],
    jobs: Option<usize>,
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    on_threads_with(items, jobs, |mine| mine.map(&work).collect())
}

/// The same for threads that keep something from item to item. Each thread takes items from its iterator until there
/// are no more, and returns one result for each.
pub(super) fn on_threads_with<T: Sync, R: Send>(
    items: &[T],
    jobs: Option<usize>,
    thread: impl Fn(&mut dyn Iterator<Item = &T>) -> Vec<R> + Sync,
) -> Vec<R> {
    let jobs = jobs.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from));
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, items.len().max(1)) {
            scope.spawn(|| {
                let taken = RefCell::new(Vec::new());
                let mut mine = iter::from_fn(|| {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    items.get(at).inspect(|_| taken.borrow_mut().push(at))
                });
                let results = thread(&mut mine);
                let numbered = taken.into_inner().into_iter().zip(results);
                done.lock().unwrap_or_else(PoisonError::into_inner).extend(numbered);
            });
        }
    });
    let mut results = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::on_threads;

    #[test]
    fn results_come_in_the_order_of_the_items() {
        let items: Vec<usize> = (0..100).collect();
        for jobs in [None, Some(0), Some(1), Some(7), Some(1000)] {
            assert_eq!(on_threads(&items, jobs, |item| item * 2)[..3], [0, 2, 4]);
            assert_eq!(on_threads(&items, jobs, |item| item * 2).len(), 100);
        }
        assert!(on_threads(&[] as &[u8], None, |item| *item).is_empty());
    }
}
