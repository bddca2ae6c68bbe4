//! The strategies that search from outside, with their sessions, storage and journal.

use super::registry::{arithmetic_of, not_walkable, on_cpu};
use super::{Evaluator, Failure, node_names};
use crate::engine::{Backend, Engine, Execution, MnnTarget, Second, Target};
use crate::tensor::Digest;
use crate::walk::{self, SearchJournal, SearchTask, Strategy, WalkReport};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::PathBuf;

/// A way to search a network from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Search {
    /// Truncates the network at one place after the other.
    Cut,
    /// Runs every node alone.
    Isolate,
}

impl Search {
    /// The strategy of the walk.
    pub fn strategy(self) -> Strategy {
        match self {
            Search::Cut => Strategy::Cut,
            Search::Isolate => Strategy::Isolate,
        }
    }
}

impl Evaluator<'_> {
    /// Searches; returns the execution of the whole network and the findings.
    pub(super) fn run_search(
        &self,
        target: &Target,
        search: Search,
        announce: &mut dyn FnMut(&str),
    ) -> Result<(Execution, Option<WalkReport>), Failure> {
        let engines = Engines::of(self, target)?;
        let names = node_names(self.request.model);
        let task = engines.task(self, target, announce);
        let found = match search {
            Search::Cut => self.journaled(target, search, task, |task, journal| {
                walk::cut(task, &names, journal)
            })?,
            Search::Isolate => self.journaled(target, search, task, |task, journal| {
                walk::isolate(task, &names, journal)
            })?,
        };
        found.map_err(|reason| failed(search, &reason))
    }

    /// Runs a strategy with its journal. If the journal can no longer be written, the search continues, and the
    /// session reports the failure at the end.
    fn journaled<T: Serialize + DeserializeOwned + Clone, F>(
        &self,
        target: &Target,
        search: Search,
        mut task: SearchTask<'_>,
        run: impl FnOnce(&mut SearchTask<'_>, &mut SearchJournal<T>) -> F,
    ) -> Result<F, Failure> {
        let mut journal = self.open_journal(target, search.strategy())?;
        let found = run(&mut task, &mut journal);
        let folder = self.settings.folder.clone().unwrap_or_default();
        let failure = journal.failure().map(|error| Failure::write(&folder, error));
        self.unwritten.borrow_mut().extend(failure);
        Ok(found)
    }

    /// The journal in the session's folder; without a folder no journal is kept.
    fn open_journal<T: Serialize + DeserializeOwned + Clone>(
        &self,
        target: &Target,
        strategy: Strategy,
    ) -> Result<SearchJournal<T>, Failure> {
        let Some(folder) = &self.settings.folder else { return Ok(SearchJournal::default()) };
        let path: PathBuf = folder.join(format!("journal-{strategy}.jsonl"));
        SearchJournal::open(&path, &self.key(target)).map_err(|error| Failure::write(&path, error))
    }

    /// A digest of everything that an answer depends on.
    fn key(&self, target: &Target) -> String {
        let mut parts = vec![
            env!("CARGO_PKG_VERSION").to_owned(),
            self.request.model.digest().hex().to_owned(),
            // The debug form includes the place and all that a device's document says.
            format!("{target:?}"),
            format!("{:?}", self.reference.target),
            format!("{:?}", self.request.deadline),
        ];
        if let Target::Sim(target) = target.itself() {
            // A document may change without changing its name.
            parts.push(serde_json::to_string(&target.device).unwrap_or_default());
        }
        parts.extend(self.request.feeds.iter().map(|feed| feed.digest.hex().to_owned()));
        Digest::of(parts.iter().map(String::as_bytes)).hex().to_owned()
    }
}

/// The target's engine, and the same engine on the CPU if it has one.
pub struct Engines {
    engine: Box<dyn Engine>,
    companion: Option<Box<dyn Engine>>,
    second: Option<Second>,
}

impl Engines {
    /// The engines for a target that is not the reference itself.
    ///
    /// # Errors
    /// If the target is tract.
    pub fn of(session: &Evaluator<'_>, target: &Target) -> Result<Self, Failure> {
        let companion = match target.itself() {
            Target::Tract | Target::TractF64 | Target::TractPlain
                if *target == session.reference.target =>
            {
                return Err(not_walkable(target));
            }
            Target::Mnn(MnnTarget { backend: Backend::Cpu, .. }) => None,
            Target::Mnn(_) => Some(on_cpu(target)),
            _ => None,
        };
        let companion = companion.map(|companion| session.registry.engine(&companion));
        let second = session.second();
        Ok(Engines { engine: session.registry.engine(target), companion, second })
    }

    /// The target's engine.
    pub fn engine(&self) -> &dyn Engine {
        self.engine.as_ref()
    }

    /// The engine of the nodes that tract does not compute.
    pub fn second(&self) -> Option<Second> {
        self.second.clone()
    }

    /// The task for a strategy.
    fn task<'a>(
        &'a self,
        session: &Evaluator<'a>,
        target: &Target,
        announce: &'a mut dyn FnMut(&str),
    ) -> SearchTask<'a> {
        let request = session.request;
        let interrupt = session.registry.interrupt().clone();
        SearchTask {
            model: request.model,
            feeds: request.feeds,
            session: self.engine.session(),
            companion: self.companion.as_ref().map(|engine| engine.session()),
            second: self.second(),
            arithmetic: arithmetic_of(target, request.model),
            deadline: request.deadline,
            announce,
            interrupted: Box::new(move || interrupt.is_set()),
        }
    }
}

fn failed(search: Search, reason: &str) -> Failure {
    Failure::new(
        format!("{} the network: {reason}", search.strategy()),
        "the strategy `follow` needs less of the reference: offby walk without --strategy",
    )
}
