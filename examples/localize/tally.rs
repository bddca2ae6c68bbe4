//! The count of planted, observable and named faults.

use crate::plant::Trial;
use crate::strategies::{Found, STRATEGIES};
use crate::watch::{RULES, Size, Watched};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// How many misses are listed one by one.
const LISTED: usize = 60;

/// The counts of one strategy, over all faults or the faults of one kind.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    planted: usize,
    observable: usize,
    named: usize,
    /// How many of the observable faults a norm over the whole tensor accuses.
    by_norm: usize,
}

/// The results of one strategy over all trials.
#[derive(Debug, Default)]
struct Strategy {
    all: Count,
    single: Count,
    kinds: BTreeMap<&'static str, Count>,
    sizes: BTreeMap<Size, Count>,
    false_sources: usize,
    trials: usize,
    runs: usize,
    most_runs: usize,
    seconds: f64,
    misses: Vec<String>,
    failures: Vec<String>,
}

/// All counts of the trials.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    strategies: BTreeMap<&'static str, Strategy>,
    others: [Count; RULES.len()],
    silent: [usize; RULES.len()],
}

impl Tally {
    /// Counts one trial.
    pub(crate) fn add(
        &mut self,
        number: usize,
        trial: &Trial,
        watched: &Watched,
        found: Vec<(&'static str, Result<Found, String>)>,
    ) {
        for (strategy, found) in found {
            let entry = self.strategies.entry(strategy).or_default();
            match found {
                Ok(found) => entry.add(number, trial, watched, &found),
                Err(reason) => entry.failures.push(format!("trial {number}: {reason}")),
            }
        }
        if let [(_, label)] = trial.planted.as_slice() {
            let seen = watched.observable.contains_key(label);
            for (rule, named) in watched.named.iter().enumerate() {
                let count = &mut self.others[rule];
                count.planted += 1;
                count.observable += usize::from(seen);
                count.named += usize::from(seen && named.as_ref() == Some(label));
                self.silent[rule] += usize::from(seen && named.is_none());
            }
        }
    }

    /// The tables.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for name in STRATEGIES {
            if let Some(strategy) = self.strategies.get(name) {
                text.push_str(&strategy.text(name));
            }
        }
        for ((name, _), (count, silent)) in RULES.iter().zip(self.others.iter().zip(self.silent)) {
            let Count { planted, observable, named, .. } = count;
            let _ = writeln!(
                text,
                "{name}: this rule names the first node that fails. Of {planted} single faults {observable} are observable. It names {named} of those ({:.1} %), and passes every node of {silent}",
                percent(*named, *observable),
            );
        }
        text
    }
}

impl Strategy {
    fn add(&mut self, number: usize, trial: &Trial, watched: &Watched, found: &Found) {
        self.trials += 1;
        self.runs += found.runs;
        self.most_runs = self.most_runs.max(found.runs);
        self.seconds += found.seconds;
        for (kind, label) in &trial.planted {
            let size = watched.observable.get(label).copied();
            let seen = size.is_some();
            let named = seen && found.sources.contains(label);
            let mut counts = vec![&mut self.all];
            if trial.planted.len() == 1 {
                counts.push(&mut self.single);
            }
            counts.push(self.kinds.entry(kind.name()).or_default());
            counts.extend(size.map(|size| self.sizes.entry(size).or_default()));
            for count in counts {
                count.planted += 1;
                count.observable += usize::from(seen);
                count.named += usize::from(named);
                count.by_norm += usize::from(seen && found.by_norm.contains(label));
            }
            if seen && !named {
                let storage = trial.device.storage.format.name();
                let size = match size {
                    Some(size) if size.is_beyond_four() => "beyond 4 bounds, ",
                    Some(Size::Rounding) => continue,
                    _ => "",
                };
                let measured = found.measured.get(label).map_or("not measured", String::as_str);
                self.misses.push(format!(
                    "{size}trial {number}: {} at {label}, {storage}, {} faults: {measured}; named {:?}",
                    kind.name(),
                    trial.planted.len(),
                    found.sources
                ));
            }
        }
        let planted = |source: &&String| trial.planted.iter().any(|(_, label)| label == *source);
        self.false_sources += found.sources.iter().filter(|source| !planted(source)).count();
    }

    fn text(&self, name: &str) -> String {
        let Count { planted, observable, named, .. } = self.all;
        let beyond = self.sizes.iter().filter(|(size, _)| size.is_beyond_four());
        let (large, found) = beyond.fold((0, 0), |(large, found), (_, count)| {
            (large + count.observable, found + count.named)
        });
        let mut text = format!(
            "{name}: {planted} faults planted in {} trials, {observable} observable, {} without effect\n  exact node named: {named} ({:.2} %); of single faults {} of {} ({:.2} %)\n  of the {large} beyond 4 bounds: {found} ({:.3} %)\n  false sources: {}, precision {:.2} %\n  candidate runs: {:.1} on average, {} at most; {:.3} s on average\n",
            self.trials,
            planted - observable,
            percent(named, observable),
            self.single.named,
            self.single.observable,
            percent(self.single.named, self.single.observable),
            percent(found, large),
            self.false_sources,
            percent(named, named + self.false_sources),
            self.runs as f64 / self.trials.max(1) as f64,
            self.most_runs,
            self.seconds / self.trials.max(1) as f64,
        );
        for (size, words) in Size::ALL {
            let count = self.sizes.get(&size).copied().unwrap_or_default();
            let _ = writeln!(
                text,
                "    {words:<24} {:>5} observable {:>5} named  {:>6.2} %; a norm names {:>5}  {:>6.2} %",
                count.observable,
                count.named,
                percent(count.named, count.observable),
                count.by_norm,
                percent(count.by_norm, count.observable)
            );
        }
        for (kind, count) in &self.kinds {
            let _ = writeln!(
                text,
                "    {kind:<24} {:>5} planted {:>5} observable {:>5} named  {:>6.2} %",
                count.planted,
                count.observable,
                count.named,
                percent(count.named, count.observable)
            );
        }
        for miss in self.misses.iter().take(LISTED) {
            let _ = writeln!(text, "  missed: {miss}");
        }
        for failure in self.failures.iter().take(LISTED) {
            let _ = writeln!(text, "  failed: {failure}");
        }
        text.push('\n');
        text
    }
}

/// A share in per cent; 100 if the whole is empty.
fn percent(part: usize, whole: usize) -> f64 {
    if whole == 0 { 100.0 } else { 100.0 * part as f64 / whole as f64 }
}
