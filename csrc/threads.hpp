// One pool of threads: OpenMP's, which PyTorch uses too.
#pragma once

#if defined(_OPENMP)
#include <omp.h>
#endif

namespace featherweight {

inline int thread_number() {
#if defined(_OPENMP)
    return omp_get_thread_num();
#else
    return 0;
#endif
}

}  // namespace featherweight
