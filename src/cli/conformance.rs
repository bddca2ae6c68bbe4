//! ONNX's own backend tests on every target: the passing tests, and the outcome of each other test.

use super::answer::{self, Unwritten};
use super::args::CaseRunArgs;
use super::jobs::on_threads;
use super::matrix_from::{cell, public};
use super::place::{behind, read_via};
use super::place_for_results::can_hold_results;
use super::screen;
use crate::case::{BackendTest, find_backend_tests};
use crate::compare::Tolerance;
use crate::engine::{EngineSession, Output, Request, Target};
use crate::graph::{Model, ResolvedInput, read_tensor_proto};
use crate::inputs::{Feed, Spec, draw};
use crate::matrix::{Cell, Matrix, MatrixRow, RowInput};
use crate::report::{conformance_markdown, conformance_text, matrix_html, matrix_markdown};
use crate::session::Registry;
use crate::session::{Failure, examine_against};
use crate::tensor::{Digest, Tensor};
use crate::verdict::{Kind, News};
use crate::worker::{find_converter, interrupted};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

/// The targets of the tests; `--on` selects some of them. OpenCL runs with `tune=none`: tuning takes
/// six times as long, and only measures time.
const TARGETS: [&str; 5] =
    ["tract", "mnn:cpu", "mnn:vulkan:high", "mnn:opencl:high,tune=none", "ort:cpu"];
/// ONNX's own limits for its tests: `onnx.backend.test.runner`.
const TOLERANCE: (f64, f64) = (1e-7, 1e-3);
/// Time limit for a target in one test.
const DEADLINE: Duration = Duration::from_secs(120);

/// Runs every test on every target and reports; returns the exit code.
pub(super) fn conformance(args: &CaseRunArgs, folder: &Path) -> Result<u8, Failure> {
    args.out.as_deref().map_or(Ok(()), can_hold_results)?;
    args.output.can_be_written()?;
    let registry = Registry::new(find_converter(), args.limits.memory)?;
    let matrix = run_tests(folder, &targets(args)?, &registry, args.jobs, args.output.quiet)?;
    give(args, &matrix)
}

/// Runs every test of a folder on every target.
pub(super) fn run_tests(
    folder: &Path,
    targets: &[Target],
    registry: &Registry,
    jobs: Option<usize>,
    quiet: bool,
) -> Result<Matrix, Failure> {
    let tests =
        find_backend_tests(folder).map_err(|error| unreadable(folder, &error.to_string()))?;
    if tests.is_empty() {
        return Err(unreadable(folder, "there is no test in it"));
    }
    let progress = screen::progress(quiet);
    let columns = on_threads(targets, jobs, |target| {
        let engine = registry.engine(target);
        let mut session = engine.session();
        let on = |test: &BackendTest| {
            progress.set_message(format!("{} on {target}", test.name));
            (!interrupted()).then(|| run(test, target, session.as_mut()))
        };
        tests.iter().map(on).collect::<Vec<Option<Cell>>>()
    });
    progress.finish_and_clear();
    let mut rows: Vec<MatrixRow> = tests.iter().map(describe).collect();
    for (target, cells) in targets.iter().zip(columns) {
        for (row, cell) in rows.iter_mut().zip(cells) {
            row.cells.extend(cell.map(|cell| (target.to_string(), cell)));
        }
    }
    let names = targets.iter().map(Target::to_string);
    Ok(Matrix { interrupted: interrupted(), ..Matrix::new(names, rows) })
}

fn unreadable(folder: &Path, why: &str) -> Failure {
    Failure::new(
        format!("read ONNX backend tests in {}: {why}", folder.display()),
        "give the folder onnx/backend/test/data of the Python package onnx, or a part of it; `python -m onnx.backend.test.cmd_tools generate-data -o DIR` makes those of single nodes",
    )
}

fn targets(args: &CaseRunArgs) -> Result<Vec<Target>, Failure> {
    let via = read_via(args.via.as_deref())?;
    let only = args.on.as_deref();
    let mut chosen: Vec<&str> =
        TARGETS.into_iter().filter(|name| only.is_none_or(|only| name.contains(only))).collect();
    // A target outside of the list has to be named whole.
    chosen.extend(only.filter(|only| chosen.is_empty() && only.parse::<Target>().is_ok()));
    if chosen.is_empty() {
        return Err(Failure::new(
            format!("choose targets by `{}`", only.unwrap_or_default()),
            format!("name a target, or a part of one of {}", TARGETS.join(", ")),
        ));
    }
    chosen.into_iter().map(|name| behind(name.parse()?, via.as_ref())).collect()
}

/// The result of one test on one target.
fn run(test: &BackendTest, target: &Target, session: &mut dyn EngineSession) -> Cell {
    let opened = load(test).and_then(|model| open(test, model));
    let (model, feeds, truth) = match opened {
        Ok(opened) => opened,
        Err(failure) => return Cell::unclear(without_place(test, &failure.line())),
    };
    let request = Request { model: &model, feeds: &feeds, repeats: 1, deadline: DEADLINE };
    let execution = session.execute(&request);
    let (atol, rtol) = TOLERANCE;
    let user = Some(Tolerance::user(atol, rtol));
    let report = examine_against(target, execution.clone(), &truth, user, request);
    if report.verdict.kind.news() != News::Bad {
        return cell(&report);
    }
    // ONNX's absolute limit does not grow with the values, so rounding alone may exceed it in long sums. Only the
    // element type counts here, and no storage that the target declares: the reference declares none.
    let by_type = examine_against(&Target::Tract, execution, &truth, None, request);
    cell(if by_type.verdict.kind == Kind::Agrees { &by_type } else { &report })
}

/// Removes the path to the test's folder from a text, because the path is private to the user.
fn without_place(test: &BackendTest, text: &str) -> String {
    let place = test.model.parent().and_then(Path::parent);
    let place = place.map(|place| format!("{}/", place.display())).filter(|place| place != "/");
    public(&place.map_or(text.to_owned(), |place| text.replace(&place, "")))
}

fn load(test: &BackendTest) -> Result<Model, Failure> {
    Ok(Model::load(&test.model)?)
}

/// The model, its inputs and the expected outputs.
type Opened = (Model, Vec<Feed>, Vec<Output>);

/// The model with the shapes of its inputs, the inputs, and the expected outputs.
fn open(test: &BackendTest, mut model: Model) -> Result<Opened, Failure> {
    let tensors: Vec<Tensor> =
        test.inputs.iter().map(|path| tensor(path)).collect::<Result<_, Failure>>()?;
    let names: Vec<_> = model.inputs().iter().map(|input| input.name.clone()).collect();
    let shapes: BTreeMap<_, _> =
        names.iter().cloned().zip(tensors.iter().map(|tensor| tensor.shape().to_vec())).collect();
    model.fix_shapes(&shapes)?;
    let feeds = match test.inputs.is_empty() {
        true => model.resolved_inputs()?.iter().map(counting_up).collect::<Result<_, _>>()?,
        false => {
            let specs = names.into_iter().zip(test.inputs.iter().cloned().map(Spec::Pb)).collect();
            draw(&model, &specs)?
        }
    };
    let output = |(name, path): (_, &std::path::PathBuf)| {
        Ok::<_, Failure>(Output { name, tensor: tensor(path)? })
    };
    let named = model.outputs().iter().cloned().zip(&test.outputs);
    let truth = named.map(output).collect::<Result<_, _>>()?;
    Ok((model, feeds, truth))
}

/// Reads a tensor of numbers. A sequence, a map or strings are an error.
fn tensor(path: &Path) -> Result<Tensor, Failure> {
    let hint = "only tensors of numbers are fed and compared";
    read_tensor_proto(path).map_err(|error| Failure::new(error.to_string(), hint))
}

/// The input of ONNX's large networks: element i of n is i / n.
fn counting_up(input: &ResolvedInput) -> Result<Feed, Failure> {
    let count: usize = input.shape.iter().product();
    let elements = (0..count).map(|index| (index as f64 / count as f64) as f32).collect();
    let tensor = Tensor::from_f32(&input.shape, elements).map_err(|_| Failure::bug())?;
    Ok(Feed::new(input.name.clone(), format!("i / {count}"), tensor))
}

fn describe(test: &BackendTest) -> MatrixRow {
    let model = load(test).ok();
    let opened = model.clone().and_then(|model| open(test, model).ok());
    let feeds = opened.as_ref().map_or(&[][..], |(_, feeds, _)| feeds.as_slice());
    let input = |feed: &Feed| RowInput {
        name: feed.name.clone(),
        // The folder is private to the user; the test's name is enough.
        spec: match feed.spec.rsplit_once('/') {
            Some((_, file)) if !test.inputs.is_empty() => file.to_owned(),
            _ => feed.spec.clone(),
        },
        digest: feed.digest.clone(),
    };
    let types = |model: &Model| -> BTreeSet<String> {
        model.nodes().map(|node| node.op_type.to_owned()).collect()
    };
    MatrixRow {
        name: test.name.clone(),
        system: None,
        digest: model.as_ref().map_or(Digest::of([]), |model| model.digest().clone()),
        nodes: model.as_ref().map_or(0, Model::node_count),
        op_types: model.as_ref().map(types).unwrap_or_default(),
        inputs: feeds.iter().map(input).collect(),
        reference: "the outputs that ONNX ships".into(),
        cells: BTreeMap::new(),
    }
}

fn give(args: &CaseRunArgs, matrix: &Matrix) -> Result<u8, Failure> {
    let mut unwritten = Unwritten::default();
    if let Some(folder) = &args.out {
        let table = matrix_markdown(matrix).replacen("# ", "## ", 1);
        let renderings =
            [("md", conformance_markdown(matrix) + "\n" + &table), ("html", matrix_html(matrix))];
        unwritten.note(answer::write_forms(folder, "conformance", matrix, renderings));
    }
    unwritten.note(answer::give(&args.output, matrix, || {
        conformance_text(matrix, screen::columns(), args.output.verbose)
    }));
    unwritten.told()?;
    Ok(if matrix.interrupted { 3 } else { matrix.exit_code() })
}
