//! Fills a matrix: runs every network on every target. An engine stays open for small networks. A journal records
//! each cell before and after its run. If a driver or this command dies, the known cells are not lost.

use super::args::SweepArgs;
use super::case::load;
use super::case_run::{REPEATS, prepare, resolved};
use super::cut::AskedReference;
use super::jobs::on_threads_with;
use super::matrix_decode::{CellEngines, PromptedDecoder};
use super::matrix_from::{cell, public, same_name};
use super::matrix_pages::CellPage;
use super::network_name::network_names;
use super::place::{read_reference, read_target};
use super::prepare::load_fed;
use super::screen;
use crate::case::Case;
use crate::engine::{Engine, EngineSession, Request, Target};
use crate::graph::Model;
use crate::inputs::Feed;
use crate::matrix::{Cell, Matrix, MatrixRow, RowInput, Shard};
use crate::report::TargetReport;
use crate::session::Registry;
use crate::session::{Evaluator, Failure, Reference, Settings, tolerance_of};
use crate::tensor::Digest;
use crate::verdict::News;
use crate::walk::{By, FallbackPlan, Goal, Known, SearchJournal};
use crate::worker::{WorkerWalk, find_converter, interrupted};
use indicatif::ProgressBar;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Attempts per cell. If this command ends twice during a cell, the cell may be the cause.
const ATTEMPTS: usize = 2;

/// The largest network that an engine may hold while other targets run.
const MOST_KEPT: u64 = 64 << 20;

/// Fills the share's cells; returns the matrix, and a failure if the journal or a page could not be written.
pub(super) fn sweep(args: &SweepArgs, shard: Shard) -> Result<(Matrix, Option<Failure>), Failure> {
    let mut targets = Vec::new();
    for text in &args.on {
        let target = read_target(text, &args.place)?;
        let name = public(&target.to_string());
        if !targets.iter().any(|(known, _)| *known == name) {
            targets.push((name, target));
        }
    }
    let registry = Registry::new(find_converter(), args.place.limits.memory)?;
    let networks = networks(args, &registry)?;
    let journal = open_journal(args, shard, &networks, &targets)?;
    let sweep = Sweep {
        args,
        shard,
        targets: &targets,
        registry,
        journal: Mutex::new(journal),
        progress: screen::progress(args.giving.output.quiet),
        unwritten: Mutex::default(),
    };
    let numbered: Vec<(usize, &PendingNetwork)> = networks.iter().enumerate().collect();
    let rows = on_threads_with(&numbered, args.jobs, |mine| {
        let engines: Vec<Box<dyn Engine>> =
            targets.iter().map(|(_, target)| sweep.registry.engine(target)).collect();
        let mut sessions: Sessions<'_> = engines.iter().map(|engine| engine.session()).collect();
        mine.map(|(number, network)| sweep.row(*number, network, &mut sessions)).collect()
    });
    sweep.progress.finish_and_clear();
    let mut journal = sweep.journal.into_inner().unwrap_or_else(PoisonError::into_inner);
    if !interrupted() {
        journal.finish();
    }
    let unwritten = journal
        .failure()
        .map(|error| Failure::write(args.giving.out.as_deref().unwrap_or(Path::new(".")), error))
        .or(sweep.unwritten.into_inner().unwrap_or_else(PoisonError::into_inner));
    let names = targets.into_iter().map(|(name, _)| name);
    Ok((Matrix { interrupted: interrupted(), ..Matrix::new(names, rows) }, unwritten))
}

/// A session for each target: its engine stays open from network to network.
type Sessions<'e> = Vec<Box<dyn EngineSession + 'e>>;

/// One network to run, before any results.
struct PendingNetwork {
    origin: Origin,
    reference: Target,
    deadline: Duration,
    row: MatrixRow,
    /// The network, if its cells decode.
    decoder: Option<PromptedDecoder>,
}

/// The source of a network and its feeds.
enum Origin {
    Model(PathBuf),
    Case(Box<Case>),
}

impl Origin {
    fn file(&self) -> &Path {
        match self {
            Origin::Model(path) => path,
            Origin::Case(case) => &case.model,
        }
    }
}

/// All named networks. The function reads each of them once, to report unreadable files before any run.
fn networks(args: &SweepArgs, registry: &Registry) -> Result<Vec<PendingNetwork>, Failure> {
    let reference = read_reference(&args.reference, &args.place)?;
    let mut networks = Vec::new();
    let paths: Vec<&Path> = args.networks.iter().map(PathBuf::as_path).collect();
    for (path, name) in args.networks.iter().zip(network_names(&paths)) {
        if path.extension().is_some_and(|end| end == "onnx") {
            networks.push(PendingNetwork {
                origin: Origin::Model(path.clone()),
                reference: reference.clone(),
                deadline: Duration::from_secs(args.timeout),
                row: unknown_row(name),
                decoder: None,
            });
            continue;
        }
        for (_, case) in load(std::slice::from_ref(path))? {
            networks.push(PendingNetwork {
                reference: resolved(&case, &case.reference, None)?,
                deadline: Duration::from_secs(case.timeout.unwrap_or(args.timeout)),
                row: unknown_row(case.id.clone()),
                decoder: None,
                origin: Origin::Case(Box::new(case)),
            });
        }
    }
    let mut names = BTreeSet::new();
    for network in &mut networks {
        network.describe(args, registry)?;
        if !names.insert(network.row.name.clone()) {
            return Err(same_name(&network.row.name));
        }
    }
    Ok(networks)
}

fn unknown_row(name: String) -> MatrixRow {
    MatrixRow {
        name,
        system: None,
        digest: Digest::of([]),
        nodes: 0,
        op_types: BTreeSet::new(),
        inputs: Vec::new(),
        reference: String::new(),
        cells: BTreeMap::new(),
    }
}

impl PendingNetwork {
    fn open(&self, args: &SweepArgs, registry: &Registry) -> Result<(Model, Vec<Feed>), Failure> {
        match &self.origin {
            Origin::Case(case) => {
                let (target, deadline) = (&self.reference, self.deadline);
                prepare(case, AskedReference { registry, target, deadline })
            }
            Origin::Model(path) => load_fed(path, &args.feed),
        }
    }

    fn describe(&mut self, args: &SweepArgs, registry: &Registry) -> Result<(), Failure> {
        self.row.system = args.system.clone();
        self.row.reference = public(&self.reference.to_string());
        let decoder = match &self.origin {
            Origin::Model(path) => PromptedDecoder::read(path, args.steps)?,
            Origin::Case(_) => None,
        };
        if let Some((decoder, model)) = decoder {
            (self.row.digest, self.row.nodes) = identity(&model);
            self.row.inputs = vec![decoder.input()];
            self.decoder = Some(decoder);
            return Ok(());
        }
        let (model, feeds) = self.open(args, registry)?;
        let input = |feed: &Feed| RowInput {
            name: feed.name.clone(),
            spec: public(&feed.spec),
            digest: feed.digest.clone(),
        };
        (self.row.digest, self.row.nodes) = identity(&model);
        self.row.inputs = feeds.iter().map(input).collect();
        Ok(())
    }
}

/// What a row says of its network.
fn identity(model: &Model) -> (Digest, usize) {
    (model.digest().clone(), model.as_written().node_count())
}

/// The journal under `--out`. Without `--out` the journal has no file.
fn open_journal(
    args: &SweepArgs,
    shard: Shard,
    networks: &[PendingNetwork],
    targets: &[(String, Target)],
) -> Result<SearchJournal<Cell>, Failure> {
    let Some(folder) = &args.giving.out else { return Ok(SearchJournal::default()) };
    let path = folder.join(format!("journal-matrix{}.jsonl", shard.suffix()));
    // Everything that affects a cell, including the documents of devices.
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let mut parts = vec![version, shard.to_string(), args.fallback.to_string()];
    parts.extend(targets.iter().map(|(_, target)| format!("{target:?}")));
    for PendingNetwork { row, deadline, .. } in networks {
        let row = serde_json::to_string(row).map_err(|_| Failure::bug())?;
        parts.push(format!("{row} {deadline:?}"));
    }
    let key = Digest::of(parts.iter().map(String::as_bytes));
    SearchJournal::open(&path, key.hex()).map_err(|error| Failure::write(&path, error))
}

/// One sweep in progress.
struct Sweep<'a> {
    args: &'a SweepArgs,
    shard: Shard,
    targets: &'a [(String, Target)],
    registry: Registry,
    journal: Mutex<SearchJournal<Cell>>,
    progress: ProgressBar,
    /// The first page that could not be written.
    unwritten: Mutex<Option<Failure>>,
}

/// An opened network, and the reference's result.
struct Opened {
    model: Model,
    feeds: Vec<Feed>,
    deadline: Duration,
    reference: Reference,
}

impl Sweep<'_> {
    /// Fills the network's cells of this share.
    fn row(
        &self,
        number: usize,
        network: &PendingNetwork,
        sessions: &mut Sessions<'_>,
    ) -> MatrixRow {
        let mut row = network.row.clone();
        let mut opened: Option<Result<Opened, Box<Cell>>> = None;
        let page_of =
            |number| CellPage { number, row: &network.row.name, network: network.origin.file() };
        for (at, (name, target)) in self.targets.iter().enumerate() {
            if interrupted() {
                break;
            }
            if !self.shard.has(number * self.targets.len() + at) {
                continue;
            }
            let probe = format!("{} on {name}", row.label());
            self.progress.set_message(probe.clone());
            let cell = match self.known(&probe) {
                Ok(cell) => cell,
                Err(attempt) => {
                    self.journal().start(&attempt);
                    let place = page_of(number * self.targets.len() + at);
                    let cell = match &network.decoder {
                        Some(decoder) => self.decoded(decoder, network, (name, target), &place),
                        None => match opened.get_or_insert_with(|| self.open(network)) {
                            Ok(opened) => self.cell(opened, target, sessions[at].as_mut(), &place),
                            Err(unclear) => Cell::clone(unclear),
                        },
                    };
                    if interrupted() {
                        self.journal().withdraw(&attempt);
                        break;
                    }
                    self.journal().done(&attempt, &cell);
                    cell
                }
            };
            row.cells.insert(name.clone(), cell);
        }
        row
    }

    /// The cell from an earlier command, or the name of the attempt to begin now.
    fn known(&self, probe: &str) -> Result<Cell, String> {
        let journal = self.journal();
        for attempt in 1..=ATTEMPTS {
            let name = format!("{probe}, attempt {attempt}");
            match journal.known(&name) {
                Known::Done(cell) => return Ok(cell),
                Known::New => return Err(name),
                Known::Interrupted => {}
            }
        }
        Ok(Cell::unclear(format!(
            "{ATTEMPTS} times this command ended while the cell was filled, so it was not started again"
        )))
    }

    fn journal(&self) -> MutexGuard<'_, SearchJournal<Cell>> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The network and the reference's outputs, which every cell of the row needs.
    fn open(&self, network: &PendingNetwork) -> Result<Opened, Box<Cell>> {
        let unclear = |failure: Failure| Box::new(Cell::unclear(public(&failure.line())));
        let (model, feeds) = network.open(self.args, &self.registry).map_err(unclear)?;
        let deadline = network.deadline;
        let request = Request { model: &model, feeds: &feeds, repeats: 1, deadline };
        let reference = Reference::run(&self.registry, &request, &network.reference);
        let reference = reference.map_err(unclear)?;
        Ok(Opened { model, feeds, deadline, reference })
    }

    fn engines<'s>(&'s self, network: &'s PendingNetwork) -> CellEngines<'s> {
        CellEngines {
            registry: &self.registry,
            reference: &network.reference,
            deadline: network.deadline,
            targets: self.all_targets(),
        }
    }

    fn all_targets(&self) -> Vec<Target> {
        self.targets.iter().map(|(_, target)| target.clone()).collect()
    }

    /// Runs one target. If its outputs are wrong, walks its operators.
    fn cell(
        &self,
        opened: &Opened,
        target: &Target,
        engine: &mut dyn EngineSession,
        place: &CellPage<'_>,
    ) -> Cell {
        let Opened { model, feeds, reference, .. } = opened;
        let request = Request { model, feeds, repeats: REPEATS, deadline: opened.deadline };
        let settings = Settings { targets: self.all_targets(), ..Settings::default() };
        let session = Evaluator::new(request, &self.registry, reference, settings);
        let whole = match model.size() {
            0..=MOST_KEPT => session.run_in(engine, target),
            _ => session.run(target),
        };
        if whole.verdict.kind.news() != News::Bad {
            return cell(&whole);
        }
        let Some(walked) = self.walk(&session, target) else { return cell(&whole) };
        let fallback = walked.fallback.clone();
        // If the walk cannot confirm the finding, the cell keeps the run's sentence.
        let report = if walked.verdict.kind.news() == News::Bad { walked } else { whole };
        let report = TargetReport { fallback, ..report };
        let page = match (&self.args.giving.out, &report.walk) {
            (Some(folder), Some(_)) => {
                let made = (&request, &self.registry, reference);
                self.written(place.write_walk(folder, made, &report))
            }
            _ => None,
        };
        Cell { page, ..cell(&report) }
    }

    /// Decodes on one target. If it parts, the cell has a page.
    fn decoded(
        &self,
        decoder: &PromptedDecoder,
        network: &PendingNetwork,
        (name, target): (&str, &Target),
        place: &CellPage<'_>,
    ) -> Cell {
        let (cell, decode) = decoder.cell(target, &self.engines(network));
        let page = match (&self.args.giving.out, decode) {
            (Some(folder), Some(decode)) => self.written(place.write_decode(folder, name, &decode)),
            _ => None,
        };
        Cell { page, ..cell }
    }

    /// The page that was written. The command reports the first failure at the end.
    fn written(&self, page: Result<String, Failure>) -> Option<String> {
        let mut unwritten = self.unwritten.lock().unwrap_or_else(PoisonError::into_inner);
        page.map_err(|failure| unwritten.get_or_insert(failure)).ok()
    }

    /// Walks a target. An engine that shows no operators is asked for every value as an output.
    fn walk(&self, session: &Evaluator<'_>, target: &Target) -> Option<TargetReport> {
        if self.registry.walker(target).is_none() {
            return session.walk_by_outputs(target, &mut |_| ()).ok();
        }
        let walked = self.follow(session, target).ok()?;
        let fallback = walked.fallback.clone();
        Some(TargetReport { fallback, ..session.judge_walked(target, walked) })
    }

    /// Walks, and searches for a fallback if the user asks for one. If the search fails, walks without
    /// it.
    fn follow(&self, session: &Evaluator<'_>, target: &Target) -> Result<WorkerWalk, Failure> {
        let goal = Goal::Tolerance(tolerance_of(target, session.truth(), None));
        let plan =
            FallbackPlan { by: By::Type, goal, raise: false, expected: session.truth().to_vec() };
        if self.args.fallback {
            let searched = session.follow(target, Some(&plan), &mut |_| ())?;
            if searched.found.is_some() {
                return Ok(searched);
            }
        }
        session.follow(target, None, &mut |_| ())
    }
}
