#include "shim.h"
#include "module.h"
#include <MNN/Interpreter.hpp>
#include <MNN/Tensor.hpp>
#include <cstring>
#include <exception>
#include <fstream>
#include <memory>
#include <string>
#include <vector>
#include "core/Backend.hpp"
#include "core/Command.hpp"
#include "core/Execution.hpp"
#include "core/Schedule.hpp"
#include "core/Session.hpp"
#include "core/TensorUtils.hpp"
#include "MNN_generated.h"

using namespace MNN;

struct OffbySession {
    std::unique_ptr<Interpreter> net;
    BackendConfig backend;
    Session* session = nullptr;
    std::unique_ptr<offby::ModuleNetwork> module; // in place of net and session
    std::vector<std::pair<std::string, Tensor*>> ends[2]; // inputs, outputs
    std::vector<Command*> commands; // of net, in the order of execution
};

namespace {

thread_local std::string gError;

Tensor* plain(OffbyTensor* tensor) { return reinterpret_cast<Tensor*>(tensor); }
const Tensor* plain(const OffbyTensor* tensor) { return reinterpret_cast<const Tensor*>(tensor); }

// Runs `body`, turning any exception into `failed` and a reason.
template <typename Result, typename Body>
Result guarded(Result failed, Body body) {
    try {
        gError.clear();
        return body();
    } catch (const std::exception& error) {
        gError = error.what();
    } catch (...) {
        gError = "an exception of unknown type";
    }
    return failed;
}

template <typename Result>
Result refuse(Result failed, const std::string& reason) {
    gError = reason;
    return failed;
}

void listEnds(OffbySession* s) {
    s->ends[0].clear();
    s->ends[1].clear();
    if (s->module != nullptr) {
        s->ends[0] = s->module->ends(false);
        s->ends[1] = s->module->ends(true);
        return;
    }
    for (auto& entry : s->net->getSessionInputAll(s->session)) {
        s->ends[0].push_back(entry);
    }
    for (auto& entry : s->net->getSessionOutputAll(s->session)) {
        s->ends[1].push_back(entry);
    }
}

// `cpu` is the runtime whose threads wait for work all the time while it runs: they rest during the tap.
TensorCallBackWithInfo wrap(OffbyTap tap, void* context, const Runtime* cpu = nullptr) {
    if (tap == nullptr) {
        return nullptr;
    }
    return [tap, context, cpu](const std::vector<Tensor*>& tensors, const OperatorInfo* info) {
        OffbyOp op = {info->name().c_str(), info->type().c_str(), info->flops()};
        auto list = reinterpret_cast<OffbyTensor* const*>(tensors.data());
        if (cpu != nullptr) {
            cpu->onConcurrencyEnd();
        }
        bool goesOn = tap(context, &op, list, tensors.size()) != 0;
        if (cpu != nullptr) {
            cpu->onConcurrencyBegin();
        }
        return goesOn;
    };
}

// The runtime of a session on the CPU.
const Runtime* cpuOf(Session* session) {
    auto& backend = session->getPipelineInfo(0).first.cache.first;
    return backend->type() == MNN_FORWARD_CPU ? backend->getRuntime() : nullptr;
}

void listCommands(OffbySession* s) {
    s->commands.clear();
    for (auto& op : s->session->getPipelineInfo(0).second) {
        if (op.type == Schedule::CONSTANT) {
            continue;
        }
        for (auto& command : op.executeBuffer.command) {
            s->commands.push_back(command.get());
        }
    }
}

// Whether a tensor is in host memory and belongs to no backend that could copy it.
bool isHostOnly(const Tensor* tensor) {
    return TensorUtils::getDescribeOrigin(tensor)->getBackend() == nullptr && tensor->buffer().host != nullptr;
}

bool sizeAgrees(const Tensor& host, size_t size) { return static_cast<size_t>(host.size()) == size; }

} // namespace

const char* offby_mnn_version(void) { return getVersion(); }
int32_t offby_op_type(const char* name) {
    for (auto type : EnumValuesOpType()) {
        if (std::strcmp(EnumNameOpType(type), name) == 0) {
            return static_cast<int32_t>(type);
        }
    }
    return -1;
}

const char* offby_last_error(void) { return gError.c_str(); }

int32_t offby_needs_module(const void* model, size_t size) {
    return guarded<int32_t>(-1, [&] {
        flatbuffers::Verifier verifier(static_cast<const uint8_t*>(model), size);
        return VerifyNetBuffer(verifier) && offby::needsModule(model) ? 1 : 0;
    });
}

OffbySession* offby_open(const void* model, size_t size, const OffbyConfig* config) {
    return guarded<OffbySession*>(nullptr, [&]() -> OffbySession* {
        flatbuffers::Verifier verifier(static_cast<const uint8_t*>(model), size);
        const int64_t least = VerifyNetBuffer(verifier) ? offby::leastSecondFile(model) : 0;
        if (least > 0 && config->weights == nullptr) {
            return refuse<OffbySession*>(nullptr,
                                         "the MNN model has its weights in a second file: MODEL.mnn.weight must be next to MODEL.mnn, and the target on this machine");
        }
        if (least > 0 && std::ifstream(config->weights, std::ios::ate | std::ios::binary).tellg() < least) {
            return refuse<OffbySession*>(nullptr,
                                         "the second file of the MNN model, MODEL.mnn.weight, is too short: it is not complete, or it belongs to another model");
        }
        std::unique_ptr<OffbySession> s(new OffbySession);
        s->backend.precision = static_cast<BackendConfig::PrecisionMode>(config->precision);
        ScheduleConfig schedule;
        schedule.type = static_cast<MNNForwardType>(config->forward_type);
        schedule.mode = config->mode;
        schedule.backendConfig = &s->backend;
        if (config->module != 0) {
            s->module.reset(new offby::ModuleNetwork(model, size, config->weights, schedule));
            listEnds(s.get());
            return s.release();
        }
        s->net.reset(Interpreter::createFromBuffer(model, size));
        if (s->net == nullptr) {
            return refuse<OffbySession*>(nullptr, "MNN does not read this file as a model");
        }
        if (config->weights != nullptr) {
            s->net->setExternalFile(config->weights);
        }
        s->net->setSessionMode(Interpreter::Session_Debug);
        s->session = s->net->createSession(schedule);
        if (s->session == nullptr) {
            return refuse<OffbySession*>(nullptr, "MNN could not create a session for this model");
        }
        listEnds(s.get());
        listCommands(s.get());
        return s.release();
    });
}

int32_t offby_has_runtime(int32_t forward_type) {
    return guarded<int32_t>(0, [&] {
        auto creator = MNNGetExtraRuntimeCreator(static_cast<MNNForwardType>(forward_type));
        if (creator == nullptr) {
            return 0;
        }
        Backend::Info info;
        info.type = static_cast<MNNForwardType>(forward_type);
        info.gpuMode = MNN_GPU_TUNING_NONE;
        info.mode = Backend::Info::DIRECT;
        BackendConfig config;
        info.user = &config;
        std::unique_ptr<Runtime> runtime(creator->onCreate(info));
        return runtime != nullptr ? 1 : 0;
    });
}

void offby_close(OffbySession* session) {
    guarded(0, [&] {
        delete session;
        return 0;
    });
}

int32_t offby_backend(OffbySession* s) {
    return guarded<int32_t>(-1, [&] {
        if (s->module != nullptr) {
            return s->module->backend();
        }
        int backends[8] = {-1, -1, -1, -1, -1, -1, -1, -1};
        if (!s->net->getSessionInfo(s->session, Interpreter::BACKENDS, backends)) {
            return refuse(-1, "MNN does not say which backend the session has");
        }
        return backends[0];
    });
}

size_t offby_count(OffbySession* s, int32_t outputs) { return s->ends[outputs != 0].size(); }
const char* offby_name(OffbySession* s, int32_t outputs, size_t index) {
    return s->ends[outputs != 0][index].first.c_str();
}
OffbyTensor* offby_tensor(OffbySession* s, int32_t outputs, size_t index) {
    return reinterpret_cast<OffbyTensor*>(s->ends[outputs != 0][index].second);
}

int32_t offby_resize_input(OffbySession* s, OffbyTensor* input, const int32_t* dims, int32_t rank) {
    return guarded<int32_t>(-1, [&] {
        std::vector<int> shape(dims, dims + rank);
        if (s->module != nullptr) {
            s->module->resizeInput(plain(input), shape);
        } else {
            s->net->resizeTensor(plain(input), shape);
        }
        return 0;
    });
}

int32_t offby_resize(OffbySession* s) {
    return guarded<int32_t>(-1, [&] {
        if (s->module == nullptr) {
            s->commands.clear();
            s->net->resizeSession(s->session);
            listCommands(s);
        }
        listEnds(s);
        return 0;
    });
}

int32_t offby_ready(OffbySession* s) {
    return guarded<int32_t>(-1, [&] {
        int status = 0;
        if (s->module == nullptr && s->net->getSessionInfo(s->session, Interpreter::RESIZE_STATUS, &status) && status != 0) {
            return refuse(-1, "MNN could not compute the shapes of this network");
        }
        return 0;
    });
}

int32_t offby_seal(OffbySession* s) {
    return guarded<int32_t>(-1, [&] {
        if (s->module == nullptr) {
            s->net->releaseModel();
        }
        return 0;
    });
}

void offby_tensor_info(const OffbyTensor* tensor, OffbyTensorInfo* info) {
    const Tensor* t = plain(tensor);
    std::memset(info, 0, sizeof(*info));
    info->rank = t->dimensions() < OFFBY_MAX_RANK ? t->dimensions() : OFFBY_MAX_RANK;
    for (int axis = 0; axis < info->rank; ++axis) {
        info->dims[axis] = t->length(axis);
    }
    info->type_code = t->getType().code;
    info->bits = t->getType().bits;
    info->constant = TensorUtils::getDescribe(t)->usage == Tensor::InsideDescribe::CONSTANT ? 1 : 0;
    auto holder = TensorUtils::getDescribeOrigin(t)->getBackend();
    info->backend = holder == nullptr ? -1 : static_cast<int32_t>(holder->type());
}

int32_t offby_read(const OffbyTensor* tensor, void* bytes, size_t size) {
    return guarded<int32_t>(-1, [&] {
        Tensor host(plain(tensor), Tensor::CAFFE, true);
        if (!sizeAgrees(host, size)) {
            return refuse(-1, "the tensor holds " + std::to_string(host.size()) + " bytes, not " + std::to_string(size));
        }
        if (isHostOnly(plain(tensor))) {
            std::memcpy(bytes, plain(tensor)->host<void>(), size);
            return 0;
        }
        if (!plain(tensor)->copyToHostTensor(&host)) {
            return refuse(-1, "MNN could not copy the tensor to the host");
        }
        std::memcpy(bytes, host.host<void>(), size);
        return 0;
    });
}

int32_t offby_write(OffbyTensor* tensor, const void* bytes, size_t size) {
    return guarded<int32_t>(-1, [&] {
        Tensor host(plain(tensor), Tensor::CAFFE, true);
        if (!sizeAgrees(host, size)) {
            return refuse(-1, "the tensor holds " + std::to_string(host.size()) + " bytes, not " + std::to_string(size));
        }
        if (isHostOnly(plain(tensor))) {
            std::memcpy(plain(tensor)->host<void>(), bytes, size);
            return 0;
        }
        std::memcpy(host.host<void>(), bytes, size);
        if (!plain(tensor)->copyFromHostTensor(&host)) {
            return refuse(-1, "MNN could not copy the tensor to the device");
        }
        return 0;
    });
}

int32_t offby_run(OffbySession* s, OffbyTap before, OffbyTap after, void* context) {
    return guarded<int32_t>(-1, [&] {
        if (s->module != nullptr) {
            auto code = s->module->run(wrap(before, context), wrap(after, context));
            listEnds(s);
            return static_cast<int32_t>(code);
        }
        if (before == nullptr && after == nullptr) {
            return static_cast<int32_t>(s->net->runSession(s->session));
        }
        auto cpu = cpuOf(s->session);
        auto code =
            s->net->runSessionWithCallBackInfo(s->session, wrap(before, context, cpu), wrap(after, context, cpu), true);
        return static_cast<int32_t>(code);
    });
}

size_t offby_commands(OffbySession* s) { return s->commands.size(); }

int32_t offby_step(OffbySession* s, size_t number, OffbyTap before, OffbyTap after, void* context) {
    return guarded<int32_t>(-1, [&] {
        auto& pipeline = s->session->getPipelineInfo(0);
        if (number >= s->commands.size()) {
            return refuse(-1, "there is no command of this number");
        }
        auto command = s->commands[number];
        auto info = command->info.get();
        if (info != nullptr && !wrap(before, context)(command->workInputs, info)) {
            return 0;
        }
        // Pipeline::executeCallBack does the same around a whole run.
        auto& backends = pipeline.first.cache;
        backends.first->onExecuteBegin();
        backends.second->onExecuteBegin();
        auto code = command->execution->onExecute(command->workInputs, command->workOutputs);
        backends.second->onExecuteEnd();
        backends.first->onExecuteEnd();
        if (code == NO_ERROR && info != nullptr) {
            wrap(after, context)(command->workOutputs, info);
        }
        return static_cast<int32_t>(code);
    });
}

size_t offby_regions(const OffbyTensor* output, OffbyTensor* const* inputs, size_t count, OffbyRegion* regions, size_t room) {
    auto& list = TensorUtils::getDescribe(plain(output))->regions;
    for (size_t i = 0; i < list.size() && i < room; ++i) {
        OffbyRegion& to = regions[i];
        to.input = -1;
        for (size_t j = 0; j < count; ++j) {
            if (plain(inputs[j]) == list[i].origin) {
                to.input = static_cast<int32_t>(j);
            }
        }
        to.source_offset = list[i].src.offset;
        to.target_offset = list[i].dst.offset;
        for (int axis = 0; axis < 3; ++axis) {
            to.size[axis] = list[i].size[axis];
            to.source_stride[axis] = list[i].src.stride[axis];
            to.target_stride[axis] = list[i].dst.stride[axis];
        }
    }
    return list.size();
}
