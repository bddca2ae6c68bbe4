//! The strategies that work from outside, given what they need: sessions, storage, a journal.

use super::failure::Failure;
use super::prepare::Prepared;
use super::walk::not_walkable;
use crate::engine::{Backend, Engine, Execution, MnnTarget, Precision, Target};
use crate::tensor::Digest;
use crate::walk::{self, Journal, Task, WalkReport};
use crate::worker::interrupted;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A strategy: what to search, on which target, with the names of nodes, telling what it does.
pub(super) type Search = fn(
    &Prepared<'_>,
    &Target,
    &BTreeMap<String, String>,
    &mut dyn FnMut(&str),
) -> Result<(Execution, Option<WalkReport>), Failure>;

/// Truncates the network at one place after another.
pub(super) fn cut(
    prepared: &Prepared<'_>,
    target: &Target,
    names: &BTreeMap<String, String>,
    announce: &mut dyn FnMut(&str),
) -> Result<(Execution, Option<WalkReport>), Failure> {
    let engines = Engines::of(prepared, target)?;
    let mut journal = open_journal(prepared, target, "cut")?;
    let mut task = engines.task(prepared, target, announce);
    let found = walk::cut(&mut task, names, &mut journal);
    drop(task);
    note_failure(prepared, &journal);
    found.map_err(|reason| failed("cut", &reason))
}

/// Runs every node by itself.
pub(super) fn isolate(
    prepared: &Prepared<'_>,
    target: &Target,
    names: &BTreeMap<String, String>,
    announce: &mut dyn FnMut(&str),
) -> Result<(Execution, Option<WalkReport>), Failure> {
    let engines = Engines::of(prepared, target)?;
    let mut journal = open_journal(prepared, target, "isolate")?;
    let mut task = engines.task(prepared, target, announce);
    let found = walk::isolate(&mut task, names, &mut journal);
    drop(task);
    note_failure(prepared, &journal);
    found.map_err(|reason| failed("isolate", &reason))
}

/// The target's engine, and the same engine on the CPU where it has one.
pub(super) struct Engines {
    engine: Box<dyn Engine>,
    companion: Option<Box<dyn Engine>>,
}

impl Engines {
    /// The engines for a target that is not the reference itself.
    pub(super) fn of(prepared: &Prepared<'_>, target: &Target) -> Result<Self, Failure> {
        let companion = match target.itself() {
            Target::Tract | Target::TractF64 => return Err(not_walkable(target)),
            Target::Mnn(MnnTarget { backend: Backend::Cpu, .. }) => None,
            Target::Mnn(target) => Some(Target::Mnn(MnnTarget {
                backend: Backend::Cpu,
                precision: Precision::High,
                threads: None,
                memory: None,
                tune: None,
                weights: target.weights,
            })),
            _ => None,
        };
        // It runs where the target does.
        let companion = companion.map(|companion| match target {
            Target::At(placed) => companion.at(placed.place.clone()),
            _ => companion,
        });
        let companion = companion.map(|companion| prepared.registry.engine(&companion));
        Ok(Engines { engine: prepared.registry.engine(target), companion })
    }

    /// The target's engine.
    pub(super) fn engine(&self) -> &dyn Engine {
        self.engine.as_ref()
    }

    /// What a strategy needs.
    pub(super) fn task<'a>(
        &'a self,
        prepared: &'a Prepared<'_>,
        target: &Target,
        announce: &'a mut dyn FnMut(&str),
    ) -> Task<'a> {
        let request = prepared.request();
        Task {
            model: request.model,
            feeds: request.feeds,
            session: self.engine.session(),
            companion: self.companion.as_ref().map(|engine| engine.session()),
            storage: target.declared_storage().unwrap_or_default(),
            deadline: request.deadline,
            announce,
            interrupted,
        }
    }
}

/// The journal under `--out`; without a folder nothing is kept.
fn open_journal<T: Serialize + DeserializeOwned + Clone>(
    prepared: &Prepared<'_>,
    target: &Target,
    strategy: &str,
) -> Result<Journal<T>, Failure> {
    let Some(folder) = prepared.out() else { return Ok(Journal::default()) };
    let path: PathBuf = folder.join(format!("journal-{strategy}.jsonl"));
    Journal::open(&path, &key(prepared, target)).map_err(|error| Failure::write(&path, error))
}

/// A journal that could be written no more is no reason to stop, but is told at the end.
fn note_failure<T>(prepared: &Prepared<'_>, journal: &Journal<T>)
where
    T: Serialize + DeserializeOwned + Clone,
{
    let folder = prepared.out().unwrap_or(Path::new("."));
    let failure = journal.failure().map(|error| Failure::write(folder, error));
    prepared.note(failure.map_or(Ok(()), Err));
}

/// Everything that an answer depends on.
fn key(prepared: &Prepared<'_>, target: &Target) -> String {
    let mut parts = vec![
        env!("CARGO_PKG_VERSION").to_owned(),
        prepared.model.digest().hex().to_owned(),
        // With its place, and all that a device's document says.
        format!("{target:?}"),
        format!("{:?}", prepared.request().deadline),
    ];
    if let Target::Sim(target) = target.itself() {
        // A document may change under its name.
        parts.push(serde_json::to_string(&target.device).unwrap_or_default());
    }
    parts.extend(prepared.feeds.iter().map(|feed| feed.digest.hex().to_owned()));
    Digest::of(parts.iter().map(String::as_bytes)).hex().to_owned()
}

fn failed(strategy: &str, reason: &str) -> Failure {
    Failure::new(
        format!("{strategy} the network: {reason}"),
        "the strategy `follow` needs less of the reference: offby walk without --strategy",
    )
}
