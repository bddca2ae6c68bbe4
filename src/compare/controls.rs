//! Negative controls: rules that pass what they must not, each with the tensors that expose it.
