// MNN's CUDA backend includes this header of cuSOLVER and uses none of it.
#pragma once
