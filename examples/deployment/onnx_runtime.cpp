// Run an exported network in ONNX Runtime, and print the range and the mean of each output.
//
//   mtl-tf export quick model.onnx --with-preprocessing --with-postprocessing --batch 1
//   g++ -std=c++17 -O2 onnx_runtime.cpp -I ORT/include -L ORT/lib -lonnxruntime -o run_onnx
//   ./run_onnx model.onnx photo.ppm
#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <cstdio>
#include <numeric>
#include <string>
#include <vector>

#include "ppm.h"

template <typename Number>
void print(const std::string& name, const Number* values, size_t count) {
  const auto [least, most] = std::minmax_element(values, values + count);
  const double mean = std::accumulate(values, values + count, 0.0) / static_cast<double>(count);
  std::printf("%s %zu %.6g %.6g %.6g\n", name.c_str(), count, double(*least), double(*most), mean);
}

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s model.onnx photo.ppm\n", argv[0]);
    return 2;
  }
  try {
    Ort::Env env(ORT_LOGGING_LEVEL_WARNING, "mtl_tf");
    Ort::SessionOptions options;
    options.SetIntraOpNumThreads(2);
    Ort::Session session(env, argv[1], options);
    Ort::AllocatorWithDefaultOptions allocator;

    Picture picture = read_ppm(argv[2]);
    const std::vector<int64_t> shape = {1, picture.height, picture.width, 3};
    const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    Ort::Value image = Ort::Value::CreateTensor<float>(
        memory, picture.rgb.data(), picture.rgb.size(), shape.data(), shape.size());

    std::vector<std::string> tasks;
    for (size_t i = 0; i < session.GetOutputCount(); ++i) {
      tasks.emplace_back(session.GetOutputNameAllocated(i, allocator).get());
    }
    std::vector<const char*> names;
    for (const std::string& task : tasks) names.push_back(task.c_str());
    const char* input = "image";
    const auto outputs =
        session.Run(Ort::RunOptions{}, &input, &image, 1, names.data(), names.size());

    for (size_t i = 0; i < tasks.size(); ++i) {
      const auto info = outputs[i].GetTensorTypeAndShapeInfo();
      const size_t count = info.GetElementCount();
      if (info.GetElementType() == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32) {  // class ids
        print(tasks[i], outputs[i].GetTensorData<int32_t>(), count);
      } else {
        print(tasks[i], outputs[i].GetTensorData<float>(), count);
      }
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
