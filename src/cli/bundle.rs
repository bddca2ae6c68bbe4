//! `offby report bundle`: packs a report, and all files needed to reproduce its finding, into one file.

use super::place::read_target;
use super::place_for_results::can_hold_file;
use super::replay::{BundleEngines, PartRuns, run_on};
use super::report::{read_saved, text_for_file};
use super::report_args::BundleArgs;
use super::screen;
use super::stored::{load_specimen, relative_to, store_tensors};
use crate::bundle::{
    BUNDLE_SCHEMA, BundledFinding, DEVICE, LeftOut, Manifest, MnnSettings, Reproduction, cpp,
    folder_size, pack, python, readme, write_manifest,
};
use crate::case::{Case, CaseTarget, Expectation, write_device};
use crate::engine::{Backend, Output, Precision, SimTarget, Target, Weights};
use crate::graph::{Cut, Model, ValueName};
use crate::inputs::{Feed, Normalization, draw, parse_inputs};
use crate::report::{InputReport, Report, TargetReport, report_html, report_markdown};
use crate::session::Failure;
use crate::session::Registry;
use crate::shrink::{Specimen, by_itself};
use crate::sim::Device;
use crate::tensor::Tensor;
use crate::verdict::{Kind, News};
use crate::worker::find_converter;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Files to leave out of a bundle that is too large, in this order, each with the cost for the reader.
const SPARE: &[(&str, &str)] = &[
    ("model.mnn", "it is made again from model.onnx by MNN's converter"),
    ("report.html", "`offby report render` makes it again from report.json"),
    ("found", "what the target made of it on the machine of the report"),
    ("expected", "the reference computes it again"),
];

/// Gathers, proves and packs; returns exit code 0 after writing the bundle.
pub(super) fn bundle(args: &BundleArgs) -> Result<u8, Failure> {
    can_hold_file(&args.output)?;
    let (saved, report) = read_saved(&args.report)?;
    let wrong = wrong_target(&report)?;
    let target = read_target(&wrong.target, &args.place)?;
    let (model, feeds) = network(args, &report)?;
    let registry = Registry::new(find_converter(), args.place.limits.memory)?;
    let deadline = Duration::from_secs(args.timeout);

    let progress = screen::progress(false);
    progress.set_message("looking for the smallest part that shows it");
    let node = accused(wrong);
    let shows = |kind: Kind| kind == wrong.verdict.kind || both_bad(kind, wrong.verdict.kind);
    let parts = parts(&model, &feeds, node.as_deref());
    let reference = report.reference.parse()?;
    let engines =
        BundleEngines { registry: &registry, reference: &reference, target: &target, deadline };
    let found = smallest(engines, parts, &shows)?;
    let staging =
        tempfile::tempdir().map_err(|error| Failure::write(Path::new("TMPDIR"), error))?;
    let stage = Stage {
        folder: staging.path(),
        reference: &reference,
        target: &target,
        found: &found,
        node,
    };
    progress.set_message("gathering files");
    let (tensors, mut left_out) = stage.write(&saved, &report, &registry, deadline)?;
    left_out.extend(stage.fit(args.max_size << 20)?);
    progress.set_message("proving it from its own files");
    stage.prove(&tensors, engines)?;
    stage.describe(&args.output, &tensors, left_out)?;
    pack(staging.path(), &args.output).map_err(|error| Failure::write(&args.output, error))?;
    progress.finish_and_clear();
    let bytes = fs::metadata(&args.output).map_or(0, |file| file.len());
    screen::show(&format!(
        "{}: {bytes} bytes; {} on {}, shown again from its own files\nreplay it: offby replay {}\n",
        args.output.display(),
        found.ran.report.verdict.kind,
        target,
        args.output.display()
    ));
    Ok(0)
}

/// The first target that does not agree.
fn wrong_target(report: &Report) -> Result<&TargetReport, Failure> {
    let wrong = report.targets.iter().find(|target| target.verdict.kind != Kind::Agrees);
    wrong.ok_or_else(|| {
        Failure::new(
            "bundle the report: every target agrees, so there is no finding",
            "bundle the report of a run or a walk that found something",
        )
    })
}

/// The ONNX node that the walk names first.
fn accused(target: &TargetReport) -> Option<String> {
    let (source, node) = target.walk.as_ref()?.accused().next()?;
    Some(node.unwrap_or(source).to_owned())
}

/// The file of a report's network: at its path, or next to the report, where `--out` keeps a link to it.
fn network_of(report: &Path, named: &str) -> PathBuf {
    let named = PathBuf::from(at_home(named));
    if named.is_file() {
        return named;
    }
    let folder = report.parent().unwrap_or(Path::new(""));
    let next_to = folder.join(named.file_name().unwrap_or_default());
    // External data is next to the file itself, and not next to the link.
    let file = next_to.canonicalize();
    file.unwrap_or_else(|_| folder.join(named))
}

/// The path with the home folder in place of `~`, which reports have for it.
fn at_home(path: &str) -> String {
    match (path.strip_prefix("~/"), std::env::var("HOME")) {
        (Some(rest), Ok(home)) => format!("{home}/{rest}"),
        _ => path.to_owned(),
    }
}

/// The report's network and its feeds, both checked against the report's digests.
fn network(args: &BundleArgs, report: &Report) -> Result<(Model, Vec<Feed>), Failure> {
    let path = args.model.clone().unwrap_or_else(|| network_of(&args.report, &report.model.path));
    let mut model = Model::load(&path).map_err(|error| {
        Failure::new(error.to_string(), "name the report's network with --model FILE")
    })?;
    if *model.digest() != report.model.digest {
        return Err(Failure::new(
            format!("bundle the report: {} is not the network it is about", path.display()),
            "its digest differs; give the right one with --model FILE, or walk this one again",
        ));
    }
    let shapes: BTreeMap<ValueName, Vec<usize>> =
        report.inputs.iter().map(|input| (input.name.clone(), input.shape.clone())).collect();
    model.fix_shapes(&shapes)?;
    let texts: Vec<String> = report
        .inputs
        .iter()
        .map(|input| format!("{}={}", input.name, at_home(&input.spec)))
        .collect();
    let specs = parse_inputs(&texts, model.inputs(), &Normalization::default())?;
    let feeds = draw(&model, &specs)?;
    match feeds.iter().find(|feed| !is_as_reported(feed, &report.inputs)) {
        None => Ok((model, feeds)),
        Some(feed) => Err(Failure::new(
            format!("bundle the report: input `{}` is not what the report had", feed.name),
            "the file it came from has changed since; make the report again",
        )),
    }
}

fn is_as_reported(feed: &Feed, inputs: &[InputReport]) -> bool {
    inputs.iter().any(|input| input.name == feed.name && input.digest == feed.digest)
}

/// A part of the network that shows the finding, and the run that showed it.
struct Found {
    specimen: Specimen,
    ran: PartRuns,
}

/// Whether both verdicts are bad. A part of a network may be wrong in a different way from the whole. A
/// target that falls back or is missing is not bad.
fn both_bad(a: Kind, b: Kind) -> bool {
    a.news() == News::Bad && b.news() == News::Bad
}

/// The node by itself, the network up to the node, and the whole network.
fn parts(model: &Model, feeds: &[Feed], node: Option<&str>) -> Vec<Specimen> {
    let mut parts = Vec::new();
    if let Some(node) = node {
        parts.extend(by_itself(model, feeds, node).ok().flatten());
        let to = model.find_value(node).ok();
        let part = to.and_then(|to| model.cut(&Cut::to(to)).ok());
        parts.extend(part.map(|model| Specimen { model, feeds: feeds.to_vec() }));
    }
    parts.push(Specimen { model: model.clone(), feeds: feeds.to_vec() });
    parts
}

/// The first part that shows the report's finding.
fn smallest(
    asked: BundleEngines<'_>,
    parts: Vec<Specimen>,
    shows: &dyn Fn(Kind) -> bool,
) -> Result<Found, Failure> {
    for specimen in parts {
        let ran = run_on(asked, &specimen)?;
        if shows(ran.report.verdict.kind) {
            return Ok(Found { specimen, ran });
        }
    }
    Err(Failure::new(
        "bundle the report: its finding does not show here any more",
        "a bundle is only written of what can be seen again; make the report again",
    ))
}

/// The tensors' files, with paths relative to the bundle.
struct Tensors {
    inputs: BTreeMap<ValueName, PathBuf>,
    expected: BTreeMap<ValueName, PathBuf>,
    found: BTreeMap<ValueName, PathBuf>,
}

/// The folder that becomes the bundle.
struct Stage<'a> {
    folder: &'a Path,
    reference: &'a Target,
    target: &'a Target,
    found: &'a Found,
    node: Option<String>,
}

impl Stage<'_> {
    /// Writes all files except the manifest; returns the files that could not be made.
    fn write(
        &self,
        saved: &str,
        report: &Report,
        registry: &Registry,
        deadline: Duration,
    ) -> Result<(Tensors, Vec<LeftOut>), Failure> {
        let specimen = &self.found.specimen;
        self.file("model.onnx", &specimen.model.as_written().to_whole_bytes()?)?;
        self.file("report.json", saved.as_bytes())?;
        self.file("report.md", report_markdown(report).as_bytes())?;
        self.file("report.html", report_html(report).as_bytes())?;
        self.file("report.txt", text_for_file(report).as_bytes())?;
        if let Some(environment) = &report.environment {
            let text = serde_json::to_string_pretty(environment).map_err(|_| Failure::bug())?;
            self.file("environment.json", (text + "\n").as_bytes())?;
        }
        if let Some(device) = self.own_device() {
            let path = self.folder.join(DEVICE);
            write_device(device, &path).map_err(|error| Failure::write(&path, error))?;
        }
        let feeds: Vec<_> = specimen.feeds.iter().map(|f| (&f.name, &f.tensor)).collect();
        let tensors = Tensors {
            inputs: self.tensors("inputs", &feeds)?,
            expected: self.tensors("expected", &named(&self.found.ran.expected))?,
            found: self.tensors("found", &named(&self.found.ran.found))?,
        };
        self.case(&tensors).write(&self.folder.join("case.yaml"))?;
        Ok((tensors, self.converted(registry, deadline)?))
    }

    /// Stores tensors in a folder of the bundle; returns their paths relative to the bundle.
    fn tensors(
        &self,
        inner: &str,
        tensors: &[(&ValueName, &Tensor)],
    ) -> Result<BTreeMap<ValueName, PathBuf>, Failure> {
        Ok(relative_to(self.folder, &store_tensors(&self.folder.join(inner), tensors)?))
    }

    fn file(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        super::answer::write(&self.folder.join(name), bytes)
    }

    fn converted(&self, registry: &Registry, deadline: Duration) -> Result<Vec<LeftOut>, Failure> {
        let Target::Mnn(target) = self.target.itself() else { return Ok(Vec::new()) };
        let weights = target.weights.unwrap_or(Weights::Fp32);
        let model = &self.found.specimen.model;
        let converted =
            registry.converter().convert(model, weights, deadline, registry.interrupt());
        match converted {
            Ok(path) => {
                let bytes = fs::read(&path).map_err(|error| Failure::write(&path, error))?;
                self.file("model.mnn", &bytes)?;
                Ok(Vec::new())
            }
            Err(error) => Ok(vec![LeftOut { what: "model.mnn".into(), why: error.to_string() }]),
        }
    }

    /// The simulated device, unless it is built in.
    fn own_device(&self) -> Option<&Device> {
        match self.target.itself() {
            Target::Sim(target) if target.is_document() => target.device.as_ref(),
            _ => None,
        }
    }

    fn case(&self, tensors: &Tensors) -> Case {
        let kind = self.found.ran.report.verdict.kind;
        let title = format!("{kind} on {}", self.target.itself());
        let expect = Some(Expectation::verdict(kind));
        let on = match self.own_device() {
            Some(_) => Target::Sim(SimTarget { name: DEVICE.into(), device: None }),
            None => self.target.itself().clone(),
        };
        let targets = vec![CaseTarget { on, when: None, expect }];
        let inputs = tensors.inputs.clone();
        Case { targets, ..Case::stored("bundle", title, "model.onnx".into(), inputs) }
    }

    /// Leaves out spare files until the bundle is small enough.
    fn fit(&self, limit: u64) -> Result<Vec<LeftOut>, Failure> {
        let mut left_out = Vec::new();
        for (name, cost) in SPARE {
            if self.size()? <= limit {
                break;
            }
            let path = self.folder.join(name);
            let gone =
                if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            if gone.is_ok() {
                let why = format!("the bundle would be larger than {limit} bytes; {cost}");
                left_out.push(LeftOut { what: (*name).to_owned(), why });
            }
        }
        let size = self.size()?;
        if size > limit {
            return Err(Failure::new(
                format!(
                    "bundle the report: what cannot be spared has {size} bytes, and {limit} are allowed"
                ),
                "allow more with --max-size MEGABYTES, or shrink the network first: offby shrink",
            ));
        }
        Ok(left_out)
    }

    fn size(&self) -> Result<u64, Failure> {
        folder_size(self.folder).map_err(|error| Failure::write(self.folder, error))
    }

    /// Reproduces the finding from the written files.
    fn prove(&self, files: &Tensors, asked: BundleEngines<'_>) -> Result<(), Failure> {
        let here = |(name, file): (&ValueName, &PathBuf)| (name.clone(), self.folder.join(file));
        let inputs = files.inputs.iter().map(here).collect();
        let specimen = load_specimen(&self.folder.join("model.onnx"), &inputs)?;
        let again = run_on(asked, &specimen)?;
        let (was, is) = (self.found.ran.report.verdict.kind, again.report.verdict.kind);
        if was == is {
            return Ok(());
        }
        Err(Failure::new(
            format!("bundle the report: from the bundle's own files it is {is}, not {was}"),
            "the finding is not stable; a bundle of it would only waste somebody's time",
        ))
    }

    fn describe(
        &self,
        output: &Path,
        tensors: &Tensors,
        left_out: Vec<LeftOut>,
    ) -> Result<(), Failure> {
        let ran = &self.found.ran;
        let finding = BundledFinding {
            target: self.target.itself().to_string(),
            reference: self.reference.to_string(),
            kind: ran.report.verdict.kind.name().into(),
            sentence: ran.report.verdict.sentence.clone(),
            node: self.node.clone(),
            ran_on: ran.ran_on(),
            previews: ran.previews(),
        };
        let text = |path: &PathBuf| path.display().to_string();
        let inputs: Vec<(String, String)> =
            tensors.inputs.iter().map(|(name, path)| (name.to_string(), text(path))).collect();
        let outputs: Vec<(String, String, Option<String>)> = tensors
            .expected
            .iter()
            .map(|(name, right)| {
                let found = tensors.found.get(name);
                let there = found.filter(|found| self.folder.join(found).is_file());
                (name.to_string(), text(right), there.map(text))
            })
            .collect();
        let complete = self.folder.join("expected").is_dir();
        let mnn = settings(self.target).filter(|_| complete);
        let reproduction =
            Reproduction { finding: &finding, mnn, inputs: &inputs, outputs: &outputs };
        if let Some(text) = python(&reproduction) {
            self.file("reproduce.py", text.as_bytes())?;
        }
        if let Some(text) = cpp(&reproduction) {
            self.file("reproduce.cpp", text.as_bytes())?;
        }
        let name = output.file_name().map_or("bundle".into(), |name| name.to_string_lossy());
        self.file("README.md", readme(&reproduction, &name).as_bytes())?;
        let mut manifest = Manifest {
            schema: BUNDLE_SCHEMA.into(),
            offby: env!("CARGO_PKG_VERSION").into(),
            finding,
            inputs,
            files: Vec::new(),
            left_out,
        };
        write_manifest(self.folder, &mut manifest)
            .map_err(|error| Failure::write(self.folder, error))
    }
}

fn named(outputs: &[Output]) -> Vec<(&ValueName, &Tensor)> {
    outputs.iter().map(|output| (&output.name, &output.tensor)).collect()
}

/// A target in MNN's numbers: `MNNForwardType` and `BackendConfig::PrecisionMode` from MNN's headers.
fn settings(target: &Target) -> Option<MnnSettings> {
    let Target::Mnn(target) = target.itself() else { return None };
    let (forward_type, python_backend) = match target.backend {
        Backend::Cpu => (0, "CPU"),
        Backend::Cuda => (2, "CUDA"),
        Backend::Opencl => (3, "OPENCL"),
        Backend::Opengl => (6, "OPENGL"),
        Backend::Vulkan => (7, "VULKAN"),
    };
    let (precision, python_precision) = match target.precision {
        Precision::Normal => (0, "normal"),
        Precision::High => (1, "high"),
        Precision::Low => (2, "low"),
    };
    Some(MnnSettings { forward_type, python_backend, precision, python_precision })
}
