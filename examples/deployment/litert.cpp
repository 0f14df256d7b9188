// Run an exported network in LiteRT, and print the range and the mean of each output.
//
//   mtl-tf export quick model.tflite --with-preprocessing --with-postprocessing --batch 1
//   g++ -std=c++17 -O2 litert.cpp -L LITERT -Wl,-rpath,LITERT -lLiteRt -o run_litert
//   ./run_litert model.tflite photo.ppm
//
// LITERT is the folder of libLiteRt.so, such as site-packages/ai_edge_litert.
#include "litert.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "ppm.h"

namespace {

void check(LiteRtStatus status, const char* what) {
  if (status != 0) throw std::runtime_error(std::string(what) + ": status " + std::to_string(status));
}

template <typename Number>
void print(const char* name, const void* memory, size_t bytes) {
  const auto* values = static_cast<const Number*>(memory);
  const size_t count = bytes / sizeof(Number);
  const auto [least, most] = std::minmax_element(values, values + count);
  const double mean = std::accumulate(values, values + count, 0.0) / static_cast<double>(count);
  std::printf("%s %zu %.6g %.6g %.6g\n", name, count, double(*least), double(*most), mean);
}

void run(const char* model_path, const char* photo_path) {
  LiteRtEnvironment environment;
  LiteRtModel model;
  LiteRtOptions options;
  LiteRtCompiledModel compiled;
  check(LiteRtCreateEnvironment(0, nullptr, &environment), "environment");
  check(LiteRtCreateModelFromFile(environment, model_path, &model), model_path);
  check(LiteRtCreateOptions(&options), "options");
  check(LiteRtSetOptionsHardwareAccelerators(options, kLiteRtHwAcceleratorCpu), "processor");
  check(LiteRtCreateCompiledModel(environment, model, options, &compiled), "compilation");

  LiteRtSignature signature;
  LiteRtIndex count;
  check(LiteRtGetModelSignature(model, 0, &signature), "signature");
  check(LiteRtGetNumSignatureOutputs(signature, &count), "outputs");

  LiteRtTensor tensor;
  LiteRtRankedTensorType type;
  LiteRtTensorBufferRequirements needs;
  LiteRtTensorBuffer image;
  check(LiteRtGetSignatureInputTensorByIndex(signature, 0, &tensor), "image");
  check(LiteRtGetRankedTensorType(tensor, &type), "type of the image");
  check(LiteRtGetCompiledModelInputBufferRequirements(compiled, 0, 0, &needs), "image");
  check(LiteRtCreateManagedTensorBufferFromRequirements(environment, &type, needs, &image),
        "buffer of the image");

  const Picture picture = read_ppm(photo_path);
  size_t bytes;
  void* memory;
  check(LiteRtGetTensorBufferPackedSize(image, &bytes), "size of the image");
  if (bytes != picture.rgb.size() * sizeof(float)) {
    throw std::runtime_error(std::string(photo_path) + " has another size than the network's input");
  }
  check(LiteRtLockTensorBuffer(image, &memory, kLiteRtLockWrite), "writing the image");
  std::memcpy(memory, picture.rgb.data(), bytes);
  check(LiteRtUnlockTensorBuffer(image), "writing the image");

  std::vector<LiteRtTensorBuffer> outputs(count);
  std::vector<LiteRtRankedTensorType> types(count);
  for (LiteRtIndex i = 0; i < count; ++i) {
    check(LiteRtGetSignatureOutputTensorByIndex(signature, i, &tensor), "output");
    check(LiteRtGetRankedTensorType(tensor, &types[i]), "type of an output");
    check(LiteRtGetCompiledModelOutputBufferRequirements(compiled, 0, i, &needs), "output");
    check(LiteRtCreateManagedTensorBufferFromRequirements(environment, &types[i], needs,
                                                          &outputs[i]),
          "buffer of an output");
  }
  check(LiteRtRunCompiledModel(compiled, 0, 1, &image, count, outputs.data()), "running");

  for (LiteRtIndex i = 0; i < count; ++i) {
    const char* task;
    check(LiteRtGetSignatureOutputName(signature, i, &task), "name of an output");
    check(LiteRtGetTensorBufferPackedSize(outputs[i], &bytes), task);
    check(LiteRtLockTensorBuffer(outputs[i], &memory, kLiteRtLockRead), task);
    if (types[i].element_type == kLiteRtElementTypeInt32) {  // class ids
      print<int32_t>(task, memory, bytes);
    } else {
      print<float>(task, memory, bytes);
    }
    check(LiteRtUnlockTensorBuffer(outputs[i]), task);
    LiteRtDestroyTensorBuffer(outputs[i]);
  }
  LiteRtDestroyTensorBuffer(image);
  LiteRtDestroyCompiledModel(compiled);
  LiteRtDestroyOptions(options);
  LiteRtDestroyModel(model);
  LiteRtDestroyEnvironment(environment);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s model.tflite photo.ppm\n", argv[0]);
    return 2;
  }
  try {
    run(argv[1], argv[2]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
