#include "module.h"
#include <MNN/expr/NeuralNetWorkOp.hpp>
#include <algorithm>
#include <cstring>
#include <stdexcept>
#include "MNN_generated.h"

using namespace MNN;
using namespace MNN::Express;

namespace offby {

namespace {

bool isModuleOp(const Op* op) {
    switch (op->type()) {
        case OpType_If:
        case OpType_Where:
        case OpType_Unique:
        case OpType_Segment:
        case OpType_NonMaxSuppressionV2:
            return true;
        case OpType_While:
            return op->main_as_WhileParam() != nullptr;
        default:
            return false;
    }
}

Tensor* hostTensor(const std::vector<int>& dims, halide_type_t type) { return Tensor::create(dims, type, nullptr, Tensor::CAFFE); }

// Where an operator's weights are in a second file: their offset, and the bytes of each part from there on.
const flatbuffers::Vector<int64_t>* placeOfWeights(const Op* op) {
    if (op->main() == nullptr) {
        return nullptr;
    }
    switch (op->main_type()) {
        case OpParameter_Convolution2D:
            return op->main_as_Convolution2D()->external();
        case OpParameter_Convolution3D:
            return op->main_as_Convolution3D()->external();
        case OpParameter_Blob:
            return op->main_as_Blob()->external();
        case OpParameter_Scale:
            return op->main_as_Scale()->external();
        case OpParameter_LayerNorm:
            return op->main_as_LayerNorm()->external();
        case OpParameter_GroupNorm:
            return op->main_as_GroupNorm()->external();
        default:
            return nullptr;
    }
}

typedef flatbuffers::Vector<flatbuffers::Offset<Op>> OpList;

int64_t endOfWeights(const OpList* ops) {
    int64_t end = 0;
    for (size_t i = 0; ops != nullptr && i < ops->size(); ++i) {
        auto place = placeOfWeights(ops->GetAs<Op>(i));
        int64_t at = 0;
        for (size_t k = 0; place != nullptr && place->size() > 1 && k < place->size(); ++k) {
            at += place->Get(k);
        }
        end = std::max(end, at);
    }
    return end;
}

} // namespace

int64_t leastSecondFile(const void* model) {
    auto net = GetNet(model);
    int64_t end = endOfWeights(net->oplists());
    auto bodies = net->subgraphs();
    for (size_t i = 0; bodies != nullptr && i < bodies->size(); ++i) {
        end = std::max(end, endOfWeights(bodies->GetAs<SubGraphProto>(i)->nodes()));
    }
    return end;
}

bool needsModule(const void* model) {
    auto ops = GetNet(model)->oplists();
    for (size_t i = 0; ops != nullptr && i < ops->size(); ++i) {
        if (isModuleOp(ops->GetAs<Op>(i))) {
            return true;
        }
    }
    return false;
}

ModuleNetwork::ModuleNetwork(const void* model, size_t size, const char* weights, const ScheduleConfig& config) {
    BackendConfig plain;
    mExecutor = Executor::newExecutor(MNN_FORWARD_CPU, plain, 1);
    ExecutorScope scope(mExecutor);
    mRuntime.reset(Executor::RuntimeManager::createRuntimeManager(config));
    if (mRuntime == nullptr) {
        throw std::runtime_error("MNN could not create a runtime for this backend");
    }
    if (weights != nullptr) {
        mRuntime->setExternalFile(weights);
    }
    // Without this mode, callbacks see only the last part of the network.
    mRuntime->setMode(Interpreter::Session_Debug);
    mModule.reset(Module::load({}, {}, static_cast<const uint8_t*>(model), size, mRuntime));
    if (mModule == nullptr) {
        throw std::runtime_error("MNN does not load this file as a module");
    }
    auto info = mModule->getInfo();
    for (size_t i = 0; i < info->inputNames.size(); ++i) {
        auto dims = info->inputs[i].dim;
        for (auto& dim : dims) {
            dim = dim < 0 ? 0 : dim;
        }
        mEnds[0].push_back({info->inputNames[i], Host(hostTensor(dims, info->inputs[i].type))});
    }
}

std::vector<std::pair<std::string, Tensor*>> ModuleNetwork::ends(bool outputs) {
    std::vector<std::pair<std::string, Tensor*>> all;
    for (auto& end : mEnds[outputs ? 1 : 0]) {
        all.emplace_back(end.name, end.host.get());
    }
    return all;
}

void ModuleNetwork::resizeInput(Tensor* input, const std::vector<int>& dims) {
    for (auto& end : mEnds[0]) {
        if (end.host.get() == input) {
            end.host.reset(hostTensor(dims, input->getType()));
            return;
        }
    }
}

int ModuleNetwork::backend() {
    int backends[8] = {-1, -1, -1, -1, -1, -1, -1, -1};
    mRuntime->getInfo(Interpreter::BACKENDS, backends);
    return backends[0];
}

// Makes a new variable for each run: MNN copies a known variable to a GPU only once.
VARP ModuleNetwork::fed(const End& input) {
    auto host = input.host.get();
    VARP variable = _Input(host->shape(), NCHW, host->getType());
    if (host->elementSize() > 0) {
        std::memcpy(variable->writeMap<void>(), host->host<void>(), host->size());
    }
    return variable;
}

void ModuleNetwork::keep(const std::vector<VARP>& outputs) {
    auto& names = mModule->getInfo()->outputNames;
    mEnds[1].clear();
    for (size_t i = 0; i < outputs.size(); ++i) {
        auto output = outputs[i];
        auto info = output == nullptr ? nullptr : output->getInfo();
        if (info == nullptr) {
            throw std::runtime_error("MNN could not compute the shape of the output `" + names[i] + "`");
        }
        if (info->order == NC4HW4) {
            output = _Convert(output, NCHW);
            info = output->getInfo();
        }
        Host host(hostTensor(info->dim, info->type));
        if (host->elementSize() > 0) {
            auto bytes = output->readMap<void>();
            if (bytes == nullptr) {
                throw std::runtime_error("MNN could not compute the output `" + names[i] + "`");
            }
            std::memcpy(host->host<void>(), bytes, host->size());
        }
        mEnds[1].push_back({names[i], std::move(host)});
    }
}

int ModuleNetwork::run(TensorCallBackWithInfo before, TensorCallBackWithInfo after) {
    ExecutorScope scope(mExecutor);
    bool ended = false;
    if (after != nullptr) {
        auto tap = after;
        after = [tap, &ended](const std::vector<Tensor*>& tensors, const OperatorInfo* info) {
            ended = ended || !tap(tensors, info);
            return !ended;
        };
    }
    mExecutor->setCallBack(std::move(before), std::move(after));
    std::vector<VARP> inputs;
    for (auto& input : mEnds[0]) {
        inputs.push_back(fed(input));
    }
    // The inputs of the last run live until this run is over: MNN distinguishes new inputs from old ones by address.
    mFed.swap(inputs);
    auto outputs = mModule->onForward(mFed);
    if (ended) {
        return CALL_BACK_STOP;
    }
    if (outputs.empty()) {
        throw std::runtime_error("MNN gave no outputs");
    }
    keep(outputs);
    return NO_ERROR;
}

} // namespace offby
