//! Networks of our own: operators, parameters and inputs on which engines have been seen to differ.

use super::cases::Case;
use super::draft::Draft;
use offby::inputs::Random;
use offby::tensor::{Dtype, Tensor};

/// All networks of our own.
pub(crate) fn cases() -> Result<Vec<Case>, String> {
    let drafts = sums().into_iter().chain(norms()).chain(exponentials()).chain(activations());
    drafts.chain(roundings()).chain(choices()).chain(windows()).map(Draft::finish).collect()
}

fn f32s(shape: &[usize], values: &[f32]) -> Tensor {
    let count = shape.iter().product();
    let values = values.iter().copied().cycle().take(count).collect();
    Tensor::from_f32(shape, values).unwrap_or_else(|_| Tensor::F32(Default::default()))
}

fn i64s(values: &[i64]) -> Tensor {
    Tensor::I64(ndarray_of(values))
}

fn ndarray_of<T: Clone>(values: &[T]) -> ndarray::ArrayD<T> {
    ndarray::Array1::from(values.to_vec()).into_dyn()
}

/// Normal numbers around a mean.
fn around(mean: f64, shape: &[usize]) -> Tensor {
    let mut random = Random::new(11);
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| (mean + random.normal()) as f32).collect();
    f32s(shape, &values)
}

fn sums() -> Vec<Draft> {
    let million = || f32s(&[1, 1_000_000], &[0.1]);
    let reduce = |name, op_type: &'static str| {
        Draft::new(name, op_type, vec![million()]).opset(13).ints("axes", &[1])
    };
    vec![
        Draft::new("ReduceSum of 1e6 tenths", "ReduceSum", vec![million()]).constant(i64s(&[1])),
        reduce("ReduceMean of 1e6 tenths", "ReduceMean"),
        reduce("ReduceSumSquare of 1e6 tenths", "ReduceSumSquare"),
        reduce("ReduceL1 of 1e6 tenths", "ReduceL1"),
        reduce("ReduceL2 of 1e6 tenths", "ReduceL2"),
        reduce("ReduceLogSum of 1e6 tenths", "ReduceLogSum"),
        reduce("ReduceLogSumExp of 1e6 tenths", "ReduceLogSumExp"),
        Draft::new(
            "GlobalAveragePool of 1e6 tenths",
            "GlobalAveragePool",
            vec![f32s(&[1, 1, 1000, 1000], &[0.1])],
        ),
        Draft::new("CumSum of 1e5 tenths", "CumSum", vec![f32s(&[100_000], &[0.1])])
            .constant(Tensor::I64(ndarray::arr0(0).into_dyn())),
        Draft::new(
            "MatMul of 1e5 tenths",
            "MatMul",
            vec![f32s(&[1, 100_000], &[0.1]), f32s(&[100_000, 1], &[1.0])],
        ),
        Draft::new("ReduceSum that cancels", "ReduceSum", vec![f32s(&[1, 3], &[1e8, 1.0, -1e8])])
            .constant(i64s(&[1])),
    ]
}

fn norms() -> Vec<Draft> {
    let scale = |size: usize| f32s(&[size], &[1.0]);
    let bias = |size: usize| f32s(&[size], &[0.0]);
    let layer = |name, mean| {
        Draft::new(name, "LayerNormalization", vec![around(mean, &[4, 64])])
            .constant(scale(64))
            .constant(bias(64))
            .int("axis", -1)
    };
    vec![
        layer("LayerNormalization with mean 1e3", 1e3),
        layer("LayerNormalization with mean 1e4", 1e4),
        Draft::new(
            "LayerNormalization of equal numbers",
            "LayerNormalization",
            vec![f32s(&[2, 8], &[0.1])],
        )
        .constant(scale(8))
        .constant(bias(8)),
        Draft::new(
            "InstanceNormalization with mean 1e4",
            "InstanceNormalization",
            vec![around(1e4, &[1, 2, 8, 8])],
        )
        .constant(scale(2))
        .constant(bias(2)),
        Draft::new(
            "MeanVarianceNormalization with mean 1e4",
            "MeanVarianceNormalization",
            vec![around(1e4, &[1, 2, 8, 8])],
        ),
        Draft::new("LpNormalization of zeros", "LpNormalization", vec![f32s(&[2, 4], &[0.0])]),
        Draft::new("LRN of large numbers", "LRN", vec![around(1e4, &[1, 8, 3, 3])]).int("size", 5),
    ]
}

fn exponentials() -> Vec<Draft> {
    let inf = f32::INFINITY;
    let rows: [(&str, &[f32]); 5] = [
        ("high", &[100.0, 99.0, 98.0, 100.0]),
        ("low", &[-100.0, -99.0, -120.0, -110.0]),
        ("far", &[100.0, -100.0, 0.0, 50.0]),
        ("minus infinity", &[-inf, -inf, -inf, -inf]),
        ("some minus infinity", &[-inf, 1.0, -inf, 2.0]),
    ];
    // A draft's name must be `'static`, so this table lists all names.
    let names: [[&'static str; 5]; 3] = [
        [
            "ReduceLogSumExp high",
            "ReduceLogSumExp low",
            "ReduceLogSumExp far",
            "ReduceLogSumExp of -inf",
            "ReduceLogSumExp of some -inf",
        ],
        [
            "LogSoftmax high",
            "LogSoftmax low",
            "LogSoftmax far",
            "LogSoftmax of -inf",
            "LogSoftmax of some -inf",
        ],
        ["Softmax high", "Softmax low", "Softmax far", "Softmax of -inf", "Softmax of some -inf"],
    ];
    let mut drafts = Vec::new();
    for (at, (_, values)) in rows.iter().enumerate() {
        let input = || vec![f32s(&[2, 4], values)];
        drafts.push(
            Draft::new(names[0][at], "ReduceLogSumExp", input()).opset(13).ints("axes", &[1]),
        );
        drafts.push(Draft::new(names[1][at], "LogSoftmax", input()).int("axis", -1));
        drafts.push(Draft::new(names[2][at], "Softmax", input()).int("axis", -1));
    }
    drafts
}

/// Activations far from zero and near it.
fn activations() -> Vec<Draft> {
    let mut drafts = Vec::new();
    let spread: &[f32] = &[-200.0, -100.0, -20.0, -8.0, -1e-4, 0.0, 1e-4, 8.0, 20.0, 100.0];
    for (name, op_type) in [
        ("Sigmoid far out", "Sigmoid"),
        ("Softplus far out", "Softplus"),
        ("Tanh far out", "Tanh"),
        ("Erf far out", "Erf"),
        ("Mish far out", "Mish"),
        ("Elu far out", "Elu"),
        ("Selu far out", "Selu"),
        ("HardSigmoid far out", "HardSigmoid"),
        ("HardSwish far out", "HardSwish"),
        ("Exp far out", "Exp"),
        ("Sinh far out", "Sinh"),
        ("Asinh far out", "Asinh"),
    ] {
        drafts.push(Draft::new(name, op_type, vec![f32s(&[10], spread)]));
    }
    drafts.push(Draft::new("Gelu far out", "Gelu", vec![f32s(&[10], spread)]).opset(20));
    drafts.push(
        Draft::new("Gelu by tanh far out", "Gelu", vec![f32s(&[10], spread)])
            .opset(20)
            .text("approximate", "tanh"),
    );
    drafts
}

fn roundings() -> Vec<Draft> {
    let halves: &[f32] = &[0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.499_999_97, 8_388_609.0];
    let signed: [&[f32]; 2] = [&[7.5, -7.5, 7.5, -7.5], &[2.0, 2.0, -2.0, -2.0]];
    let whole = |values: &[i64]| {
        Tensor::I32(ndarray_of(&values.iter().map(|&v| v as i32).collect::<Vec<_>>()))
    };
    let integers = || vec![whole(&[7, -7, 7, -7]), whole(&[3, 3, -3, -3])];
    let cast = |name, to: i64, dtype| {
        let values = f32s(&[6], &[300.0, -300.0, 1e10, -1e10, 2.9, -2.9]);
        Draft::new(name, "Cast", vec![values]).int("to", to).gives(&[dtype])
    };
    let zero = |dtype: Dtype| Tensor::from_bytes(dtype, &[], &[0]).unwrap_or_else(|_| i64s(&[0]));
    let quantize = |name, dtype| {
        let values = f32s(&[8], &[0.5, 1.5, 2.5, -0.5, -1.5, 1e10, -1e10, 127.5]);
        Draft::new(name, "QuantizeLinear", vec![values])
            .opset(13)
            .constant(f32s(&[], &[1.0]))
            .constant(zero(dtype))
            .gives(&[dtype])
    };
    vec![
        Draft::new("Round of halves", "Round", vec![f32s(&[8], halves)]),
        Draft::new("Mod of floats", "Mod", vec![f32s(&[4], signed[0]), f32s(&[4], signed[1])])
            .int("fmod", 1),
        Draft::new("Mod of negatives", "Mod", integers()).gives(&[Dtype::I32]),
        Draft::new("Mod of negatives as fmod", "Mod", integers())
            .int("fmod", 1)
            .gives(&[Dtype::I32]),
        Draft::new("Div of negative integers", "Div", integers()).gives(&[Dtype::I32]),
        quantize("QuantizeLinear of halves to u8", Dtype::U8),
        quantize("QuantizeLinear of halves to i8", Dtype::I8),
        Draft::new(
            "DynamicQuantizeLinear of halves",
            "DynamicQuantizeLinear",
            vec![f32s(&[5], &[-1.0, 0.5, 1.5, 2.5, 254.0])],
        )
        .gives(&[Dtype::U8, Dtype::F32, Dtype::U8]),
        cast("Cast out of range to u8", 2, Dtype::U8),
        cast("Cast out of range to i8", 3, Dtype::I8),
        cast("Cast out of range to i32", 6, Dtype::I32),
        Draft::new("Cast of fractions to i32", "Cast", vec![f32s(&[4], &[2.9, -2.9, 0.5, -0.5])])
            .int("to", 6)
            .gives(&[Dtype::I32]),
        Draft::new("Cast of fractions to bool", "Cast", vec![f32s(&[4], &[0.0, -0.0, 0.4, -3.0])])
            .int("to", 9)
            .gives(&[Dtype::Bool]),
        Draft::new(
            "Pow of negatives",
            "Pow",
            vec![
                f32s(&[6], &[-2.0, -2.0, 0.0, 0.0, -8.0, 1.0]),
                f32s(&[6], &[3.0, 0.5, 0.0, -1.0, 1.0 / 3.0, f32::NAN]),
            ],
        ),
        Draft::new("Sign of zeros and NaN", "Sign", vec![f32s(&[4], &[0.0, -0.0, f32::NAN, -1.0])]),
        Draft::new("Sqrt and zero", "Sqrt", vec![f32s(&[4], &[-1.0, -0.0, 0.0, 4.0])]),
    ]
}

fn choices() -> Vec<Draft> {
    let ties = || vec![f32s(&[1, 6], &[1.0, 3.0, 3.0, 2.0, 3.0, 1.0])];
    let top = |name, largest| {
        Draft::new(name, "TopK", ties())
            .constant(i64s(&[4]))
            .int("largest", largest)
            .gives(&[Dtype::F32, Dtype::I64])
    };
    let arg = |name, op_type: &'static str, last| {
        Draft::new(name, op_type, ties())
            .int("axis", 1)
            .int("select_last_index", last)
            .gives(&[Dtype::I64])
    };
    let inf = f32::INFINITY;
    vec![
        top("TopK of ties", 1),
        top("TopK of ties, smallest", 0),
        arg("ArgMax of ties", "ArgMax", 0),
        arg("ArgMax of ties, last", "ArgMax", 1),
        arg("ArgMin of ties", "ArgMin", 0),
        Draft::new("Hardmax of ties", "Hardmax", ties()).int("axis", 1),
        Draft::new("ReduceMax of -inf", "ReduceMax", vec![f32s(&[2, 3], &[-inf])])
            .opset(13)
            .ints("axes", &[1]),
        Draft::new("ReduceMin of +inf", "ReduceMin", vec![f32s(&[2, 3], &[inf])])
            .opset(13)
            .ints("axes", &[1]),
        Draft::new("MaxPool of -inf", "MaxPool", vec![f32s(&[1, 1, 4, 4], &[-inf])])
            .ints("kernel_shape", &[2, 2])
            .ints("pads", &[1, 1, 1, 1]),
        Draft::new(
            "Clip with limits in the wrong order",
            "Clip",
            vec![f32s(&[3], &[-2.0, 0.0, 5.0])],
        )
        .constant(f32s(&[], &[2.0]))
        .constant(f32s(&[], &[1.0])),
        Draft::new(
            "Where with NaN aside",
            "Mul",
            vec![f32s(&[3], &[0.0, inf, f32::NAN]), f32s(&[3], &[inf, 0.0, 0.0])],
        ),
    ]
}

// a flat table
fn windows() -> Vec<Draft> {
    let picture = || around(0.0, &[1, 1, 4, 4]);
    let transposed = |name| {
        Draft::new(name, "ConvTranspose", vec![around(0.0, &[1, 1, 3, 3])])
            .constant(around(1.0, &[1, 1, 3, 3]))
            .ints("strides", &[2, 2])
    };
    let grid =
        || f32s(&[1, 2, 3, 2], &[-1.3, -0.9, -0.2, 0.4, 0.99, 1.2, 0.5, -0.5, 1.0, -1.0, 0.0, 0.0]);
    let sample = |name, mode: &str, padding: &str, align| {
        Draft::new(name, "GridSample", vec![picture()])
            .constant(grid())
            .opset(16)
            .text("mode", mode)
            .text("padding_mode", padding)
            .int("align_corners", align)
    };
    let resize = |name, coordinates: &str, mode: &str| {
        Draft::new(name, "Resize", vec![picture()])
            .left_out()
            .constant(f32s(&[4], &[1.0, 1.0, 1.7, 0.6]))
            .text("coordinate_transformation_mode", coordinates)
            .text("mode", mode)
    };
    let average = |name, count| {
        Draft::new(name, "AveragePool", vec![picture()])
            .ints("kernel_shape", &[3, 3])
            .ints("strides", &[2, 2])
            .ints("pads", &[1, 1, 1, 1])
            .int("ceil_mode", 1)
            .int("count_include_pad", count)
    };
    vec![
        transposed("ConvTranspose to a shape").ints("output_shape", &[8, 8]),
        transposed("ConvTranspose to a shape, padded above")
            .ints("output_shape", &[8, 8])
            .text("auto_pad", "SAME_UPPER"),
        transposed("ConvTranspose to a shape, padded below")
            .ints("output_shape", &[8, 8])
            .text("auto_pad", "SAME_LOWER"),
        transposed("ConvTranspose to a smaller shape").ints("output_shape", &[6, 6]),
        transposed("ConvTranspose with output padding").ints("output_padding", &[1, 1]),
        sample("GridSample cubic, border", "bicubic", "border", 0),
        sample("GridSample cubic, border, aligned", "bicubic", "border", 1),
        sample("GridSample cubic, reflection", "bicubic", "reflection", 0),
        sample("GridSample cubic, zeros", "bicubic", "zeros", 0),
        sample("GridSample linear, border", "bilinear", "border", 0),
        sample("GridSample linear, reflection", "bilinear", "reflection", 1),
        sample("GridSample nearest, reflection", "nearest", "reflection", 0),
        resize("Resize nearest", "half_pixel", "nearest"),
        resize("Resize nearest, asymmetric", "asymmetric", "nearest"),
        resize("Resize linear, aligned", "align_corners", "linear"),
        resize("Resize linear, pytorch", "pytorch_half_pixel", "linear"),
        resize("Resize cubic", "half_pixel", "cubic"),
        resize("Resize cubic, asymmetric", "asymmetric", "cubic"),
        average("AveragePool with a ceiling", 0),
        average("AveragePool with a ceiling and padding", 1),
        Draft::new("Conv below with dilation", "Conv", vec![around(0.0, &[1, 2, 7, 7])])
            .constant(around(0.0, &[2, 1, 3, 3]))
            .int("group", 2)
            .ints("dilations", &[2, 2])
            .ints("strides", &[2, 2])
            .text("auto_pad", "SAME_LOWER"),
        Draft::new("Pad by reflection", "Pad", vec![f32s(&[1, 4], &[1.0, 2.0, 3.0, 4.0])])
            .constant(i64s(&[0, 3, 0, 2]))
            .text("mode", "reflect"),
        Draft::new("Gather from the end", "Gather", vec![f32s(&[4], &[1.0, 2.0, 3.0, 4.0])])
            .constant(i64s(&[-1, -4, 0])),
        Draft::new("Slice backwards", "Slice", vec![f32s(&[6], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])])
            .constant(i64s(&[-1]))
            .constant(i64s(&[-100]))
            .constant(i64s(&[0]))
            .constant(i64s(&[-2])),
    ]
}
