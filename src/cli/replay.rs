//! `offby replay`: runs a bundle from a different machine.

use super::answer;
use super::args::ReplayArgs;
use super::place::{in_place, read_target};
use super::screen;
use super::stored::load_specimen;
use crate::bundle::DEVICE;
use crate::bundle::{LIMITS, Manifest, read_manifest, unpack};
use crate::case::{load_device, resolve};
use crate::engine::{Output, Request, SimTarget, Target};
use crate::graph::ValueName;
use crate::report::{ReplayReport, Sameness, TargetReport, ToolReport, replay_text};
use crate::session::Registry;
use crate::session::{Evaluator, Failure, Reference, Settings};
use crate::shrink::Specimen;
use crate::verdict::exit_code;
use crate::worker::find_converter;
use std::collections::BTreeMap;
use std::path::{Component, Path};
use std::time::Duration;

/// Runs of the target: two, to show outputs that differ between runs.
const REPEATS: usize = 2;

/// Unpacks into a temporary folder, runs, and compares with the bundle's finding. Returns the exit code
/// for the verdict on this machine.
pub(super) fn replay(args: &ReplayArgs) -> Result<u8, Failure> {
    let folder = tempfile::tempdir().map_err(|error| Failure::write(Path::new("TMPDIR"), error))?;
    unpack(&args.bundle, folder.path(), LIMITS)?;
    let manifest = read_manifest(folder.path())?;
    let specimen = specimen(folder.path(), &manifest)?;
    let target = match &args.on {
        Some(on) => read_target(on, &args.place)?,
        None => in_place(known_target(&manifest, folder.path())?, &args.place)?,
    };
    let registry = Registry::new(find_converter(), args.place.limits.memory)?;
    let progress = screen::progress(args.output.quiet);
    progress.set_message(target.to_string());
    let reference = manifest.finding.reference.parse()?;
    let deadline = Duration::from_secs(args.timeout);
    let asked =
        BundleEngines { registry: &registry, reference: &reference, target: &target, deadline };
    let ran = run_on(asked, &specimen)?;
    progress.finish_and_clear();
    let report = ReplayReport {
        schema: crate::report::SCHEMA.into(),
        tool: ToolReport::this(),
        command: "replay".into(),
        sameness: sameness(&manifest, &ran),
        ran_on: ran.ran_on(),
        previews: ran.previews(),
        then: manifest,
        now: ran.report,
    };
    answer::give(&args.output, &report, || {
        replay_text(&report, screen::width(), screen::painter())
    })?;
    Ok(exit_code([report.now.verdict.kind]))
}

/// The two engines of a bundle.
#[derive(Clone, Copy)]
pub(super) struct BundleEngines<'a> {
    pub(super) registry: &'a Registry,
    pub(super) reference: &'a Target,
    pub(super) target: &'a Target,
    pub(super) deadline: Duration,
}

/// The result of one part of a network on one target.
pub(super) struct PartRuns {
    /// The judged comparison with the reference.
    pub(super) report: TargetReport,
    /// The reference's outputs.
    pub(super) expected: Vec<Output>,
    /// The target's outputs.
    pub(super) found: Vec<Output>,
}

impl PartRuns {
    /// Backend, device and driver in one line.
    pub(super) fn ran_on(&self) -> String {
        let Some(ran_on) = &self.report.ran_on else { return "nothing: it did not run".into() };
        let parts = [
            format!("{} {}", ran_on.engine, ran_on.engine_version),
            ran_on.backend.clone(),
            ran_on.device.clone(),
            ran_on.driver.clone(),
        ];
        parts.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(", ")
    }

    /// For each output: its name, the reference's preview and the target's preview.
    pub(super) fn previews(&self) -> Vec<(String, String, String)> {
        let outputs = self.report.outputs.iter();
        let pairs = outputs.filter_map(|output| {
            let comparison = output.comparison.as_ref()?;
            let (right, found) = (&comparison.reference_preview, &comparison.preview);
            Some((output.name.to_string(), right.clone(), found.clone()))
        });
        pairs.collect()
    }
}

/// Runs a part of a network on the reference and on a target.
pub(super) fn run_on(
    BundleEngines { registry, reference, target, deadline }: BundleEngines<'_>,
    specimen: &Specimen,
) -> Result<PartRuns, Failure> {
    let (model, feeds) = (&specimen.model, &specimen.feeds[..]);
    let request = Request { model, feeds, repeats: REPEATS, deadline };
    let reference = Reference::run(registry, &request, reference)?;
    let session = Evaluator::new(request, registry, &reference, Settings::default());
    let execution = registry.engine(target).execute(&request);
    let found = execution.outputs.clone();
    let report = session.judge_run(target, execution);
    Ok(PartRuns { report, expected: session.truth().to_vec(), found })
}

/// Reads the bundle's network and its feeds, only from files in the bundle.
fn specimen(folder: &Path, manifest: &Manifest) -> Result<Specimen, Failure> {
    let mut inputs = BTreeMap::new();
    for (name, file) in &manifest.inputs {
        let plain = Path::new(file).components().all(|part| matches!(part, Component::Normal(_)));
        if !plain {
            return Err(Failure::new(
                format!("read the bundle: its input `{file}` leads out of it"),
                "offby writes no such bundle: somebody changed this one",
            ));
        }
        inputs.insert(ValueName::from(name.as_str()), folder.join(file));
    }
    load_specimen(&folder.join("model.onnx"), &inputs)
}

/// The manifest's target. A simulated device must be built in or be a file in the bundle, because a
/// stranger's bundle must not choose files of this machine.
fn known_target(manifest: &Manifest, folder: &Path) -> Result<Target, Failure> {
    let text = &manifest.finding.target;
    let target = match text.parse()? {
        Target::Sim(target) if target.is_document() => target,
        other => return Ok(resolve(other)?),
    };
    let document = folder.join(DEVICE);
    if !document.is_file() {
        return Err(Failure::new(
            format!("replay on {text}: the device's document is not in the bundle"),
            "name the target with --on, such as --on sim:path/to/device.yaml",
        ));
    }
    let device = Some(load_device(&document.display().to_string())?);
    Ok(Target::Sim(SimTarget { device, ..target }))
}

fn sameness(manifest: &Manifest, ran: &PartRuns) -> Sameness {
    use crate::verdict::News;
    let kind = ran.report.verdict.kind;
    if kind.news() == News::None && kind.name() != manifest.finding.kind {
        Sameness::CannotRun
    } else if kind.name() == manifest.finding.kind {
        Sameness::Same
    } else {
        Sameness::Different
    }
}
