// Affinity diffusion on the GPU: tiles (affinity_tiles.h) with tensor cores, where they take the
// type.
#include <cuda_runtime_api.h>
#include <mma.h>

#include "kernels/cuda/device_float.cuh"
#include "kernels/features/affinity/affinity_diffusion.h"
// After the conversions of device_float.cuh, which its templates use.
#include "kernels/features/affinity/affinity_tiles.h"

namespace mtl {

template <>
constexpr bool kHasUnits<__half> = true;

namespace {

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / 32;
static_assert(kThreads == kProductCells, "a thread makes a cell of a product");

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
template <typename T>
constexpr bool kIsForTensorCores = std::is_same_v<T, __half>;
#else
template <typename T>
constexpr bool kIsForTensorCores = sizeof(T) == 2;
#endif

template <typename T, int kSide>
struct ThreadBlock {
  using Tile = Tiles<T, kSide>;

  template <typename Function>
  __device__ void For(int n, const Function& f) const {
    for (int i = threadIdx.x; i < n; i += kThreads) f(i);
    __syncthreads();
  }

  __device__ void Product(Factor<T> left, Factor<T> right, float* c) const {
    if constexpr (kIsForTensorCores<T>) {
      if (left.is_transposed) {
        WarpProduct<nvcuda::wmma::col_major, nvcuda::wmma::row_major>(left.tile, right.tile, c);
      } else if (right.is_transposed) {
        WarpProduct<nvcuda::wmma::row_major, nvcuda::wmma::col_major>(left.tile, right.tile, c);
      } else {
        WarpProduct<nvcuda::wmma::row_major, nvcuda::wmma::row_major>(left.tile, right.tile, c);
      }
    } else {
      ScalarProduct<T, kSide>(threadIdx.x, left, right, c);
    }
    __syncthreads();
  }

 private:
  // A warp makes neighbouring squares of 16 x 16.
  template <typename LeftLayout, typename RightLayout>
  __device__ static void WarpProduct(const T* left, const T* right, float* c) {
    using namespace nvcuda::wmma;
    constexpr int kSquares = kSide / 16, kEach = kSquares * kSquares / kWarps;
    constexpr bool kLeftRows = std::is_same_v<LeftLayout, row_major>;
    constexpr bool kRightRows = std::is_same_v<RightLayout, row_major>;
    const int warp = threadIdx.x / 32;
#pragma unroll
    for (int n = 0; n < kEach; ++n) {
      const int i = (warp * kEach + n) / kSquares * 16, j = (warp * kEach + n) % kSquares * 16;
      fragment<accumulator, 16, 16, 16, float> sum;
      load_matrix_sync(sum, c + i * Tile::kSumRow + j, Tile::kSumRow, mem_row_major);
#pragma unroll
      for (int l = 0; l < kSide; l += 16) {
        fragment<matrix_a, 16, 16, 16, T, LeftLayout> a;
        fragment<matrix_b, 16, 16, 16, T, RightLayout> b;
        load_matrix_sync(a, left + (kLeftRows ? i * Tile::kRow + l : l * Tile::kRow + i),
                         Tile::kRow);
        load_matrix_sync(b, right + (kRightRows ? l * Tile::kRow + j : j * Tile::kRow + l),
                         Tile::kRow);
        mma_sync(sum, a, b, sum);
      }
      store_matrix_sync(c + i * Tile::kSumRow + j, sum, Tile::kSumRow, mem_row_major);
    }
  }
};

// The arguments of a launch, for every image.
struct DeviceDiffusion {
  DiffusionShape shape;
  const void* queries[kMaxAffinities];
  const void* keys[kMaxAffinities];
  const void* values;
  const void* upstream;
  const float* mix;
  const float* softmax;
  float* means;
  void* results[kMaxAffinities];  // the maps that a kernel writes
  unsigned num_tiles;             // of positions
  unsigned num_parts;             // of a tile: its tiles of channels, for each source
};

// What a block makes. The blocks of an image follow each other: they read the same maps.
struct Share {
  int64_t image;
  unsigned tile, part;

  __device__ explicit Share(const DeviceDiffusion& in)
      : image(blockIdx.x / in.num_tiles / in.num_parts),
        tile(blockIdx.x % in.num_tiles),
        part(blockIdx.x / in.num_tiles % in.num_parts) {}
};

// This block's image: its maps, and the pointers to those of the sources.
template <typename T>
struct Image {
  ImageMaps<T> maps;
  const T* queries[kMaxAffinities];
  const T* keys[kMaxAffinities];
  int64_t keys_offset, values_offset;

  __device__ Image(const DeviceDiffusion& in, int64_t image) {
    const DiffusionShape& shape = in.shape;
    keys_offset = image * shape.positions * shape.query_channels;
    values_offset = image * shape.positions * shape.value_channels;
    for (int s = 0; s < shape.num_sources; ++s) {
      queries[s] = static_cast<const T*>(in.queries[s]) + keys_offset;
      keys[s] = static_cast<const T*>(in.keys[s]) + keys_offset;
    }
    const T* upstream =
        in.upstream == nullptr ? nullptr : static_cast<const T*>(in.upstream) + values_offset;
    maps = {static_cast<const T*>(in.values) + values_offset,
            upstream,
            in.mix,
            in.softmax,
            in.means,
            image,
            shape.batch,
            shape.positions,
            shape.query_channels,
            shape.value_channels,
            shape.num_sources};
  }
};

extern __shared__ __align__(128) unsigned char shared_memory[];

template <typename T, int kSide>
__global__ void __launch_bounds__(kThreads)
    ResultsKernel(const __grid_constant__ DeviceDiffusion in, float* softmax) {
  const Share share(in);
  const Image<T> image(in, share.image);
  const Tiles<T, kSide> tiles(shared_memory);
  const ThreadBlock<T, kSide> block;
  TileWork<T, kSide, ThreadBlock<T, kSide>>(block, tiles, image.maps)
      .Results(image.queries, image.keys, share.tile * int64_t{kSide}, share.part * int64_t{kSide},
               static_cast<T*>(in.results[0]) + image.values_offset, softmax);
}

template <typename T, int kSide>
__global__ void __launch_bounds__(kThreads)
    QueryGradientsKernel(const __grid_constant__ DeviceDiffusion in) {
  const Share share(in);
  const Image<T> image(in, share.image);
  const Tiles<T, kSide> tiles(shared_memory);
  const ThreadBlock<T, kSide> block;
  const int s = share.part % in.shape.num_sources, d = share.part / in.shape.num_sources * kSide;
  TileWork<T, kSide, ThreadBlock<T, kSide>>(block, tiles, image.maps)
      .QueryGradients(s, image.queries[s], image.keys[s], share.tile * int64_t{kSide}, d,
                      static_cast<T*>(in.results[s]) + image.keys_offset);
}

template <typename T, int kSide>
__global__ void __launch_bounds__(kThreads)
    KeyGradientsKernel(const __grid_constant__ DeviceDiffusion in) {
  const Share share(in);
  const Image<T> image(in, share.image);
  const Tiles<T, kSide> tiles(shared_memory);
  const ThreadBlock<T, kSide> block;
  const int s = share.part % in.shape.num_sources, d = share.part / in.shape.num_sources * kSide;
  TileWork<T, kSide, ThreadBlock<T, kSide>>(block, tiles, image.maps)
      .KeyGradients(s, image.queries[s], image.keys[s], share.tile * int64_t{kSide}, d,
                    static_cast<T*>(in.results[s]) + image.keys_offset);
}

template <typename T, int kSide>
__global__ void __launch_bounds__(kThreads)
    ValueGradientsKernel(const __grid_constant__ DeviceDiffusion in) {
  const Share share(in);
  const Image<T> image(in, share.image);
  const Tiles<T, kSide> tiles(shared_memory);
  const ThreadBlock<T, kSide> block;
  TileWork<T, kSide, ThreadBlock<T, kSide>>(block, tiles, image.maps)
      .ValueGradients(image.queries, image.keys, share.tile * int64_t{kSide},
                      share.part * int64_t{kSide},
                      static_cast<T*>(in.results[0]) + image.values_offset);
}

// The gradient of mix: a block adds a source's means, in an order that the shape decides.
__global__ void __launch_bounds__(kThreads)
    MixGradientsKernel(const float* means, int64_t count, float* results) {
  __shared__ double sums[kThreads];
  double sum = 0;
  for (int64_t n = threadIdx.x; n < count; n += kThreads) sum += means[blockIdx.x * count + n];
  sums[threadIdx.x] = sum;
  __syncthreads();
  for (int n = kThreads / 2; n > 0; n /= 2) {
    if (threadIdx.x < n) sums[threadIdx.x] += sums[threadIdx.x + n];
    __syncthreads();
  }
  if (threadIdx.x == 0) results[blockIdx.x] = static_cast<float>(sums[0]);
}

DeviceDiffusion ToDevice(const DiffusionInputs& in) {
  DeviceDiffusion device = {};
  device.shape = in.shape;
  for (int s = 0; s < in.shape.num_sources; ++s) {
    device.queries[s] = in.queries[s];
    device.keys[s] = in.keys[s];
  }
  device.values = in.values;
  device.mix = in.mix;
  return device;
}

template <int kTileSide>
struct Side {
  static constexpr int value = kTileSide;
};

// Calls f(null of T, Side<n>) with the largest tiles whose memory the device has.
template <typename Function>
CudaStatus WithTiles(DType type, const Function& f) {
  int device = 0, bytes = 0;
  CudaStatus status = cudaGetDevice(&device);
  if (status == 0) {
    status = cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
  }
  if (status != 0) return status;
  return WithDeviceType(type, [&](auto* null) -> CudaStatus {
    using T = std::remove_pointer_t<decltype(null)>;
    return bytes >= Tiles<T, 64>::kBytes ? f(null, Side<64>{}) : f(null, Side<32>{});
  });
}

// Launches a kernel whose blocks share the memory of a Tile: one for each tile of positions and of
// channels, `num_maps` maps of every image.
template <typename Tile, typename Kernel, typename... Arguments>
CudaStatus Launch(Kernel kernel, DeviceDiffusion in, int64_t channels, int num_maps,
                  CudaStream stream, const Arguments&... arguments) {
  const auto num_tiles = [](int64_t n) { return (n + Tile::kSide - 1) / Tile::kSide; };
  const int64_t tiles = num_tiles(in.shape.positions), parts = num_tiles(channels) * num_maps;
  const int64_t num_blocks = tiles * parts * in.shape.batch;
  if (num_blocks > INT32_MAX) return cudaErrorInvalidConfiguration;
  in.num_tiles = static_cast<unsigned>(tiles);
  in.num_parts = static_cast<unsigned>(parts);
  const CudaStatus status = cudaFuncSetAttribute(
      kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(Tile::kBytes));
  if (status != 0) return status;
  kernel<<<static_cast<unsigned>(num_blocks), kThreads, Tile::kBytes,
           static_cast<cudaStream_t>(stream)>>>(in, arguments...);
  return cudaGetLastError();
}

}  // namespace

CudaStatus AffinityDiffusionCuda(const AffinityDiffusionArgs& args, CudaStream stream) {
  const DiffusionShape& shape = args.inputs.shape;
  if (shape.batch * shape.positions == 0) return 0;
  DeviceDiffusion in = ToDevice(args.inputs);
  in.results[0] = args.results;
  return WithTiles(shape.type, [&](auto* null, auto side) {
    using T = std::remove_pointer_t<decltype(null)>;
    constexpr int kSide = decltype(side)::value;
    return Launch<Tiles<T, kSide>>(ResultsKernel<T, kSide>, in, shape.value_channels, 1, stream,
                                   args.softmax);
  });
}

int64_t AffinityDiffusionGradWorkspaceSize(const DiffusionShape& shape) {
  return (shape.num_sources * shape.batch * shape.positions + 1) / 2;
}

CudaStatus AffinityDiffusionGradCuda(const AffinityDiffusionGradArgs& args, double* workspace,
                                     CudaStream stream) {
  const DiffusionShape& shape = args.inputs.shape;
  const int sources = shape.num_sources;
  const int64_t rows = shape.batch * shape.positions;
  if (rows == 0) {
    return cudaMemsetAsync(args.mix_gradients, 0, sources * sizeof(float),
                           static_cast<cudaStream_t>(stream));
  }
  DeviceDiffusion in = ToDevice(args.inputs);
  in.upstream = args.upstream;
  in.softmax = args.softmax;
  in.means = reinterpret_cast<float*>(workspace);
  return WithTiles(shape.type, [&](auto* null, auto side) -> CudaStatus {
    using T = std::remove_pointer_t<decltype(null)>;
    constexpr int kSide = decltype(side)::value;
    using Tile = Tiles<T, kSide>;
    for (int s = 0; s < sources; ++s) in.results[s] = args.query_gradients[s];
    CudaStatus status =
        Launch<Tile>(QueryGradientsKernel<T, kSide>, in, shape.query_channels, sources, stream);
    if (status != 0) return status;
    for (int s = 0; s < sources; ++s) in.results[s] = args.key_gradients[s];
    status = Launch<Tile>(KeyGradientsKernel<T, kSide>, in, shape.query_channels, sources, stream);
    if (status != 0) return status;
    in.results[0] = args.value_gradients;
    status = Launch<Tile>(ValueGradientsKernel<T, kSide>, in, shape.value_channels, 1, stream);
    if (status != 0) return status;
    MixGradientsKernel<<<sources, kThreads, 0, static_cast<cudaStream_t>(stream)>>>(
        in.means, rows, args.mix_gradients);
    return cudaGetLastError();
  });
}

}  // namespace mtl
