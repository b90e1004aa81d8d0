#define FEATHERWEIGHT_ISA avx512
#include "kernels.inc"
