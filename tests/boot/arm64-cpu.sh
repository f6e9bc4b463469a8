# SPDX-License-Identifier: GPL-2.0-or-later
# arm64-cpu.sh: the CPU that the guest gets: performance counters when asked for, SVE as long as asked
# for, pointer authentication, stolen time unless not wanted, which grows where two of them share a
# CPU of the host; on the host CPUs that were named. One of them is turned off and on again.
. "$TESTS/boot/lib.sh"

script='
echo "FEATURES $(sed -n "s/^Features.*: //p" /proc/cpuinfo | head -n 1) end"
echo "SVE $(cat /proc/sys/abi/sve_default_vector_length)"
dmesg >/tmp/dmesg
grep -iE "perf|stolen|psci|Address authentication|Generic authentication" /tmp/dmesg
ls /sys/bus/event_source/devices
stolen() { awk "/^cpu / { print \$9 }" /proc/stat; }
cd /sys/devices/system/cpu
for i in 1 2 3; do
	echo 0 >cpu1/online && echo "OFF $(cat online)"
	echo 1 >cpu1/online && echo "ON $(cat online)"
done
echo "PLUGGED"
until [ "$(grep -c arm-pv /tmp/dmesg)" = 0 ] || [ "$(stolen)" -gt 0 ]; do
	for i in 1 2; do sh -c "i=0; while [ \$i -lt 10000 ]; do i=\$((i + 1)); done" & done
	wait
done
echo "STOLEN $(stolen)"
while :; do sleep 1; done
'
CPUS=2 vm_start all generic "$script" --pmu --vcpu-affinity 1
CPUS=2 vm_start less generic "$script" --sve-max-vl 128 --no-pvtime --disable-mte
for vm in all less; do wait_line $vm '^STOLEN'; done
for vm in all less; do
	[ "$(console $vm | grep -c '^OFF 0$')" = 3 ] && [ "$(console $vm | grep -c '^ON 0-1$')" = 3 ] ||
		fail "$vm: CPU 1 does not go off and on"
done
for vm in all less; do console $vm | grep -aE 'FEATURES|SVE|perf|[Ss]tolen|STOLEN|auth|PSCI|pmu'; done
for vm in all less; do expect_line $vm 'psci: PSCIv1\.[1-9]'; done

# The two vCPU threads, and no other, are bound to CPU 1.
bound=$(grep -hc '^Cpus_allowed_list:[[:space:]]*1$' "/proc/${VM_PID[all]}"/task/*/status | grep -c '^1$' || :)
[ "$bound" = 2 ] || fail "$bound threads are bound to CPU 1"

# has HOST_FEATURE VM REGEX: where the host's CPU has it, so does the guest's.
has() { ! grep -qw "$1" /proc/cpuinfo || expect_line "$2" "$3"; }
has paca all '^FEATURES .* paca .*end'
has sve all '^FEATURES .* sve .*end'
has sve less '^SVE 16$'
expect_line all 'hw perfevents: enabled with armv8_pmuv3'
refuse_line less 'hw perfevents: enabled'
expect_line all 'arm-pv: using stolen time PV'
expect_line all '^STOLEN [1-9]'
expect_line less '^STOLEN 0$'
refuse_line less 'using stolen time PV'
for vm in all less; do
	succeeds "$LKVM" stop --timeout 60 $vm
	wait_exit $vm 0 60
	no_complaints $vm
done
