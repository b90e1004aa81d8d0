#define FEATHERWEIGHT_ISA neon
#include "kernels.inc"
