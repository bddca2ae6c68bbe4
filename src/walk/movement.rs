//! Computes operators that only move data, from the candidate's own list of blocks.

use super::contract::{Block, Operand};
use crate::tensor::{Tensor, element_count};
use ndarray::{ArrayD, IxDyn};

/// Applies the blocks to the inputs. The output has this shape and is zero where no block writes.
///
/// # Errors
/// Returns the reason if the movement cannot be followed.
pub(super) fn apply(
    blocks: &[Block],
    inputs: &[Operand],
    shape: &[usize],
) -> Result<Tensor, String> {
    let count = element_count(shape).ok_or("the output's size overflows")?;
    let mut output = vec![0f32; count];
    for block in blocks {
        let source = match inputs.get(block.input) {
            Some(Operand::Value(Tensor::F32(array))) => array,
            Some(Operand::Value(other)) => {
                return Err(format!("it moves {} elements", other.dtype()));
            }
            Some(Operand::Constant) => return Err("it moves a constant".to_owned()),
            Some(Operand::Unreadable(why)) => return Err(why.clone()),
            None => return Err("it moves a tensor that is not among its inputs".to_owned()),
        };
        let source = source.as_slice().ok_or("its input is not in row-major order")?;
        copy(block, source, &mut output).ok_or("a block reaches outside its tensors")?;
    }
    let array = ArrayD::from_shape_vec(IxDyn(shape), output).map_err(|error| error.to_string())?;
    Ok(Tensor::F32(array))
}

fn copy(block: &Block, source: &[f32], target: &mut [f32]) -> Option<()> {
    let [depth, height, width] = block.size;
    for z in 0..depth as i64 {
        for y in 0..height as i64 {
            for x in 0..width as i64 {
                let at = |(offset, stride): (i64, [i64; 3])| {
                    usize::try_from(offset + z * stride[0] + y * stride[1] + x * stride[2]).ok()
                };
                *target.get_mut(at(block.target)?)? = *source.get(at(block.source)?)?;
            }
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transpose_is_one_block() {
        let input = Tensor::from_f32(&[2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        let block =
            Block { input: 0, size: [1, 3, 2], source: (0, [6, 1, 3]), target: (0, [6, 2, 1]) };
        let moved = apply(&[block], &[Operand::Value(input)], &[3, 2]).unwrap();
        assert_eq!(moved, Tensor::from_f32(&[3, 2], vec![1.0, 4.0, 2.0, 5.0, 3.0, 6.0]).unwrap());
    }

    #[test]
    fn a_block_outside_is_refused() {
        let input = Tensor::from_f32(&[2], vec![1.0, 2.0]).unwrap();
        let block =
            Block { input: 0, size: [1, 1, 3], source: (0, [0, 0, 1]), target: (0, [0, 0, 1]) };
        assert!(apply(&[block], &[Operand::Value(input)], &[3]).is_err());
    }
}
