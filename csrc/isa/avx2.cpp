#define FEATHERWEIGHT_ISA avx2
#include "kernels.inc"
