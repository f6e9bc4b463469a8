// SPDX-License-Identifier: GPL-2.0-or-later
#include "layout.h"

#include "kvm/config.h"
#include "kvm/pl061.h"
#include "kvm/util.h"
#include "kvm/virtio-mmio.h"

/* As many vCPUs as KVM knows on Arm: what the redistributors may take. */
#define LAYOUT_MAX_CPUS 512

const struct layout_range layout_ranges[] = {
	{"PCI I/O", LAYOUT_PCI_IO, LAYOUT_PCI_IO_SIZE},
	{"UARTs", LAYOUT_UART, CONFIG_NR_TTYS *LAYOUT_UART_STRIDE},
	{"RTC", LAYOUT_RTC, 2},
	{"stolen time", LAYOUT_PVTIME, LAYOUT_PVTIME_SIZE},
	{"GPIO", LAYOUT_GPIO, PL061_SIZE},
	{"flash", LAYOUT_FLASH, LAYOUT_FLASH_MAX_SIZE},
	{"virtio-mmio", LAYOUT_VIRTIO_MMIO, LAYOUT_NR_VIRTIO_MMIO *VIRTIO_MMIO_SIZE},
	{"GICv3 ITS and redistributors",
	 LAYOUT_GIC_DIST - LAYOUT_MAX_CPUS *LAYOUT_GICV3_REDIST_SIZE - LAYOUT_GICV3_ITS_SIZE,
	 LAYOUT_MAX_CPUS *LAYOUT_GICV3_REDIST_SIZE + LAYOUT_GICV3_ITS_SIZE},
	{"GIC distributor", LAYOUT_GIC_DIST, LAYOUT_GIC_DIST_SIZE},
	{"ECAM", LAYOUT_ECAM, LAYOUT_PCI_MEM32 - LAYOUT_ECAM},
	{"PCI 32-bit window", LAYOUT_PCI_MEM32, LAYOUT_PCI_MEM32_SIZE},
	{"RAM", LAYOUT_RAM, UINT64_MAX - LAYOUT_RAM},
};

const size_t layout_nr_ranges = ARRAY_SIZE(layout_ranges);

const struct layout_range layout_spis[] = {
	{"UARTs", LAYOUT_SPI_UART, CONFIG_NR_TTYS},
	{"RTC", LAYOUT_SPI_RTC, 1},
	{"GPIO", LAYOUT_SPI_GPIO, 1},
	{"INTx", LAYOUT_SPI_INTX, 4},
	{"virtio-mmio", LAYOUT_SPI_VIRTIO, LAYOUT_NR_VIRTIO_MMIO},
	{"GICv2m", LAYOUT_SPI_V2M, LAYOUT_NR_SPI_V2M},
};

const size_t layout_nr_spis = ARRAY_SIZE(layout_spis);
