# SPDX-License-Identifier: GPL-2.0-or-later
# Bad input to `lkvm run`: each a clear error that names the bad word, a status
# that is not 0, nothing left behind.
. "$TESTS/cli/lib.sh"
cd "$WORK"
idle_kernel idle
bzimage bz
mkdir folder
: >empty
run() { bad "$1" "$LKVM" run "${@:2}"; }

# kernels
run 'Fatal: Unable to open kernel nowhere' -k nowhere
run 'folder' -k folder
run 'empty' -k empty
head -c 5000 bz >short
run 'short.*(truncated|short|ends|cut|incomplete)' -k short
head -c 600 bz >header
run 'header' -k header
cp bz old
poke old 0x206 2 0x0203
run 'old.*(2\.0*3|protocol|version)' -k old
run 'idle|another' -k idle another

# initial RAM disks
truncate -s 300M big
run 'big' -k bz -i big -m 256M
run 'gone' -k bz -i gone
run 'folder' -k bz -i folder

# command line
long=$(printf 'x%.0s' {1..3000})
run '2047' -k bz -p "$long"

# memory
for m in 0 -5 12x 1.5G '' 99999999T 18446744073709551615 18014398509481984K; do
	run 'mem' -k idle -m "$m"
done
# vCPUs
for c in 0 -1 abc 2x '' 100000 4294967296; do
	run 'cpu' -k idle -c "$c"
done

# disks
run 'folder' -k idle -d folder
run 'gone.img' -k idle -d gone.img
run 'frob' -k idle -d empty,frob
run 'disk' -k idle -d ''
run '/dev/null' -k idle -d /dev/null
run 'gone.sock.*back end running' -k idle -d vhost-user=gone.sock
run "vhost-user=gone.sock: 'iops' is for its back end to say" -k idle -d vhost-user=gone.sock,iops=5
run 'vhost-user=SOCKET' -k idle -d vhost-user=

# networks
run 'bogus' -k idle -n mode=bogus
run 'frob' -k idle -n tap,frob=1
run 'zz:' -k idle -n tap,guest_mac=zz:00:00:00:00:00
run 'mac' -k idle -n user,guest_mac=01:00:00:00:00:01

# others
run 'frobnicate' -k idle --frobnicate
run 'bogus' -k idle --console bogus
run 'bogus' -k idle --loglevel bogus
run '9' -k idle --tty 9
run 'firmware' -k idle -f empty
run '/nonexistent' -k idle --dev /nonexistent
run '/dev/null' -k idle --dev /dev/null
run 'gone' -k idle --hugetlbfs gone

# names and the folder of instances
for name in ../x a/b 'a b' '' . .. "$(printf 'n%.0s' {1..200})" $'a\nb' 'é'; do
	run 'name' -k idle --name "$name"
done
run 'empty' -k idle --run-dir "$WORK/empty/x"
run '/proc' -k idle --run-dir /proc/lkvm
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
	# Not writable to an ordinary user; where that one may use /dev/kvm at all.
	chmod 755 "$WORK"
	mkdir -m 755 closed
	bad 'closed|/dev/kvm' setpriv --reuid 65534 --regid 65534 --clear-groups \
		"$LKVM" run -k "$WORK/idle" --run-dir "$WORK/closed/x"
fi
[ -z "$(ls -A "$LKVM_RUN_DIR" 2>/dev/null)" ] || fail "left behind: $(ls -A "$LKVM_RUN_DIR")"
