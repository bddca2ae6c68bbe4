// Runs model.mnn with MNN's public interface and shows where it differs from expected/.
//
//   c++ -std=c++17 reproduce.cpp -I $MNN/include -L $MNN/build -lMNN -o reproduce && ./reproduce
//
// What really ran is printed; without the backend MNN runs on the CPU in silence.

#include <MNN/Interpreter.hpp>
#include <MNN/Tensor.hpp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

using Names = std::vector<std::pair<std::string, std::string>>;

static const Names INPUTS = {
    @INPUTS@
};
static const Names OUTPUTS = {
    @OUTPUTS@
};

struct Array {
    std::string dtype;
    std::vector<int> shape;
    std::vector<char> bytes;
};

// Enough of numpy's format to read what offby writes: version 1 to 3, little-endian, row-major.
static Array load(const std::string& name) {
    std::ifstream file(name, std::ios::binary);
    std::stringstream stream;
    stream << file.rdbuf();
    const std::string text = stream.str();
    if (text.size() < 12 || text.compare(1, 5, "NUMPY") != 0) {
        std::fprintf(stderr, "%s is no .npy file\n", name.c_str());
        std::exit(2);
    }
    const bool small = text[6] == 1;
    size_t length = 0;
    for (int at = small ? 9 : 11; at >= 8; --at) length = length * 256 + (unsigned char)text[at];
    const size_t start = small ? 10 : 12;
    const std::string header = text.substr(start, length);
    Array array;
    const size_t kind = header.find("'descr': '") + 10;
    array.dtype = header.substr(kind, header.find('\'', kind) - kind);
    const size_t open = header.find('(', header.find("'shape'")) + 1;
    std::stringstream shape(header.substr(open, header.find(')', open) - open));
    for (std::string extent; std::getline(shape, extent, ',');)
        if (extent.find_first_of("0123456789") != std::string::npos)
            array.shape.push_back(std::atoi(extent.c_str()));
    array.bytes.assign(text.begin() + start + length, text.end());
    return array;
}

static halide_type_t type_of(const std::string& dtype) {
    return dtype.find('i') != std::string::npos ? halide_type_of<int32_t>() : halide_type_of<float>();
}

// MNN has no 64-bit integers.
static std::vector<char> narrowed(const Array& array) {
    if (array.dtype != "<i8") return array.bytes;
    const size_t count = array.bytes.size() / 8;
    std::vector<char> narrow(count * 4);
    for (size_t at = 0; at < count; ++at) {
        int64_t wide;
        std::memcpy(&wide, &array.bytes[at * 8], 8);
        const int32_t value = (int32_t)wide;
        std::memcpy(&narrow[at * 4], &value, 4);
    }
    return narrow;
}

int main() {
    std::shared_ptr<MNN::Interpreter> net(MNN::Interpreter::createFromFile("model.mnn"));
    if (!net) return 2;
    MNN::BackendConfig backend;
    backend.precision = (MNN::BackendConfig::PrecisionMode)@PRECISION@;
    MNN::ScheduleConfig config;
    config.type = (MNNForwardType)@FORWARD@;
    config.numThread = config.type == MNN_FORWARD_CPU ? 2 : 4;
    config.backendConfig = &backend;
    MNN::Session* session = net->createSession(config);
    if (!session) return 2;
    for (const auto& input : INPUTS)
        net->resizeTensor(net->getSessionInput(session, input.first.c_str()), load(input.second).shape);
    net->resizeSession(session);
    int ran[2] = {-1, -1};
    net->getSessionInfo(session, MNN::Interpreter::BACKENDS, ran);
    std::printf("asked for backend %d, ran on %d\n", @FORWARD@, ran[0]);
    for (const auto& input : INPUTS) {
        const Array array = load(input.second);
        std::vector<char> bytes = narrowed(array);
        std::unique_ptr<MNN::Tensor> host(MNN::Tensor::create(
            array.shape, type_of(array.dtype), bytes.data(), MNN::Tensor::CAFFE));
        net->getSessionInput(session, input.first.c_str())->copyFromHostTensor(host.get());
    }
    if (net->runSession(session) != MNN::NO_ERROR) return 2;
    int differing = 0;
    for (const auto& output : OUTPUTS) {
        const Array right = load(output.second);
        MNN::Tensor* tensor = net->getSessionOutput(session, output.first.c_str());
        if (!tensor) return 2;
        MNN::Tensor host(tensor, MNN::Tensor::CAFFE);
        tensor->copyToHostTensor(&host);
        const float* expected = (const float*)right.bytes.data();
        const float* found = host.host<float>();
        const int count = host.elementSize();
        int here = 0;
        for (int at = 0; at < count; ++at) {
            const bool both_nan = expected[at] != expected[at] && found[at] != found[at];
            if (expected[at] == found[at] || both_nan) continue;
            if (here++ < 10) std::printf("  [%d] expected %g, got %g\n", at, expected[at], found[at]);
        }
        std::printf("%s: %d of %d elements differ\n", output.first.c_str(), here, count);
        differing += here;
    }
    return differing > 0 ? 1 : 0;
}
