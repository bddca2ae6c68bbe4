//! The ONNX reader: whatever is read can be asked everything, and comes back as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use offby::graph::{Model, Topology};
use std::path::Path;

fuzz_target!(|bytes: &[u8]| {
    let Ok(model) = Model::from_bytes(bytes, Path::new("there/is/no/model.onnx")) else { return };
    model.initializers();
    for node in model.nodes() {
        let _ = node.label();
    }
    for output in model.outputs() {
        let _ = (model.value_info(output), model.constant(output), model.inputs_behind(output));
    }
    let _ = model.resolved_inputs();
    let _ = Topology::of(&model);
    let again = Model::from_bytes(&model.to_bytes(), model.path()).expect("what was written reads back");
    assert_eq!(again.node_count(), model.node_count());
});
