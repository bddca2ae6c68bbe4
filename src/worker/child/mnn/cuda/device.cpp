// Names the CUDA device, as its driver does. MNN says that a session runs on CUDA even if there is no device.
#include <cuda_runtime_api.h>
#include <cstdio>

static char reason[256];

// Fills both texts. Returns the reason if there is no device, otherwise NULL.
extern "C" const char* offby_cuda_device(char* device, char* driver, size_t size) {
    int count = 0, supported = 0;
    cudaDeviceProp properties;
    cudaError_t code = cudaGetDeviceCount(&count);
    if (code == cudaSuccess && count == 0) {
        code = cudaErrorNoDevice;
    }
    if (code == cudaSuccess) {
        code = cudaGetDeviceProperties(&properties, 0);
    }
    if (code != cudaSuccess) {
        std::snprintf(reason, sizeof(reason), "%s", cudaGetErrorString(code));
        return reason;
    }
    cudaDriverGetVersion(&supported);
    std::snprintf(device, size, "%s, compute capability %d.%d", properties.name, properties.major, properties.minor);
    std::snprintf(driver, size, "CUDA %d.%d", supported / 1000, supported % 1000 / 10);
    return nullptr;
}
