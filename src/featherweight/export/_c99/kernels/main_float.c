/* Reads pictures from the standard input, one after the other, each the floats [channels][height][width] of the
 * network's input in the machine's byte order; writes the logits of each to the standard output as floats. */
#include <stdio.h>

#include "fw_model.h"

int main(void) {
    static float picture[FW_CHANNELS * FW_HEIGHT * FW_WIDTH], logits[FW_CLASSES];
    while (fread(picture, sizeof picture, 1, stdin) == 1) {
        fw_run(picture, logits);
        if (fwrite(logits, sizeof logits, 1, stdout) != 1) return 1;
    }
    return 0;
}
