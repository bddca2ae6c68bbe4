//! Products and activations of ONNX Runtime, in standard operators.

use super::super::network::Attribute;
use super::replacement::Replacement;
use tract_onnx::pb::tensor_proto::DataType;

/// `MatMulNBits`: a product with weights of 4 or 8 bits, which have a scale for each block.
pub(super) fn matmul_bits(piece: &mut Replacement<'_>) -> Option<()> {
    let [x, packed, scales] = [0, 1, 2].map(|place| piece.input(place));
    let (x, packed, scales) = (x?, packed?, scales?);
    let (rows, columns) = (piece.count("N")?, piece.count("K")?);
    let (bits, block) = (piece.int("bits").unwrap_or(4), piece.count("block_size")?);
    if ![4, 8].contains(&bits) || piece.input(4).is_some() {
        return None;
    }
    let blocks = (columns + block - 1) / block;
    let integers = unpacked(piece, &packed, bits);
    let integers = piece.reshape(&integers, &[rows, blocks, block]);
    let integers = piece.cast_like(&integers, &x);
    let middle = middle(piece, &x, (rows, blocks), bits);
    let scales = piece.reshape(&scales, &[rows, blocks, 1]);
    let centred = piece.op("Sub", &[&integers, &middle], &[]);
    let weights = piece.op("Mul", &[&centred, &scales], &[]);
    let mut weights = piece.reshape(&weights, &[rows, -1]);
    if blocks * block != columns {
        weights = piece.slice(&weights, 1, 0, columns, 1);
    }
    let weights = piece.transpose(&weights, &[1, 0]);
    let product = piece.op("MatMul", &[&x, &weights], &[]);
    let bias = piece.input(5);
    let result = piece.plus(product, bias);
    piece.give(0, &result);
    Some(())
}

/// The integer that means zero in each block: `[rows, blocks, 1]`, or one number for all.
fn middle(piece: &mut Replacement<'_>, x: &str, (rows, blocks): (i64, i64), bits: i64) -> String {
    let Some(given) = piece.input(3) else {
        return piece.number((1i64 << (bits - 1)) as f32, x);
    };
    if piece.facts.element(&given) != Some(DataType::Uint8 as i32) {
        return piece.reshape(&given, &[rows, blocks, 1]);
    }
    let integers = unpacked(piece, &given, bits);
    let integers = piece.reshape(&integers, &[rows, -1]);
    let integers = piece.slice(&integers, 1, 0, blocks, 1);
    let integers = piece.reshape(&integers, &[rows, blocks, 1]);
    piece.cast_like(&integers, x)
}

/// The integers in bytes: the low half of a byte is first. The result has one axis more for them.
fn unpacked(piece: &mut Replacement<'_>, bytes: &str, bits: i64) -> String {
    let bytes = piece.cast_i64(bytes);
    if bits == 8 {
        return bytes;
    }
    let sixteen = piece.int_scalar(16);
    let low = piece.op("Mod", &[&bytes, &sixteen], &[]);
    let high = piece.op("Div", &[&bytes, &sixteen], &[]);
    let [low, high] = [low, high].map(|half| {
        let flat = piece.reshape(&half, &[-1]);
        piece.unsqueeze(&flat, 1)
    });
    piece.concat(&[&low, &high], 1)
}

/// `FusedMatMul`: a product of turned inputs, times a number.
pub(super) fn fused_matmul(piece: &mut Replacement<'_>) -> Option<()> {
    let turns_batch = ["transBatchA", "transBatchB"];
    if turns_batch.iter().any(|name| piece.int(name).unwrap_or(0) != 0) {
        return None;
    }
    let mut sides = Vec::new();
    for (place, name) in ["transA", "transB"].into_iter().enumerate() {
        let side = piece.input(place)?;
        sides.push(match piece.int(name).unwrap_or(0) {
            0 => side,
            _ => {
                let rank = piece.rank(&side).filter(|rank| *rank >= 2)?;
                let mut order: Vec<i64> = (0..rank as i64).collect();
                order.swap(rank - 2, rank - 1);
                piece.transpose(&side, &order)
            }
        });
    }
    let product = piece.op("MatMul", &[&sides[0], &sides[1]], &[]);
    let result = match piece.float("alpha").filter(|alpha| *alpha != 1.0) {
        Some(alpha) => {
            let alpha = piece.number(alpha, &sides[0]);
            piece.op("Mul", &[&product, &alpha], &[])
        }
        None => product,
    };
    piece.give(0, &result);
    Some(())
}

/// `FusedConv`: a convolution, an addend and an activation.
pub(super) fn fused_conv(piece: &mut Replacement<'_>) -> Option<()> {
    let inputs: Vec<String> = (0..3).map_while(|place| piece.input(place)).collect();
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let kept = ["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"];
    let kept = piece.kept(&kept);
    let product = piece.op("Conv", &inputs, &kept);
    let addend = piece.input(3);
    let sum = piece.plus(product, addend);
    let result = activated(piece, sum)?;
    piece.give(0, &result);
    Some(())
}

/// `FusedGemm`: a product of matrices and an activation.
pub(super) fn fused_gemm(piece: &mut Replacement<'_>) -> Option<()> {
    let inputs: Vec<String> = (0..3).map_while(|place| piece.input(place)).collect();
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let kept = piece.kept(&["alpha", "beta", "transA", "transB"]);
    let product = piece.op("Gemm", &inputs, &kept);
    let result = activated(piece, product)?;
    piece.give(0, &result);
    Some(())
}

fn activated(piece: &mut Replacement<'_>, value: String) -> Option<String> {
    let activation = piece.text("activation").unwrap_or("").to_owned();
    Some(match activation.as_str() {
        "" => value,
        "Relu" | "Sigmoid" | "Tanh" => piece.op(&activation, &[&value], &[]),
        _ => return None,
    })
}

/// `Gelu`, and `BiasGelu` with its addend.
pub(super) fn gelu(piece: &mut Replacement<'_>) -> Option<()> {
    let (x, bias) = (piece.input(0)?, piece.input(1));
    let x = piece.plus(x, bias);
    let like = piece.input(0)?;
    let [root, one, half] = [std::f32::consts::SQRT_2, 1.0, 0.5].map(|n| piece.number(n, &like));
    let part = piece.op("Div", &[&x, &root], &[]);
    let part = piece.op("Erf", &[&part], &[]);
    let part = piece.op("Add", &[&part, &one], &[]);
    let product = piece.op("Mul", &[&x, &part], &[]);
    let result = piece.op("Mul", &[&product, &half], &[]);
    piece.give(0, &result);
    Some(())
}

/// `FastGelu`: the approximation by a hyperbolic tangent, after an addend.
pub(super) fn fast_gelu(piece: &mut Replacement<'_>) -> Option<()> {
    let (x, bias) = (piece.input(0)?, piece.input(1));
    let like = x.clone();
    let x = piece.plus(x, bias);
    let root = std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2;
    let [root, cubic, one, half] = [root, 0.044_715, 1.0, 0.5].map(|n| piece.number(n, &like));
    let square = piece.op("Mul", &[&x, &x], &[]);
    let cube = piece.op("Mul", &[&square, &x], &[]);
    let cube = piece.op("Mul", &[&cube, &cubic], &[]);
    let sum = piece.op("Add", &[&x, &cube], &[]);
    let part = piece.op("Mul", &[&sum, &root], &[]);
    let part = piece.op("Tanh", &[&part], &[]);
    let part = piece.op("Add", &[&part, &one], &[]);
    let product = piece.op("Mul", &[&x, &part], &[]);
    let result = piece.op("Mul", &[&product, &half], &[]);
    piece.give(0, &result);
    Some(())
}

/// `QuickGelu`: x times a sigmoid of x.
pub(super) fn quick_gelu(piece: &mut Replacement<'_>) -> Option<()> {
    let x = piece.input(0)?;
    let alpha = piece.float("alpha").unwrap_or(1.702);
    let alpha = piece.number(alpha, &x);
    let part = piece.op("Mul", &[&x, &alpha], &[]);
    let part = piece.op("Sigmoid", &[&part], &[]);
    let result = piece.op("Mul", &[&x, &part], &[]);
    piece.give(0, &result);
    Some(())
}

/// `DynamicQuantizeMatMul`: a product of integers, the first input rounded to 8 bits.
pub(super) fn dynamic_matmul(piece: &mut Replacement<'_>) -> Option<()> {
    let (x, weights, scale) = (piece.input(0)?, piece.input(1)?, piece.input(2)?);
    let [integers, own, zero] = piece.op_of("DynamicQuantizeLinear", &[&x]);
    let given = [Some(integers), Some(weights), Some(zero), piece.input(3)];
    let result = integer_product(piece, given, [&own, &scale])?;
    let bias = piece.input(4);
    let result = piece.plus(result, bias);
    piece.give(0, &result);
    Some(())
}

/// `MatMulIntegerToFloat`: a product of integers, times its scales.
pub(super) fn matmul_to_float(piece: &mut Replacement<'_>) -> Option<()> {
    let given = [0, 1, 4, 5].map(|place| piece.input(place));
    let (own, scale) = (piece.input(2)?, piece.input(3)?);
    let result = integer_product(piece, given, [&own, &scale])?;
    let bias = piece.input(6);
    let result = piece.plus(result, bias);
    piece.give(0, &result);
    Some(())
}

fn integer_product(
    piece: &mut Replacement<'_>,
    [x, weights, zero, zeros]: [Option<String>; 4],
    scales: [&str; 2],
) -> Option<String> {
    let (x, weights) = (x?, weights?);
    let mut inputs = vec![x, weights];
    match (zero, zeros) {
        (None, None) => {}
        (zero, None) => inputs.extend(zero),
        (zero, Some(zeros)) => inputs.extend([zero.unwrap_or_default(), zeros]),
    }
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let product = piece.op("MatMulInteger", &inputs, &[]);
    let float = Attribute::Int(DataType::Float as i64);
    let product = piece.op("Cast", &[&product], &[("to", float)]);
    let scale = piece.op("Mul", &[scales[0], scales[1]], &[]);
    Some(piece.op("Mul", &[&product, &scale], &[]))
}
