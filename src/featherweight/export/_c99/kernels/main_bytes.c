/* Reads pictures from the standard input, one after the other, each the bytes of the network's input; writes the
 * logits of each to the standard output as int32 in the machine's byte order. */
#include <stdio.h>

#include "fw_model.h"

int main(void) {
    static int32_t logits[FW_CLASSES];
    uint8_t *input = fw_input();
    while (fread(input, FW_HEIGHT * FW_WIDTH * FW_CHANNELS, 1, stdin) == 1) {
        fw_run(logits);
        if (fwrite(logits, sizeof logits, 1, stdout) != 1) return 1;
    }
    return 0;
}
