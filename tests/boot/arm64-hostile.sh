# SPDX-License-Identifier: GPL-2.0-or-later
# arm64-hostile.sh IRQCHIP: guests that access the registers of every device at random. They may
# ruin themselves; lkvm goes on, answers, and ends when it is told to.
. "$TESTS/boot/lib.sh"

mkdir "$WORK/share"
for seed in 1 2 3; do
	name=hostile$seed
	: >"$WORK/$name.out"
	truncate -s 1M "$WORK/a$seed" "$WORK/b$seed" "$WORK/flash$seed"
	"$LKVM" run --name $name -k "$IMAGES/hostile" -c 2 -m 64M --nodefaults -p $seed \
		--irqchip "$1" --flash "$WORK/flash$seed" --disk "$WORK/a$seed" \
		--disk "$WORK/b$seed,trans=pci" --rng --balloon --virtio-transport mmio \
		--9p "$WORK/share" --vsock "3,uds=$WORK/v$seed" --network user </dev/null >"$WORK/$name.out" 2>&1 &
	VM_PID[$name]=$!
	wait_line $name "^SEED $seed"
done
until=$((SECONDS + 90))
for seed in 1 2 3; do
	name=hostile$seed
	while vm_alive $name && [ $SECONDS -lt $until ]; do sleep 0.5; done
	if vm_alive $name; then
		step "$name still runs"
		"$LKVM" list | grep -w $name || fail "lkvm list does not know $name"
		succeeds "$LKVM" stop --force $name
	fi
	# By itself or as told, or after a fault that has a name; by no signal.
	wait_exit $name '[0-9]|[0-9][0-9]|1[01][0-9]' 60
	refuse_line $name '^FAIL'
	console $name | grep -aE 'FIRST done|HOSTILE ok' || :
done
nothing_left hostile
