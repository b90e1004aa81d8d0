#define FEATHERWEIGHT_ISA plain
#include "kernels.inc"
