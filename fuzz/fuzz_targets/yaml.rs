//! Everything that is written by hand: case files, devices, named targets, targets, input specs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use offby::case::{Case, device_from, targets_from};
use offby::engine::Target;
use offby::inputs::Spec;
use std::path::Path;

fuzz_target!(|text: &str| {
    if let Err(error) = Case::from_text(text, Path::new("case.yaml")) {
        let _ = (error.to_string(), error.hint());
    }
    if let Err(error) = device_from(text, "device.yaml") {
        let _ = (error.to_string(), error.hint());
    }
    if let Err(error) = targets_from(text, Path::new("targets.yaml")) {
        let _ = (error.to_string(), error.hint());
    }
    if let Ok(target) = text.parse::<Target>() {
        let again: Target = target.to_string().parse().expect("a target reads back as it is shown");
        assert_eq!(again, target);
    }
    let _ = text.parse::<Spec>();
});
