//! `offby diff`: comparisons that other tools wrongly pass.

use crate::support::{finish, finish_json, offby};
use offby::tensor::{Tensor, write_npy};
use tempfile::TempDir;

/// The exit code of comparing two rows of numbers.
fn diff(reference: &[f32], candidate: &[f32]) -> i32 {
    let folder = TempDir::new().unwrap();
    let path = |name: &str, row: &[f32]| {
        let path = folder.path().join(name);
        write_npy(&path, &Tensor::from_f32(&[row.len()], row.to_vec()).unwrap()).unwrap();
        path
    };
    let mut command = offby();
    command.arg("diff").arg(path("a.npy", reference)).arg(path("b.npy", candidate));
    finish(command).0
}

const NAN: f32 = f32::NAN;
const INF: f32 = f32::INFINITY;

#[test]
fn nan_against_a_number_diverges() {
    assert_eq!(diff(&[1.0, 2.0], &[1.0, NAN]), 1);
    assert_eq!(diff(&[1.0, NAN], &[1.0, 2.0]), 1);
}

#[test]
fn nan_as_first_element_diverges() {
    assert_eq!(diff(&[NAN, 2.0, 3.0], &[1.0, 2.0, 3.0]), 1);
}

#[test]
fn opposite_infinities_diverge() {
    assert_eq!(diff(&[1.0, INF], &[1.0, -INF]), 1);
}

#[test]
fn an_infinite_reference_hides_no_error() {
    assert_eq!(diff(&[INF, 2.0, 3.0], &[INF, 5.0, 3.0]), 1);
}

#[test]
fn one_huge_reference_hides_no_error() {
    assert_eq!(diff(&[1e30, 2.0, 3.0, 4.0], &[1e30, 5.0, 3.0, 4.0]), 1);
}

#[test]
fn the_same_non_finite_values_agree() {
    assert_eq!(diff(&[NAN, INF, -INF, 1.0], &[NAN, INF, -INF, 1.0]), 0);
}

#[test]
fn another_shape_diverges_and_two_empty_tensors_agree() {
    assert_eq!(diff(&[1.0, 2.0], &[1.0]), 1);
    assert_eq!(diff(&[], &[]), 0);
}

#[test]
fn rounding_is_explained() {
    assert_eq!(diff(&[4045.0, 4047.0], &[4044.0, 4046.0]), 0);
}

#[test]
fn a_file_that_is_no_tensor_is_our_failure() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.npy");
    std::fs::write(&path, "no tensor").unwrap();
    let mut command = offby();
    command.arg("diff").arg(&path).arg(&path);
    let (code, stdout, stderr) = finish(command);
    assert_eq!((code, stdout.as_str()), (2, ""));
    assert!(stderr.starts_with("error: ") && stderr.contains("\nhint: "), "{stderr}");
    assert_eq!(stderr.lines().count(), 2, "{stderr}");
}

#[test]
fn a_tolerance_of_the_user_counts() {
    let folder = TempDir::new().unwrap();
    let tensor = |name: &str, x: f32| {
        let path = folder.path().join(name);
        write_npy(&path, &Tensor::from_f32(&[1], vec![x]).unwrap()).unwrap();
        path
    };
    let (a, b) = (tensor("a.npy", 1.0), tensor("b.npy", 1.05));
    for (atol, expected) in [("0.1", 0), ("0.01", 1)] {
        let mut command = offby();
        command.arg("diff").arg(&a).arg(&b).args(["--atol", atol, "--json", "-"]);
        let (code, report) = finish_json(command);
        assert_eq!(code, expected, "{report:#}");
    }
    let mut command = offby();
    command.arg("diff").arg(&a).arg(&b).args(["--atol", "nan"]);
    assert_eq!(finish(command).0, 2);
}
