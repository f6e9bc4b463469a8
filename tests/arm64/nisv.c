// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Writes to the UART as KVM cannot pass on, with write-back of the address; and hears of it by an
 * abort (DDI 0487 D17.2.37: class 0x25, of the same level), not by its end.
 */
#include "kit.h"

extern char nisv_vectors[] __attribute__((visibility("hidden")));

__asm__(".text\n"
	".balign 2048\n"
	".hidden nisv_vectors\n"
	".global nisv_vectors\n"
	"nisv_vectors:\n"
	"	.skip	0x200\n" /* exceptions of the level that uses SP_EL0 */
	"	b	nisv_abort\n");

__attribute__((used)) void nisv_abort(void)
{
	uint64_t esr, far;

	__asm__("mrs %0, ESR_EL1" : "=r"(esr));
	__asm__("mrs %0, FAR_EL1" : "=r"(far));
	kit_text("ABORT ");
	kit_number(esr >> 26 & 0x3f);
	kit_line(" at", far);
	kit_off();
}

void kit_main(const uint8_t *dtb)
{
	volatile void *at = (void *)KIT_UART;

	(void)dtb;
	__asm__ volatile("msr VBAR_EL1, %0; isb" : : "r"(nisv_vectors));
	__asm__ volatile("strb %w1, [%0], #1" : "+r"(at) : "r"('x') : "memory");
	kit_text("nothing happened\r\n");
	kit_off();
}
