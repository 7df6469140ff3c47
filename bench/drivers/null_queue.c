/* SPDX-License-Identifier: MIT
 *
 * The cheapest possible qmail-queue: reads message and envelope to their ends, keeps
 * nothing, exits 0 (54 when it cannot read). The same for all that is compared.
 */
#include <unistd.h>

static char buffer[65536];

static int drain(int fd)
{
    ssize_t got;

    while ((got = read(fd, buffer, sizeof buffer)) > 0)
        ;
    return got == 0;
}

int main(void)
{
    _exit(drain(0) && drain(1) ? 0 : 54);
}
