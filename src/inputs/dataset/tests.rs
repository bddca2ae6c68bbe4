//! Every kind of data set, and the reason for each refusal.

use super::*;
use crate::graph::to_proto;
use crate::tensor::{Dtype, write_npy};
use image::{Rgb, RgbImage};
use std::fs;
use tempfile::TempDir;
use zip::write::SimpleFileOptions;

fn input(name: &str, shape: &[usize]) -> ResolvedInput {
    ResolvedInput { name: name.into(), dtype: Dtype::F32, shape: shape.to_vec() }
}

fn open(path: &Path, inputs: &[ResolvedInput]) -> Result<Dataset, InputError> {
    Dataset::open(path, (inputs, &["y".into()]), None, Preparation::default())
}

fn f32s(shape: &[usize], values: &[f32]) -> Tensor {
    Tensor::from_f32(shape, values.to_vec()).unwrap()
}

fn store(folder: &TempDir, name: &str, tensor: &Tensor) -> PathBuf {
    let path = folder.path().join(name);
    write_npy(&path, tensor).unwrap();
    path
}

/// An archive with these members, each a tensor.
fn archive(folder: &TempDir, members: &[(&str, &Tensor)]) -> PathBuf {
    let path = folder.path().join("set.npz");
    let mut archive = zip::ZipWriter::new(fs::File::create(&path).unwrap());
    for (name, tensor) in members {
        let member = store(folder, "member.npy", tensor);
        archive.start_file(format!("{name}.npy"), SimpleFileOptions::default()).unwrap();
        std::io::copy(&mut fs::File::open(member).unwrap(), &mut archive).unwrap();
    }
    archive.finish().unwrap();
    path
}

#[test]
fn rows_of_an_array_are_inputs() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = Tensor::from_bytes(Dtype::U8, &[3, 1, 2], &[1, 2, 3, 4, 5, 255]).unwrap();
    let path = store(&folder, "set.npy", &bytes);
    let set = open(&path, &[input("x", &[1, 1, 2])]).unwrap();
    let sample = set.read(2).unwrap();
    assert_eq!((set.len(), sample.id.as_str(), sample.label), (3, "set.npy[2]", None));
    assert_eq!(sample.feeds[0].tensor, f32s(&[1, 1, 2], &[5.0, 255.0]));
    assert!(open(&path, &[input("x", &[1, 3])]).unwrap().read(0).is_err());
    assert!(open(&path, &[input("x", &[2]), input("y", &[2])]).is_err());
}

#[test]
fn an_archive_has_an_array_for_each_input_and_labels() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (f32s(&[2, 1], &[1.0, 2.0]), f32s(&[2, 2], &[3.0, 4.0, 5.0, 6.0]));
    let labels = Tensor::from_bytes(Dtype::U8, &[2], &[7, 9]).unwrap();
    let path = archive(&folder, &[("a", &a), ("b", &b), ("labels", &labels)]);
    let set = open(&path, &[input("b", &[2]), input("a", &[1])]).unwrap();
    let sample = set.read(1).unwrap();
    assert_eq!((sample.label, set.labels()), (Some(9), 2));
    assert_eq!(sample.feeds[0].tensor, f32s(&[2], &[5.0, 6.0]));
    assert_eq!(sample.feeds[1].tensor, f32s(&[1], &[2.0]));
    let error = open(&path, &[input("c", &[2])]).unwrap_err();
    assert!(error.to_string().contains("no array `c`"), "{error}");
    let uneven = archive(&folder, &[("a", &a), ("b", &f32s(&[1, 2], &[0.0, 0.0]))]);
    assert!(open(&uneven, &[input("a", &[1]), input("b", &[2])]).is_err());
}

#[test]
fn a_folder_of_files_is_read_by_name_and_a_list_has_labels() {
    let folder = tempfile::tempdir().unwrap();
    for (name, value) in [("b.npy", 2.0), ("a.npy", 1.0)] {
        store(&folder, name, &f32s(&[1], &[value]));
    }
    let set = open(folder.path(), &[input("x", &[1])]).unwrap();
    let ids: Vec<String> = (0..2).map(|index| set.read(index).unwrap().id).collect();
    assert_eq!(ids, ["a.npy", "b.npy"]);
    let list = folder.path().join("list.txt");
    fs::write(&list, "b.npy,3\n\na.npy\t1\n").unwrap();
    let set = open(&list, &[input("x", &[1])]).unwrap();
    let sample = set.read(0).unwrap();
    assert_eq!((sample.label, &sample.feeds[0].tensor), (Some(3), &f32s(&[1], &[2.0])));
    fs::write(&list, "b.npy,3\na.npy\n").unwrap();
    let error = open(&list, &[input("x", &[1])]).unwrap_err();
    assert!(error.to_string().contains("2 inputs and 1 labels"), "{error}");
}

#[test]
fn labels_are_classes() {
    let folder = tempfile::tempdir().unwrap();
    let path = store(&folder, "set.npy", &f32s(&[2, 1], &[1.0, 2.0]));
    let with = |labels: &Path| {
        let inputs = [input("x", &[1])];
        Dataset::open(&path, (&inputs, &[]), Some(labels), Preparation::default())
    };
    let text = folder.path().join("labels.txt");
    fs::write(&text, "4\n5\n").unwrap();
    assert_eq!(with(&text).unwrap().read(1).unwrap().label, Some(5));
    fs::write(&text, "cat\ndog\n").unwrap();
    assert!(with(&text).is_err());
    let negative = Tensor::from_bytes(Dtype::I8, &[2], &[1, 255]).unwrap();
    let numbers = store(&folder, "labels.npy", &negative);
    assert_eq!(with(&numbers).unwrap().read(0).unwrap().label, Some(1));
    assert!(with(&numbers).unwrap().read(1).is_err());
}

#[test]
fn onnx_tests_expect_outputs() {
    let folder = tempfile::tempdir().unwrap();
    for (number, value) in [(0, 1.0), (1, 2.0), (10, 4.0), (2, 3.0)] {
        let test = folder.path().join(format!("test_data_set_{number}"));
        fs::create_dir(&test).unwrap();
        for (file, value) in [("input_0.pb", value), ("output_0.pb", value * 10.0)] {
            let proto = to_proto("", &f32s(&[1], &[value]));
            fs::write(test.join(file), prost::Message::encode_to_vec(&proto)).unwrap();
        }
    }
    let set = open(folder.path(), &[input("x", &[1])]).unwrap();
    let last = set.read(3).unwrap();
    assert_eq!((set.len(), last.id.as_str()), (4, "test_data_set_10"));
    assert_eq!(last.expected, [("y".into(), f32s(&[1], &[40.0]))]);
}

#[test]
fn images_are_resized_cropped_and_normalized() {
    let folder = tempfile::tempdir().unwrap();
    // Dark except in the middle, so a crop contains only the bright part.
    let middle = |x, y| (4..8).contains(&x) && (2..6).contains(&y);
    let picture = RgbImage::from_fn(12, 8, |x, y| Rgb([if middle(x, y) { 255 } else { 0 }; 3]));
    picture.save(folder.path().join("a.png")).unwrap();
    let inputs = [input("x", &[1, 3, 2, 2])];
    let normalization = Normalization::new(&[0.5], &[0.5]).unwrap();
    let with = |resize, crop| {
        let framing = Framing { resize, crop };
        let preparation = Preparation { framing, normalization: normalization.clone() };
        Dataset::open(folder.path(), (&inputs, &[]), None, preparation).unwrap()
    };
    let set = with(None, Some(4));
    assert_eq!(set.read(0).unwrap().feeds[0].tensor, f32s(&[1, 3, 2, 2], &[1.0; 12]));
    assert_eq!(set.preparation(), "crop=4 mean=0.5,0.5,0.5 std=0.5,0.5,0.5");
    let Tensor::F32(whole) = &with(Some(4), None).read(0).unwrap().feeds[0].tensor else {
        panic!()
    };
    assert!(whole.iter().all(|value| *value < 0.5), "{whole}");
    assert!(with(Some(4), Some(5)).read(0).is_err());
    assert_ne!(with(None, None).digest().unwrap(), set.digest().unwrap());
}

#[test]
fn what_is_no_data_set_says_what_one_is() {
    let folder = tempfile::tempdir().unwrap();
    let error = open(folder.path(), &[input("x", &[1])]).unwrap_err();
    assert!(error.to_string().contains("no inputs"), "{error}");
    assert!(error.hint().unwrap().contains("test_data_set_*"));
    assert!(open(&folder.path().join("missing"), &[input("x", &[1])]).is_err());
}
