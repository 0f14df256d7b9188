// Bindings of the CPU kernels: NumPy arrays in and out, GIL released.
#include <algorithm>
#include <deque>
#include <thread>

#include "bindings/arrays.h"
#include "kernels/features/feature_kernels.h"

namespace mtl {
namespace {

// Threads of the binding's own, for benchmarks and tests without TensorFlow.
ParallelFor Threads(int64_t num_threads) {
  return
      [num_threads](int64_t count, int64_t /*cost_ns*/, const std::function<void(int64_t)>& body) {
        const int64_t available = std::max<int64_t>(1, std::thread::hardware_concurrency());
        const int64_t used = std::max<int64_t>(1, std::min({num_threads, count, available}));
        std::vector<std::thread> threads;
        const auto run = [&](int64_t t) {
          for (int64_t i = t * count / used; i < (t + 1) * count / used; ++i) body(i);
        };
        for (int64_t t = 1; t < used; ++t) threads.emplace_back(run, t);
        run(0);
        for (std::thread& thread : threads) thread.join();
      };
}

class HostMemory {
 public:
  using Any = py::array;
  template <typename T>
  using Typed = py::array_t<T, py::array::c_style>;
  using Array = py::array;

  explicit HostMemory(int64_t num_threads) : num_threads_(num_threads) {
    if (num_threads >= 1) return;
    throw py::value_error("num_threads: expected at least 1, received " +
                          std::to_string(num_threads));
  }

  Input View(const py::array& array) {
    const DType dtype = ToDType(array.dtype());
    const auto address = reinterpret_cast<uintptr_t>(array.data());
    if (!(array.flags() & py::array::c_style) || address % ItemBytes(dtype) != 0) {
      throw py::value_error("expected C-contiguous, aligned arrays");
    }
    return {{dtype, Dims(array.shape(), array.shape() + array.ndim())}, array.data()};
  }

  Input Scalar(double value) {
    scalars_.push_back(value);
    return {{DType::float64, {}}, &scalars_.back()};
  }

  py::array Make(const ArraySpec& spec) const {
    // NumPy knows bfloat16 only by the arrays it is given.
    const bool is_bfloat16 = spec.dtype == DType::bfloat16;
    return py::array(is_bfloat16 ? *bfloat16_ : py::dtype(NameOf(spec.dtype)), spec.dims);
  }

  static void* Data(py::array& array) { return array.mutable_data(); }

  template <typename T>
  static T ToScalar(const py::array& array) {
    return *static_cast<const T*>(array.data());
  }

  void Run(const PreparedCall& call, const Buffers& buffers) const {
    const auto run = [&] {
      py::gil_scoped_release released;
      return call.Run(buffers, Threads(num_threads_));
    };
    Require(run());
  }

 private:
  // Arrays of a call are mostly of one type: its name is read once.
  DType ToDType(const py::dtype& dtype) {
    if (last_ && dtype.ptr() == last_->first.ptr()) return last_->second;
    last_.emplace(dtype, DTypeNamed(py::str(dtype)));
    RequireKnown(last_->second, py::str(dtype));
    if (last_->second == DType::bfloat16) bfloat16_ = dtype;
    return last_->second;
  }

  int64_t num_threads_;
  std::optional<std::pair<py::dtype, DType>> last_;
  std::optional<py::dtype> bfloat16_;
  std::deque<double> scalars_;  // whose addresses stay
};

using FloatArray = py::array_t<float, py::array::c_style>;

template <typename Function>
FloatArray Apply(const FloatArray& x, const Function& function) {
  FloatArray y(x.size());
  function(x.data(), x.size(), y.mutable_data());
  return y;
}

}  // namespace

void BindNumPy(py::module_& module) {
  BindOps<HostMemory>(module, "num_threads", 1);
  module.def(
      "vector_exp", [](const FloatArray& x) { return Apply(x, MTL_SELECT_KERNEL(VectorExp)); },
      py::arg("x"), "exp of float32 [N], as the kernels compute it.");
  module.def(
      "vector_log", [](const FloatArray& x) { return Apply(x, MTL_SELECT_KERNEL(VectorLog)); },
      py::arg("x"), "Natural logarithm of float32 [N], as the kernels compute it.");
}

}  // namespace mtl
