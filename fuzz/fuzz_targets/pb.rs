//! `TensorProto` files, as ONNX test data has them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use offby::graph::{from_proto, tensor_proto_from, to_proto};
use std::path::Path;

fuzz_target!(|bytes: &[u8]| {
    let Ok(tensor) = tensor_proto_from(bytes, Path::new("there/is/no/tensor.pb")) else { return };
    assert_eq!(tensor.shape().iter().product::<usize>(), tensor.len());
    let again = from_proto(&to_proto("x", &tensor), Path::new("")).expect("what was written reads back");
    assert_eq!(again.to_bytes(), tensor.to_bytes());
});
