// A network that MNN runs with its Module API: control flow, and shapes that depend on values.
#pragma once
#include <MNN/Interpreter.hpp>
#include <MNN/expr/Executor.hpp>
#include <MNN/expr/ExecutorScope.hpp>
#include <MNN/expr/Module.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>
#include "shim.h"

namespace offby {

// Whether an Interpreter session cannot run this model. MNN splits a Module at the operators that a session lacks.
bool needsModule(const void* model);

// The least bytes of a model's second file, with its weights; 0 if it has none. Without that file, MNN computes with
// zeros or with what is in memory.
int64_t leastSecondFile(const void* model);

class ModuleNetwork {
public:
    // Throws std::runtime_error if MNN refuses.
    ModuleNetwork(const void* model, size_t size, const char* weights, const MNN::ScheduleConfig& config);
    // Copies in host memory, in the order of the network. Outputs exist only after a run.
    std::vector<std::pair<std::string, MNN::Tensor*>> ends(bool outputs);
    void resizeInput(MNN::Tensor* input, const std::vector<int>& dims);
    int backend();
    // MNN's ErrorCode; callbacks may be empty.
    int run(MNN::TensorCallBackWithInfo before, MNN::TensorCallBackWithInfo after);

private:
    typedef std::unique_ptr<MNN::Tensor> Host;
    struct End {
        std::string name;
        Host host;
    };
    MNN::Express::VARP fed(const End& input);
    void keep(const std::vector<MNN::Express::VARP>& outputs);

    // Callbacks belong to an executor, so each network has its own executor.
    std::shared_ptr<MNN::Express::Executor> mExecutor;
    std::shared_ptr<MNN::Express::Executor::RuntimeManager> mRuntime;
    std::shared_ptr<MNN::Express::Module> mModule;
    std::vector<MNN::Express::VARP> mFed;
    std::vector<End> mEnds[2];
};

} // namespace offby
