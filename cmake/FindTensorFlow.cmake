# Finds the TensorFlow that Python imports, and defines the targets TensorFlow::framework and
# TensorFlow::cc (the library with XLA).
#
# Sets TensorFlow_FOUND, TensorFlow_VERSION, TensorFlow_INCLUDE_DIR and TensorFlow_LIBRARY. The wheel is located without importing it: importing takes seconds.

execute_process(
  COMMAND "${Python_EXECUTABLE}" -c
"import importlib.metadata as m, importlib.util as u, pathlib
root = pathlib.Path(u.find_spec('tensorflow').submodule_search_locations[0])
names = ('tensorflow-cpu', 'tensorflow')
found = [d.version for n in names for d in m.distributions(name=n)]
print(root, found[0], sep=';')"
  OUTPUT_VARIABLE _tensorflow_facts
  OUTPUT_STRIP_TRAILING_WHITESPACE
  ERROR_QUIET
  RESULT_VARIABLE _tensorflow_missing)

if(NOT _tensorflow_missing)
  list(GET _tensorflow_facts 0 _tensorflow_root)
  list(GET _tensorflow_facts 1 TensorFlow_VERSION)
  set(TensorFlow_INCLUDE_DIR "${_tensorflow_root}/include")
  find_library(TensorFlow_LIBRARY NAMES libtensorflow_framework.so.2 PATHS "${_tensorflow_root}"
               NO_DEFAULT_PATH)
  find_library(TensorFlow_CC_LIBRARY NAMES libtensorflow_cc.so.2 PATHS "${_tensorflow_root}"
               NO_DEFAULT_PATH)
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
  TensorFlow
  REQUIRED_VARS TensorFlow_LIBRARY TensorFlow_CC_LIBRARY TensorFlow_INCLUDE_DIR
  VERSION_VAR TensorFlow_VERSION)

if(TensorFlow_FOUND AND NOT TARGET TensorFlow::framework)
  add_library(TensorFlow::framework SHARED IMPORTED)
  add_library(TensorFlow::cc SHARED IMPORTED)
  set_target_properties(TensorFlow::cc PROPERTIES IMPORTED_LOCATION "${TensorFlow_CC_LIBRARY}")
  # XLA's headers include two libraries that the wheel keeps elsewhere.
  set(_tensorflow_external "${TensorFlow_INCLUDE_DIR}/external")
  set_target_properties(
    TensorFlow::framework
    PROPERTIES IMPORTED_LOCATION "${TensorFlow_LIBRARY}"
               INTERFACE_INCLUDE_DIRECTORIES
               "${TensorFlow_INCLUDE_DIR};${_tensorflow_external}/highwayhash;${_tensorflow_external}/farmhash_archive/src"
               INTERFACE_COMPILE_OPTIONS "-D_GLIBCXX_USE_CXX11_ABI=1")
endif()
