//! The decoders that are built: their families, sizes and element types.

use offby::tensor::Dtype;

/// The decoder with external weights.
pub(crate) const HUGE: &str = "huge";

/// What a decoder is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// RMSNorm, rotary positions, grouped queries, SwiGLU.
    Llama,
    /// The same in ONNX Runtime's own operators, with weights of 4 bits.
    Fused,
    /// LayerNorm, learned positions, GELU, biases.
    Gpt2,
}

/// How weights are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weights {
    /// In the element type of the network.
    Plain,
    /// As `int8` with one scale for each matrix, followed by `DequantizeLinear`.
    Int8,
    /// As `f32` in a file next to the network.
    External,
}

/// One decoder.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recipe {
    /// The file's name without its ending.
    pub(crate) name: &'static str,
    pub(crate) family: Family,
    pub(crate) layers: usize,
    pub(crate) width: usize,
    pub(crate) heads: usize,
    /// The heads of keys and values; queries share them in groups.
    pub(crate) kv_heads: usize,
    pub(crate) hidden: usize,
    pub(crate) vocabulary: usize,
    /// How many tokens back a token sees; all of them if `None`.
    pub(crate) window: Option<usize>,
    pub(crate) dtype: Dtype,
    pub(crate) weights: Weights,
    /// Whether keys and values of earlier tokens are inputs.
    pub(crate) has_cache: bool,
    pub(crate) seed: u64,
}

impl Recipe {
    /// The elements of one head.
    pub(crate) fn head(&self) -> usize {
        self.width / self.heads
    }
}

const LLAMA: Recipe = Recipe {
    name: "llama",
    family: Family::Llama,
    layers: 4,
    width: 64,
    heads: 4,
    kv_heads: 2,
    hidden: 128,
    vocabulary: 256,
    window: None,
    dtype: Dtype::F32,
    weights: Weights::Plain,
    has_cache: true,
    seed: 1,
};

const GPT2: Recipe =
    Recipe { name: "gpt2", family: Family::Gpt2, kv_heads: 4, hidden: 256, seed: 2, ..LLAMA };

/// Every decoder.
pub(crate) fn all() -> Vec<Recipe> {
    vec![
        LLAMA,
        Recipe { name: "llama_f16", dtype: Dtype::F16, ..LLAMA },
        Recipe { name: "llama_int8", weights: Weights::Int8, ..LLAMA },
        Recipe { name: "llama_fused", family: Family::Fused, seed: 5, ..LLAMA },
        Recipe { name: "llama_window", window: Some(16), layers: 2, seed: 3, ..LLAMA },
        Recipe { name: "llama_deep", layers: 8, seed: 4, ..LLAMA },
        Recipe { name: "llama_no_cache", has_cache: false, ..LLAMA },
        GPT2,
        Recipe { name: "gpt2_no_cache", has_cache: false, ..GPT2 },
        Recipe {
            name: HUGE,
            layers: 10,
            width: 2048,
            heads: 16,
            kv_heads: 8,
            hidden: 5632,
            vocabulary: 32_000,
            weights: Weights::External,
            ..LLAMA
        },
    ]
}
