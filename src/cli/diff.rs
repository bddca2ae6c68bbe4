//! `offby diff`: compares two tensors element by element.

use super::answer;
use super::args::DiffArgs;
use super::prepare::user_tolerance;
use super::screen;
use crate::compare::{
    Agreement, CompareOptions, Comparison, Judgement, Judging, Storage, compare_with, judge,
};
use crate::report::diff_text;
use crate::session::Failure;
use crate::tensor::{Dtype, Tensor, read_npy};
use serde::Serialize;

/// The output of `offby diff --json`.
#[derive(Debug, Serialize)]
struct DiffReport<'a> {
    schema: &'static str,
    reference: String,
    candidate: String,
    comparison: Option<&'a Comparison>,
    agreement: Agreement,
    judgement: &'a Judgement,
}

/// Compares two files; returns the exit code.
pub(super) fn diff(args: &DiffArgs) -> Result<u8, Failure> {
    let user = user_tolerance(&args.tolerance)?;
    let reference = read_npy(&args.reference)?;
    let candidate = read_npy(&args.candidate)?;
    let options = CompareOptions { worst: args.worst, extra_rtol: user.map(|user| user.rtol) };
    let compared = compare_with(&reference, &candidate, &options);
    let judging = Judging { user, ..Judging::strict(storage(&reference, &candidate)) };
    let judgement = match &compared {
        Ok(comparison) => judge(comparison, &judging),
        Err(reason) => Judgement::from(reason),
    };
    let report = DiffReport {
        schema: "offby.diff/1",
        reference: args.reference.display().to_string(),
        candidate: args.candidate.display().to_string(),
        comparison: compared.as_ref().ok(),
        agreement: judgement.agreement,
        judgement: &judgement,
    };
    answer::give(&args.output, &report, || match &compared {
        Ok(comparison) => diff_text(comparison, &judgement, screen::width()),
        Err(_) => format!("{:?}: {}\n", judgement.agreement, judgement.words).to_lowercase(),
    })?;
    Ok(match judgement.agreement {
        Agreement::Agrees | Agreement::Explained => 0,
        Agreement::Diverges => 1,
        Agreement::Incomparable => 3,
    })
}

/// The storage format of the coarser element type, which limits the achievable accuracy.
fn storage(reference: &Tensor, candidate: &Tensor) -> &'static Storage {
    let coarseness = |dtype: &Dtype| match dtype {
        Dtype::Bf16 => 3,
        Dtype::F16 => 2,
        Dtype::F32 => 1,
        _ => 0,
    };
    let coarser = [reference.dtype(), candidate.dtype()].into_iter().max_by_key(coarseness);
    coarser.and_then(|dtype| Storage::named(dtype.name())).expect("every element type has a row")
}
